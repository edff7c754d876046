"""One signature for every role: `build(context) -> RoleParts`."""

from __future__ import annotations

import ast
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from gantry.services.context import Context, RoleParts

SERVICES = Path(__file__).resolve().parents[3] / "services"
ROLES = (
    "ingest",
    "indexer",
    "query",
    "retrieve",
    "commitment",
    "orders",
    "maintenance",
    "lifecycle",
    "webhooks",
    "completion",
    "operations",
    "auditing",
    "copies",
)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_built_from_a_context_and_nothing_else(role: str) -> None:
    tree = ast.parse((SERVICES / role / "app.py").read_text(encoding="utf-8"))
    (build,) = [n for n in tree.body if isinstance(n, ast.AsyncFunctionDef) and n.name == "build"]
    assert ast.unparse(build.args) == "context: Context"
    assert build.returns is not None
    assert ast.unparse(build.returns) == "RoleParts"


def test_every_role_that_shares_a_process_is_among_them() -> None:
    apps = {path.parent.name for path in SERVICES.glob("*/app.py")}
    assert apps - set(ROLES) == {"frontdoor"}  # which runs alone, without stores


def test_a_context_cannot_be_changed_by_a_role() -> None:
    context = Context(*[None] * len(fields(Context)))  # type: ignore[arg-type]
    with pytest.raises(FrozenInstanceError):
        context.settings = None  # type: ignore[misc, assignment]


def test_a_role_brings_nothing_unless_it_says_so() -> None:
    parts = RoleParts()
    assert not any(getattr(parts, field.name) for field in fields(RoleParts))
