"""docs/style.md, as far as a machine can read it: variables are nouns, and no two classes have one name."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

from tests.house.sources import ROOT, parsed, text_of

NO_NOUNS = frozenset("one ones found told of no asked said kept some there here".split())
_BINDING = re.compile(rf"\b({'|'.join(sorted(NO_NOUNS))})\b *(,|=[^=]|:=|:|\)| in\b)")
"""Where a name may be bound. Words of a docstring look like that, too: `names_in` decides."""


@cache
def sources() -> dict[str, str]:
    paths = [
        path for room in ("libs/common", "libs/cli", "services", "deploy") for path in ROOT.glob(f"{room}/**/*.py")
    ]
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


def test_variables_are_nouns() -> None:
    wrong = []
    for path, source in sources().items():
        if _BINDING.search(source):
            wrong += [f"{path}:{line}: {name}" for line, name in names_in(source) if name.strip("_") in NO_NOUNS]
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
