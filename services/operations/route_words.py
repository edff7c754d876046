"""A route in words, for the command and for the page. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.common.events import RouteRequested
from gantry.common.lifecycle.route_timing import RouteTimes
from gantry.common.lifecycle.routes import MOVE, PATIENT_KINDS, PREFETCH, STEP_KINDS, RouteState
from gantry.services.whereabouts.words import moment


@dataclass(frozen=True, slots=True)
class WaitingTimes:
    """Why and until when open routes wait, by the settings."""

    times: RouteTimes
    now_us: int

    def opens(self, state: RouteState) -> int:
        """When the time of its rule begins, in microseconds since 1970; 0 if it is now."""
        return 0 if state.outcome else self.times.opens_us(state.requested, self.now_us)

    def next_us(self, state: RouteState) -> int:
        """When it is tried next, 0 if that is now."""
        return 0 if state.outcome else max(state.again, self.opens(state))

    def next(self, state: RouteState) -> str:
        """The same in words, "" if that is now."""
        at = self.next_us(state)
        return moment(at) if at else ""


def what_goes(route: RouteRequested) -> str:
    """What is sent to the destination."""
    return f"objects, de-identified by {route.deidentify}" if route.deidentify else route.kind or "objects"


def because_of(route: RouteRequested) -> str:
    """The rule, or the requester of the C-MOVE."""
    if route.kind == PREFETCH:
        return f"{route.rule}, order {route.requestor}"
    return f"C-MOVE of {route.requestor}" if route.kind == MOVE else route.rule


def open_state(state: RouteState, opens: int) -> str:
    """The state of an open route. `opens` is when its time begins, 0 if it is now."""
    if opens:
        return "waits for its time"
    if state.attempts or state.again:
        return "waits"
    return "under way" if state.requested.kind == MOVE and not state.requested.by else "new"


def as_json(state: RouteState, waiting: WaitingTimes) -> dict[str, object]:
    """All details of a route."""
    route = state.requested
    return {
        "route": route.route,
        "study": None if route.kind in STEP_KINDS or route.kind in PATIENT_KINDS else route.study_instance_uid,
        "step": route.study_instance_uid if route.kind in STEP_KINDS else None,
        "patient": route.study_instance_uid if route.kind in PATIENT_KINDS else None,
        "destination": route.destination,
        "kind": route.kind or "objects",
        "rule": route.rule,
        "since": moment(route.at),
        "requestor": route.requestor or None,
        "asked": route.asked or None,
        "left": state.left,
        "state": state.outcome or open_state(state, waiting.opens(state)),
        "attempts": state.attempts,
        "next": waiting.next(state) or None,
        "completed": state.completed,
        "failed": state.failed,
        "deidentified_by": route.deidentify or None,
        "withheld": state.withheld,
        "reasons": dict(state.reasons),
        "why": state.why,
        "by": state.by or route.by,
    }
