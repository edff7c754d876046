"""How long to wait before trying again: exponential, capped, and with jitter, so that waiting callers do not all retry
at once."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds: `first` doubles with each attempt up to `longest`; the wait is random between half and all of that."""

    first: float = 0.1
    longest: float = 30.0

    def after(self, attempt: int) -> float:
        """The wait after the `attempt`th failure, counted from 0."""
        # 2**40 s is longer than any cap; without the bound, months of attempts would overflow.
        whole = min(self.longest, self.first * 2.0 ** min(attempt, 40))
        return whole * random.uniform(0.5, 1.0)
