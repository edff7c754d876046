"""Person names for comparison: literally, without insignificant differences, and by sound (PS3.4 C.2.2.2.1). Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

import jellyfish

T = TypeVar("T")
BETWEEN = "\t-\r\x1c- ',-.;=^`\x85\u1680\u2019\u2028\u2029"
"""The separators between the words of a folded name: blanks, components, groups, and the parts of a double name; in the
form for the brackets of a pattern."""
_BETWEEN = re.compile(f"[{BETWEEN}]+")
MOST_WORDS = 64
"""No person has more names; the limit bounds the cost of a longer value."""
_LETTERS = re.compile(r"[a-z]{2,}", re.ASCII)


def fold_name(value: str) -> str:
    """A person name without insignificant differences: case, accents, padding and empty components at the end
    (C.2.2.2.1 allows it for PN; PS3.5 6.2.1). Component groups stay separated by "="."""
    if not value.isascii():
        # Letter by letter: normalising the whole would also sort the accents of each letter, in quadratic time,
        # although they are dropped anyway.
        letters = [letter for character in value for letter in unicodedata.normalize("NFKD", character)]
        value = "".join([letter for letter in letters if not unicodedata.combining(letter)])
    groups = [
        "^".join([component.strip(" \0") for component in group.split("^")]).rstrip("^")
        for group in value.casefold().split("=")
    ]
    return "=".join(groups).rstrip("=")


def key_groups(key: str) -> tuple[str, ...]:
    """The folded component groups of a requested name or pattern: alphabetic, ideographic, phonetic. A group without a
    condition is ""; those at the end are left out."""
    groups = ["" if not group.strip("*") else group for group in map(fold_name, key.split("="))]
    while groups and not groups[-1]:
        groups.pop()
    return tuple(groups)


def agree(query_groups: Sequence[T], groups: Sequence[str], test: Callable[[T, str], bool]) -> bool:
    """Whether a stored name fits a requested one: group by group (PS3.4 C.2.2.2.1), for each group with a condition. A
    key with one group may match any group: a typed name does not show its script. `test` takes one group."""
    if len(query_groups) == 1:
        return any(group and test(query_groups[0], group) for group in groups)
    return all(
        not wanted or (number < len(groups) and bool(groups[number]) and test(wanted, groups[number]))
        for number, wanted in enumerate(query_groups)
    )


def words_of(name: str) -> list[str]:
    """The folded words of a name, or of a query for one, in their order; the first `MOST_WORDS`."""
    return [word for word in _BETWEEN.split(fold_name(name)) if word][:MOST_WORDS]


@lru_cache(maxsize=65536)
def sounds_of(word: str) -> frozenset[str]:
    """The sound of a folded word: a Soundex code and a Metaphone code, distinguished by their first letter. Two words
    sound alike if they share one. Both are made for Latin letters and English: other words have none."""
    if _LETTERS.fullmatch(word) is None:
        return frozenset()
    sound = jellyfish.metaphone(word)
    return frozenset((f"s{jellyfish.soundex(word)}", *((f"m{sound}",) if sound else ())))


def is_like(query_word: str, word: str) -> bool:
    """Whether a folded word of a name fits a folded word of a query: it begins with it, or sounds like it."""
    return word.startswith(query_word) or not sounds_of(query_word).isdisjoint(sounds_of(word))
