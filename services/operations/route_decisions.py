"""Decisions of a person about routes: to cancel them, or to send again. For the command and for the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from blake3 import blake3

from gantry.common.clock import Clock
from gantry.common.events import Event, RouteEnded, RouteRequested
from gantry.common.lifecycle.routes import CANCELLED, READ_US, RouteState, taken_in_pieces
from gantry.common.ports.log import EventLog


async def give_up(log: EventLog, clock: Clock, states: Iterable[RouteState], by: str) -> list[str]:
    """Cancel routes that wait or are under way. Returns their names. Raises `DependencyUnavailable`: some may be
    cancelled."""
    names = []
    at = clock.now_us()
    for state in states:
        route = state.requested
        numbers = len(state.taken), state.left or 0
        identity = route.partition, route.trace, route.study_instance_uid, route.route
        await log.append(RouteEnded(*identity, CANCELLED, *numbers, "", at, by))
        names.append(route.route)
    return names


async def send_again(log: EventLog, clock: Clock, states: Iterable[RouteState], by: str) -> list[str]:
    """Request ended routes again, as new routes, with what is not known to have been taken. Returns their names. Raises
    `DependencyUnavailable`: nothing is requested."""
    made: list[Event] = []
    for state in states:
        at = clock.now_us()
        name = blake3(f"{state.requested.route} {at}".encode()).hexdigest()[:32]
        # The sender reads first what was taken.
        until = at + READ_US if state.taken else 0
        requested = replace(state.requested, route=name, at=at, by=by, until=until)
        made += [requested, *taken_in_pieces(requested, sorted(state.taken), at)]
    if made:
        await log.append(*made)
    return [event.route for event in made if isinstance(event, RouteRequested)]
