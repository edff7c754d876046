"""Views: who sees rejected instances, and for which rejection reasons. Pure.

All others see the archive without them. `VIEW` carries the name of a view from the admission of a caller to the index
(`gantry.common.runtime.viewed_index`), as `SIGHT` does for studies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from gantry.common.access.verbs import CallerRole

Views = Mapping[str, frozenset[str]]
"""Views by name, with the codes of the rejections that they show."""
VIEW: ContextVar[str] = ContextVar("gantry_view", default="")
"""The view of the current caller; "" is the ordinary one."""


def views_of(lines: Iterable[str]) -> Views:
    """Views from the settings, `NAME=CODE,CODE`."""
    pairs = (line.partition("=") for line in lines)
    return {name: frozenset(codes.split(",")) for name, _, codes in pairs}


def view_of_roles(lines: Iterable[str], roles: Iterable[CallerRole]) -> str:
    """The view of an identity with these roles; `lines` are `ROLE=VIEW`, the first that fits counts."""
    held = {role.value for role in roles}
    return next((view for role, _, view in (line.partition("=") for line in lines) if role in held), "")


@contextmanager
def showing(view: str) -> Iterator[None]:
    """Code inside this block uses this view."""
    token = VIEW.set(view)
    try:
        yield
    finally:
        VIEW.reset(token)
