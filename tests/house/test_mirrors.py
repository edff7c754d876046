"""Every pure module has a test of its own, under the same path: decided by what the modules import."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.house.sources import ROOT, text_of, tree_of

SOURCES = {"common": ROOT / "libs/common", "cli": ROOT / "libs/cli", "services": ROOT / "services"}
TESTS = (ROOT / "tests/unit", ROOT / "tests/integration")

IMPURE = frozenset(
    (
        *("aiobotocore", "aiohttp", "aiokafka", "asyncio", "botocore", "click", "concurrent", "fcntl"),
        *("multiprocessing", "opensearchpy", "rich", "selectors", "signal", "socket", "sqlite3", "ssl", "subprocess"),
        *("threading", "uvloop"),
    )
)
"""An event loop, a socket, a database, an HTTP server or client, a process, a thread, a terminal. What awaits needs an
event loop, too."""

NEEDS_NONE = {
    "__init__": "imports, and says what a room is for",
    "__main__": "starts the command line",
    "app": "puts a role together",
}
"""By name, in any room, with the reason."""

TABLES = {
    "common/config/role_sections": "fields without a method: config/test_settings reads them",
    "common/config/routing_sections": "fields without a method: config/test_settings reads them",
    "common/config/sharing_sections": "fields without a method: config/test_settings reads them",
    "common/orders/commands": "dataclasses without a method: orders/test_fold compares verdicts",
    "common/dicom/inventory/records": "dataclasses without a method: inventory/test_reading compares them",
    "common/events/schema/": "dataclasses without a method: events/test_codec writes and reads them",
    "common/net/observing": "a protocol",
    "common/ul/indications": "dataclasses without a method: ul/test_upper_layer compares them",
    "services/docs/conformance": "its output is the document: docs/test_generate compares it",
}
"""Modules without logic of their own, with the reason; one that ends in / is a room of such modules."""


_AWAITS = re.compile(r"^ *async (?:def|for|with) .*:$", re.MULTILINE)
"""Most of what is not pure is known by such a line, and need not be parsed."""


def _is_pure(file: Path) -> bool:
    if _AWAITS.search(text_of(file)):
        return False
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            return False
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        if any(name.partition(".")[0] in IMPURE for name in names):
            return False
    return True


def _modules() -> Iterator[tuple[str, Path]]:
    for name, folder in SOURCES.items():
        for file in sorted(folder.rglob("*.py")):
            yield f"{name}/{file.relative_to(folder).with_suffix('').as_posix()}", file


@cache
def pure_modules() -> frozenset[str]:
    return frozenset(
        name
        for name, file in _modules()
        if file.stem not in NEEDS_NONE
        and name not in TABLES
        and f"{name.rpartition('/')[0]}/" not in TABLES
        and _is_pure(file)
    )


def has_test(module: str) -> bool:
    path = Path(module)
    return any((tests / path.parent / f"test_{path.name}.py").is_file() for tests in TESTS)


def test_every_pure_module_has_a_test_of_its_own() -> None:
    missing = sorted(module for module in pure_modules() if not has_test(module))
    assert not missing, f"no test under the same path in tests/unit or tests/integration: {', '.join(missing)}"


def _tables() -> Iterator[str]:
    for module in TABLES:
        name, _, rest = module.partition("/")
        if rest.endswith("/"):
            yield from (f"{module}{file.stem}" for file in sorted((SOURCES[name] / rest).glob("[!_]*.py")))
        else:
            yield module


@pytest.mark.parametrize("module", sorted(_tables()))
def test_a_table_is_pure(module: str) -> None:
    """Or else it need not be excepted; nor need it where it has a test."""
    assert not has_test(module)
    name, _, rest = module.partition("/")
    assert _is_pure(SOURCES[name] / f"{rest}.py")


def test_modules_are_told_apart_by_what_they_import() -> None:
    modules = pure_modules()
    assert len(modules) > 80
    assert {"common/ids", "common/dicom/scan/walk", "services/roles", "services/retrieve/pixels/greys"} <= modules
    assert not {"common/tasks", "common/adapters/sqlite/database", "services/retrieve/reading", "cli/store"} & modules
