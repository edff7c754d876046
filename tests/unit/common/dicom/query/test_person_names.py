"""Person names as they are compared (PS3.4 C.2.2.2.1, PS3.5 6.2.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.query.person_names import (
    MOST_WORDS,
    agree,
    fold_name,
    is_like,
    key_groups,
    sounds_of,
    words_of,
)

NAMES = st.text("aÄßé ^=山\0", max_size=15)


@pytest.mark.parametrize(
    ("value", "folded"),
    [
        ("Müller^Jörg", "muller^jorg"),
        ("DOE^JANE^^^", "doe^jane"),
        (" Doe ^ Jane ", "doe^jane"),
        ("Doe^^Jane", "doe^^jane"),
        ("Straße", "strasse"),
        ("Yamada=山田=", "yamada=山田"),
        ("=山田", "=山田"),
        ("", ""),
        ("^^=^", ""),
    ],
)
def test_case_accents_padding_and_empty_ends_do_not_count(value: str, folded: str) -> None:
    assert fold_name(value) == folded


@given(NAMES)
def test_padding_with_components_and_groups_changes_nothing(name: str) -> None:
    assert fold_name(name + "^") == fold_name(name + " ") == fold_name(name)
    assert fold_name(name + "=") == fold_name(name)


@given(NAMES)
def test_groups_stay_apart(name: str) -> None:
    assert fold_name(name).split("=") == [fold_name(g) for g in name.split("=")][: len(fold_name(name).split("="))]


@pytest.mark.parametrize(
    ("key", "groups"),
    [
        ("Doe^J", ("doe^j",)),
        ("Yamada=山田", ("yamada", "山田")),
        ("*=山*", ("", "山*")),
        ("Yamada=*", ("yamada",)),
        ("=", ()),
        ("**", ()),
    ],
)
def test_a_group_that_asks_for_nothing_is_empty(key: str, groups: tuple[str, ...]) -> None:
    assert key_groups(key) == groups


@pytest.mark.parametrize(
    ("asked", "groups", "expected"),
    [
        (["a"], ["b", "a"], True),  # a key of one group is any group's
        (["a", "b"], ["a", "b"], True),
        (["b", "a"], ["a", "b"], False),
        (["", "b"], ["x", "b"], True),
        (["a", "b"], ["a"], False),
        (["", ""], [], True),
        (["a"], [], False),
    ],
)
def test_names_agree_group_by_group(asked: list[str], groups: list[str], expected: bool) -> None:
    assert agree(asked, groups, lambda wanted, group: wanted == group) is expected


def test_an_empty_group_is_never_tested() -> None:
    assert not agree([""], ["", ""], lambda wanted, group: True)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Müller-Lüdenscheidt^Hans", ["muller", "ludenscheidt", "hans"]),
        ("O'Brien, Pat", ["o", "brien", "pat"]),
        ("Yamada^Tarou=山田^太郎", ["yamada", "tarou", "山田", "太郎"]),
        ("^ ^", []),
    ],
)
def test_words_are_what_stands_between_the_marks(name: str, words: list[str]) -> None:
    assert words_of(name) == words


def test_only_so_many_words_count() -> None:
    assert len(words_of("x " * 1000)) == MOST_WORDS


@pytest.mark.parametrize(("name", "other"), [("maier", "mayer"), ("catherine", "katherine"), ("smith", "smyth")])
def test_names_that_sound_alike_share_a_sound(name: str, other: str) -> None:
    assert sounds_of(name) & sounds_of(other)
    assert is_like(name, other)


@pytest.mark.parametrize("word", ["山田", "o", "", "müller", "a1"])
def test_a_word_that_english_does_not_spell_has_no_sound(word: str) -> None:
    assert sounds_of(word) == frozenset()


def test_a_word_is_like_what_begins_with_it_and_no_other() -> None:
    assert is_like("mul", "muller")
    assert not is_like("uller", "muller")
    assert is_like("山", "山田")
    assert not is_like("山", "田")


def test_soundex_and_metaphone_are_told_apart() -> None:
    assert {sound[0] for sound in sounds_of("robert")} == {"s", "m"}
    assert "sR163" in sounds_of("robert")  # the code that the US Census gives it


def test_whatever_is_blank_stands_between_words() -> None:
    blanks = [blank for blank in map(chr, range(0x110000)) if blank.isspace()]
    assert len(blanks) > 20
    for blank in [*blanks, *"^=,.;'`\u2019-"]:
        assert words_of(f"a{blank}b") == ["a", "b"], hex(ord(blank))
