"""The error tree (`gantry.common.errors`) is complete: hardly a kind of error stands outside of it."""

from __future__ import annotations

import ast

from tests.house.sources import ROOT, text_of, tree_of

ELSEWHERE = {
    "HttpProblem",  # an answer that is raised; the HTTP server catches it
    "DeadLetterLimit",  # ends a consumer's loop; the process catches it
    "NoImage",  # of one package, as the rest: what calls it catches it
    "NoFrame",
    "ConversionFailed",
    "RequestRefused",
    "TooManyReferences",
    "InvalidRequest",
}
"""Kinds of their own that are not drawn, since no caller beyond their neighbours meets them. None should be added."""


def test_no_other_kind_of_its_own_stands_outside_of_the_tree() -> None:
    """A subclass elsewhere stands below one that is drawn, never below the root."""
    strays = {
        node.name
        for folder in ("libs/common", "libs/cli", "services")
        for file in (ROOT / folder).rglob("*.py")
        if file != ROOT / "libs/common/errors.py"
        if "(GantryError" in text_of(file)
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "GantryError" for base in node.bases)
    }
    assert strays == ELSEWHERE
