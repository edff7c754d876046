"""docs/style.md, as far as a machine can read it: variables are nouns, functions say what they do or give, a metaphor
names nothing that the trade has a word for, and no two classes have one name."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

from tests.house.sources import ROOT, parsed, text_of

NO_NOUNS = frozenset("one ones found told of no asked said kept some there here".split())
NO_VERBS = NO_NOUNS | frozenset(
    """
    wanted meant lying untold unsaid heard seen sees swept took led any are those each every whose nobody nothing
    nowhere alike away again apart by via with to on out around along ours theirs f
    """.split()
)
"""What a function does not say by such a name: what it does, or what it gives."""
MAKES_AN_INSTANCE = frozenset({"of"})
"""`Receipt.of(...)` is an idiom, and so is `holds.of(study)`."""
METAPHORS = frozenset("fate fates fated grave graves bury buried exhume exhumed forsaken".split())
"""The trade says deletion, deletion state, dead letter, orphaned."""
_BINDING = re.compile(rf"\b({'|'.join(sorted(NO_NOUNS))})\b *(,|=[^=]|:=|:|\)| in\b)")
"""Where a name may be bound. Words of a docstring look like that, too: `names_in` decides."""
_DEFINITION = re.compile(
    rf"\bdef _*({'|'.join(sorted(NO_VERBS - MAKES_AN_INSTANCE))})\b"
    rf"|\b(def|class) \w*({'|'.join(sorted(METAPHORS))})",
    re.IGNORECASE,
)
"""Where there may be a name that is not plain: `is_plain` decides. Trees are slow to make."""


@cache
def sources() -> dict[str, str]:
    paths = [
        path for room in ("libs/common", "libs/cli", "services", "deploy") for path in ROOT.glob(f"{room}/**/*.py")
    ]
    return {str(path.relative_to(ROOT)): text_of(path) for path in paths}


@cache
def helpers() -> dict[str, str]:
    """What tests of others, and of ours, are written with."""
    paths = [path for room in ("libs/gantry/testing", "tests/support") for path in ROOT.glob(f"{room}/**/*.py")]
    return {str(path.relative_to(ROOT)): text_of(path) for path in paths}


def names_in(source: str) -> Iterator[tuple[int, str]]:
    """Every name that functions and comprehensions bind, with its line. Fields and keywords are not among them: events
    and answers have theirs for ever."""
    names, fields = [], set()
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.ClassDef):
            fields |= {line.lineno for line in node.body if isinstance(line, ast.AnnAssign | ast.Assign)}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append((node.lineno, node.id))
        elif isinstance(node, ast.arg):
            names.append((node.lineno, node.arg))
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs) and node.name:
            names.append((node.lineno, node.name))
    return ((line, name) for line, name in names if line not in fields)


def definitions_in(source: str) -> Iterator[tuple[int, str]]:
    """Every function, method and class, with its line."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name


def is_plain(name: str) -> bool:
    """Whether a function or class may be called so."""
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", name)}
    return not words & METAPHORS and name.strip("_") not in NO_VERBS - MAKES_AN_INSTANCE


def test_variables_are_nouns() -> None:
    wrong = []
    for path, source in sources().items():
        if _BINDING.search(source):
            wrong += [f"{path}:{line}: {name}" for line, name in names_in(source) if name.strip("_") in NO_NOUNS]
    assert wrong == []


def test_functions_say_what_they_do_or_give() -> None:
    rooms = {**sources(), **helpers()}
    wrong = [
        f"{path}:{line}: {name}"
        for path, source in rooms.items()
        if _DEFINITION.search(source)
        for line, name in definitions_in(source)
        if not is_plain(name)
    ]
    assert wrong == []


def test_a_class_has_its_name_for_itself() -> None:
    rooms = defaultdict(list)
    for path, source in sources().items():
        for name in re.findall(r"^class ([A-Z]\w*)", source, re.MULTILINE):
            rooms[name].append(path)
    assert {name: paths for name, paths in rooms.items() if len(paths) > 1} == {}


def test_a_variable_that_is_no_noun_is_seen_wherever_it_is_bound() -> None:
    source = """
def search(asked, *, of=1):
    with open(asked) as found:
        pass
    try:
        [one for one in found if (said := one)]
    except ValueError as told:
        pass
    match asked:
        case [kept]:
            pass
"""
    assert {name for _, name in names_in(source)} == {"asked", "of", "found", "one", "said", "told", "kept"}


def test_a_function_that_says_nothing_is_seen_wherever_it_is_defined() -> None:
    source = """
class Graves:
    @property
    def there(self):
        def one():
            pass
    async def _told(self): ...
    @classmethod
    def of(cls): ...
    def read_told(self): ...
def _store_fates(): ...
class ForsakenCorrections: ...
class Ungraven: ...
"""
    wrong = [name for _, name in definitions_in(source) if not is_plain(name)]
    assert sorted(wrong) == ["ForsakenCorrections", "Graves", "_store_fates", "_told", "one", "there"]
    assert all(_DEFINITION.search(f"{'class' if name[0].isupper() else 'def'} {name}") for name in wrong)
