"""How many requests a caller may send: a runaway script has to wait, and does not affect others. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gantry.common.access import Means
from gantry.common.allowance import Allowances
from gantry.common.web.access import Caller
from gantry.common.web.errors import HttpProblem

SECONDS_AT_ONCE = 10.0
"""Requests of this many seconds may come at once: a viewer asks for hundreds of frames, then for none."""


class CallerRates:
    """The remaining requests of each caller: by its token, by its user from an issuer, or by its address. Each process
    counts for itself."""

    def __init__(self, rate: float, of_tokens: Mapping[str, float] | None = None) -> None:
        """`rate` in requests a second, 0 for no limit; `of_tokens` are other rates, by the names of tokens."""
        self._rate = rate
        self._of_tokens = dict(of_tokens or {})
        self._allowances = Allowances(SECONDS_AT_ONCE)

    def require(self, caller: Caller, now: float) -> None:
        """Count a request. Raises `HttpProblem` 429 (RFC 6585 4) for one too many."""
        by_token = caller.identity.means is not Means.ISSUER
        rate = self._of_tokens.get(caller.name, self._rate) if by_token else self._rate
        if not rate:
            return
        caller_key = (caller.identity.issuer, caller.identity.subject or caller.name) if caller.name else caller.address
        wait = self._allowances.ask(caller_key, rate, now)
        if wait:
            seconds = max(1, math.ceil(wait))
            line = f"too many requests: this caller may send {rate:g} a second; ask again in {seconds} s"
            raise HttpProblem(429, line, {"Retry-After": str(seconds)})
