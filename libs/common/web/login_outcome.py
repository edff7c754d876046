"""What became of a login or a logout, for who keeps the record of it."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class LoginOutcome:
    """`name` is who signed in or `out`, "" where nobody knows; `why` it failed, "" where it did not.
    `by` is the means, and `studies` what can be seen since, where that is a list."""

    name: str
    why: str = ""
    out: bool = False
    by: str = "OpenID Connect"
    studies: tuple[str, ...] = ()


LOGIN_OUTCOME: web.RequestKey[LoginOutcome] = web.RequestKey("login_outcome", LoginOutcome)
"""Set by the handler of a login or a logout that came to an end."""
