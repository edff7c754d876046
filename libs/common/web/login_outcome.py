"""The outcome of a login or a logout, for the audit record."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class LoginOutcome:
    """`name` is the person who signed in or `out`, "" if unknown; `why` it failed, "" if it did not. `by` is the means,
    and `studies` are those that it opened, if that is a list."""

    name: str
    why: str = ""
    out: bool = False
    by: str = "OpenID Connect"
    studies: tuple[str, ...] = ()


LOGIN_OUTCOME: web.RequestKey[LoginOutcome] = web.RequestKey("login_outcome", LoginOutcome)
"""Set by the handler of a finished login or logout."""
