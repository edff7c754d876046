"""How much somebody may have: so much a second on average, and some seconds' worth of it at once. Pure: time is an
argument, in seconds of a clock that never goes back."""

from __future__ import annotations

from collections.abc import Hashable


class Allowance:
    """What one may have. Nothing is lost or refused here: what was taken beyond it is owed, and time pays it back."""

    __slots__ = ("_at", "_left", "_most", "_rate")

    def __init__(self, rate: float, at_once: float, now: float) -> None:
        """`rate` a second, and `at_once` seconds' worth of it, one at least."""
        self._rate = rate
        self._most = max(1.0, rate * at_once)
        self._left = self._most
        self._at = now

    def take(self, amount: float, now: float) -> float:
        """Take so much; seconds until nothing is owed, 0.0 if it was within what one may have."""
        self._refill(now)
        self._left -= amount
        return max(0.0, -self._left / self._rate)

    def ask(self, amount: float, now: float) -> float:
        """Take so much if it is there, and return 0.0; else take nothing, and return the seconds until it is there."""
        self._refill(now)
        if self._left >= amount:
            self._left -= amount
            return 0.0
        return (amount - self._left) / self._rate

    def _refill(self, now: float) -> None:
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now


class Allowances:
    """The same for many, by name. Beyond `most_names` whoever was seen longest ago is forgotten, and may begin anew."""

    def __init__(self, at_once: float, most_names: int = 10_000) -> None:
        self._at_once = at_once
        self._most_names = most_names
        self._known: dict[Hashable, Allowance] = {}

    def ask(self, name: Hashable, rate: float, now: float) -> float:
        """`Allowance.ask` for one, of somebody who may have `rate` a second."""
        known = self._known.pop(name, None)
        if known is None:
            while len(self._known) >= self._most_names:
                del self._known[next(iter(self._known))]
            known = Allowance(rate, self._at_once, now)
        self._known[name] = known
        return known.ask(1.0, now)
