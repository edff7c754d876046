"""Routes as somebody looks at them who runs the archive: what waits, what failed, and how each destination does. Pure.

Routes that were delivered are counted and forgotten, and so is what failed and was requested again: what is held in
memory, and listed, is what somebody may decide about. Times are microseconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gantry.common.events import Event, RouteEnded, RouteRequested
from gantry.common.lifecycle.routes import CANCELLED, DELIVERED, FAILED, RouteLedger, RouteState

DAY_US = 24 * 3600 * 1_000_000
FORGOTTEN_US = 30 * DAY_US
"""After so long the log forgets routes, too."""
MOST_ENDED = 10_000
"""Routes that ended and are listed; beyond it the oldest are forgotten."""


@dataclass(slots=True)
class DestinationState:
    """How a destination does: routes that wait, since when the oldest does, and what a try of them came to; routes that
    failed; those that were delivered within a day, and when the last one was (0: in none of the last 30)."""

    destination: str
    waiting: int = 0
    oldest: int = 0
    why: str = ""
    failed: int = 0
    delivered_in_a_day: int = 0
    delivered_at: int = 0


@dataclass(slots=True)
class RouteBoard:
    """What was told of routes, from the events of the log in its order."""

    _ledger: RouteLedger = field(default_factory=RouteLedger)
    _delivered: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Destination and time of what was delivered within a day, the earliest first."""
    _ended: dict[str, int] = field(default_factory=dict)
    """When what is listed ended, the earliest first."""
    _content: dict[RouteRequested, str] = field(default_factory=dict)
    """What is listed, by what it was to send."""
    _last: dict[str, int] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Add an event of the topic."""
        if isinstance(event, RouteRequested) and event.route in self._delivered:
            return  # a completion that was read twice asks for the same route again
        self._ledger.take(event)
        if isinstance(event, RouteRequested):
            again = self._content.get(_content_of(event), "")
            if again and again != event.route:
                self._drop(again)
        elif isinstance(event, RouteEnded):
            self._end(event)

    def waiting(self, destination: str = "") -> list[RouteState]:
        """Those that wait or are under way, the oldest first; of one destination where it is named."""
        return [route for route in self._ledger.open() if destination in ("", route.requested.destination)]

    def ended(self, destination: str = "") -> list[RouteState]:
        """Those that failed, were cancelled, or withheld something, the latest first."""
        routes = [route for route in self._ledger.routes.values() if route.outcome]
        routes = [route for route in routes if destination in ("", route.requested.destination)]
        return sorted(routes, key=lambda route: route.ended_at, reverse=True)

    def failed(self, destination: str = "") -> list[RouteState]:
        """Those that failed, the latest first."""
        return [route for route in self.ended(destination) if route.outcome == FAILED]

    def destinations(self, now_us: int) -> list[DestinationState]:
        """Each that a route went to in the last 30 days, by name."""
        self._forget(now_us)
        states: dict[str, DestinationState] = {}
        self._last = {name: at for name, at in self._last.items() if at > now_us - FORGOTTEN_US}
        for name, at in self._last.items():
            states[name] = DestinationState(name, delivered_at=at)
        for name, _ in self._delivered.values():
            states[name].delivered_in_a_day += 1
        for state in self._ledger.routes.values():
            name = state.requested.destination
            summary = states.setdefault(name, DestinationState(name))
            if state.outcome:
                summary.failed += state.outcome == FAILED
                continue
            summary.waiting += 1
            if not summary.oldest or state.requested.at < summary.oldest:
                summary.oldest = state.requested.at
            if state.why and state.again:
                summary.why = state.why
        return [states[name] for name in sorted(states)]

    def _end(self, event: RouteEnded) -> None:
        state = self._ledger.routes.get(event.route)
        if state is None or event.route in self._ended:
            return
        if state.outcome == DELIVERED:
            name = state.requested.destination
            self._delivered[event.route] = name, event.at
            self._last[name] = max(event.at, self._last.get(name, 0))
        if state.outcome == DELIVERED and not state.withheld:
            del self._ledger.routes[event.route]
        else:
            self._ended[event.route] = event.at
            self._content[_content_of(state.requested)] = event.route
        while len(self._ended) > MOST_ENDED:
            self._drop(next(iter(self._ended)))
        self._forget(event.at)

    def _forget(self, now_us: int) -> None:
        while self._delivered and next(iter(self._delivered.values()))[1] <= now_us - DAY_US:
            del self._delivered[next(iter(self._delivered))]
        while self._ended and next(iter(self._ended.values())) <= now_us - FORGOTTEN_US:
            self._drop(next(iter(self._ended)))

    def _drop(self, route: str) -> None:
        content = _content_of(self._ledger.routes[route].requested)
        if self._content.get(content) == route:
            del self._content[content]
        del self._ended[route], self._ledger.routes[route]


def _content_of(requested: RouteRequested) -> RouteRequested:
    """The same for a route and for one by which it is sent again."""
    return replace(requested, route="", trace="", at=0, by="", until=0)


def may_be_retried(state: RouteState) -> bool:
    """Whether it ended without what it was for."""
    return state.outcome in (FAILED, CANCELLED)
