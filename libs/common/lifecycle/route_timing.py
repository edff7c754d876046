"""When routes of a rule are sent, and what goes first (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum

from gantry.common.events import RouteRequested
from gantry.common.lifecycle.routes import OBJECTS, PREFETCH

_TIME = r"([01]\d|2[0-3]):([0-5]\d)"
_WINDOW = re.compile(rf"{_TIME}-{_TIME}")
_DAY = timedelta(days=1)


class RoutePriority(Enum):
    """Priority (0000,0700) of what is sent (PS3.7 9.1.1.1.5), and its rank among what waits."""

    HIGH = ("high", 1, 0)
    MEDIUM = ("medium", 0, 1)
    LOW = ("low", 2, 2)

    @property
    def word(self) -> str:
        """As settings write it."""
        word: str = self.value[0]
        return word

    @property
    def code(self) -> int:
        """As commands have it."""
        code: int = self.value[1]
        return code

    @property
    def rank(self) -> int:
        """The least goes first."""
        rank: int = self.value[2]
        return rank


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """A time of each day, in minutes since midnight; one that ends before it begins lasts over midnight."""

    begins: int
    ends: int

    @staticmethod
    def of(text: str) -> TimeWindow:
        """The window of `HH:MM-HH:MM`. Raises `ValueError`."""
        match = _WINDOW.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not HH:MM-HH:MM")
        first, second, third, fourth = map(int, match.groups())
        return TimeWindow(first * 60 + second, third * 60 + fourth)

    def opens(self, now: datetime) -> datetime | None:
        """When it opens next, in the time zone of `now`; None while it is open. On a day on which the clock is put
        forward over all of it, it is not open."""
        minute = now.hour * 60 + now.minute
        is_open = (
            self.begins <= minute < self.ends
            if self.begins < self.ends
            else minute >= self.begins or minute < self.ends
        )
        if is_open:
            return None
        day = now if minute < self.begins else now + _DAY
        return day.replace(hour=self.begins // 60, minute=self.begins % 60, second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class RouteTiming:
    """Those of one rule. Without a window it is always time."""

    priority: RoutePriority = RoutePriority.MEDIUM
    window: TimeWindow | None = None


class RouteTimes:
    """The timings of rules, by their names, in one time zone."""

    def __init__(self, timings: Mapping[str, RouteTiming], zone: tzinfo | None = None) -> None:
        """`zone` None is that of the machine."""
        self._timings = dict(timings)
        self._zone = zone

    def priority(self, route: RouteRequested) -> RoutePriority:
        """How urgent a route is. What a person asked for, and what a C-MOVE left, somebody waits for."""
        if route.by or not route.rule:
            return RoutePriority.HIGH
        return self._timing(route).priority

    def opens_us(self, route: RouteRequested, now_us: int) -> int:
        """When a route may be sent, in microseconds since 1970; 0 where it may be now. Only objects and priors wait for
        that, and not those that a person asked for."""
        timing = self._timing(route)
        if timing.window is None or route.by or route.kind not in (OBJECTS, PREFETCH):
            return 0
        opens = timing.window.opens(datetime.fromtimestamp(now_us / 1e6, UTC).astimezone(self._zone))
        return 0 if opens is None else max(int(opens.timestamp() * 1e6), now_us + 1)

    def first(self, ready: Iterable[tuple[RouteRequested, int]]) -> int:
        """Which of some routes goes first, by its place; each comes with when it was tried last. The most urgent, and
        of those the one that was tried longest ago: a study at which the destination fails must not stop all others."""
        ranked = [(self.priority(route).rank, again, place) for place, (route, again) in enumerate(ready)]
        return min(ranked)[2]

    def _timing(self, route: RouteRequested) -> RouteTiming:
        return self._timings.get(route.rule, RouteTiming())
