"""What was sent on of studies, and who was told of them: routes of the log, and subscriptions over FHIR. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from gantry.common.events import Event
from gantry.common.lifecycle.routes import (
    AVAILABILITY,
    CHANGE,
    CORRECTION,
    DELIVERED,
    FAILED,
    MOVE,
    OBJECTS,
    PREFETCH,
    RouteLedger,
    RouteState,
    receipts_of,
)
from gantry.common.subscriptions.fold import Subscriptions

_TELLS = frozenset((AVAILABILITY, CHANGE, CORRECTION))
_BY_DELIVERY = frozenset((OBJECTS, MOVE))
"""What is delivered of these is in the deliveries of a study."""
WAITS, ACCEPTED = "waits", "accepted"


@dataclass(frozen=True, slots=True)
class Onward:
    """Something that goes on to a destination: `kind` is that of its route, or "FHIR" and what happened to the study.
    `state` is "waits", "accepted", or the outcome of the route, which it had `at` (or since when it waits); `again` is
    when it is tried next, 0 where that is not known. `route` is "" for what is no route. Times as everywhere."""

    destination: str
    kind: str
    state: str
    at: int
    rule: str = ""
    attempts: int = 0
    why: str = ""
    again: int = 0
    route: str = ""

    @property
    def tells(self) -> bool:
        """Whether the destination is told, and gets no objects."""
        return self.kind in _TELLS or self.kind.startswith("FHIR")

    @property
    def has_failed(self) -> bool:
        """Whether it is over, and somebody has to decide."""
        return self.state == FAILED


class OnwardOf:
    """What goes on of some studies, from the events of the log in its order."""

    def __init__(self, studies: Collection[str]) -> None:
        self._studies = frozenset(studies)
        self._ledger = RouteLedger()
        self._subscriptions = Subscriptions()

    def route(self, event: Event) -> None:
        """Take an event of the routes."""
        if getattr(event, "study_instance_uid", "") in self._studies:
            self._ledger.take(event)

    def subscription(self, event: Event) -> None:
        """Take an event of subscriptions, or of what was told to them."""
        self._subscriptions.apply(event)

    def of(self, study: str) -> tuple[Onward, ...]:
        """In the order in which they began. Left out are objects that were delivered, since who got them is told; what
        failed or was cancelled and was asked for again; and priors for an order, which come, and are other studies."""
        return tuple(sorted((*self._routes(study), *self._notifications(study)), key=lambda dispatch: dispatch.at))

    def _routes(self, study: str) -> Iterator[Onward]:
        newest: dict[tuple[object, ...], RouteState] = {}
        for state in self._ledger.all():
            route = state.requested
            if route.study_instance_uid == study and route.kind != PREFETCH:
                about = route.destination, route.kind, route.rule, receipts_of(route), route.sop_instance_uids
                before = newest.pop(about, None)
                # What ended and was asked for again is told by what came of it then.
                if before is not None and (not before.outcome or before.outcome == DELIVERED):
                    yield from _shown(before)
                newest[about] = state
        for state in newest.values():
            yield from _shown(state)

    def _notifications(self, study: str) -> Iterator[Onward]:
        for _, subscription in self._subscriptions.all():
            assert subscription.created is not None
            receiver = f"{subscription.created.host} ({subscription.created.by})"
            for event in subscription.kept.values():
                if event.study_instance_uid == study:
                    state = ACCEPTED if event.number <= subscription.told else WAITS
                    yield Onward(receiver, f"FHIR {event.kind}", state, event.at, why=_why(state, subscription.reason))


def _shown(state: RouteState) -> Iterator[Onward]:
    if not (state.requested.kind in _BY_DELIVERY and state.outcome == DELIVERED):
        yield _onward(state)


def _onward(state: RouteState) -> Onward:
    route = state.requested
    at = state.ended_at if state.outcome else route.at
    word, again = state.outcome or WAITS, 0 if state.outcome else state.again
    return Onward(
        route.destination, route.kind or "objects", word, at, route.rule, state.attempts, state.why, again, route.route
    )


def _why(state: str, reason: str) -> str:
    return reason if state == WAITS else ""
