"""Routes over HTTP, as in `gantry routes`: waiting and failed ones, by destination; cancelled, sent again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aiohttp import web

from gantry.common.clock import Clock
from gantry.common.lifecycle.route_board import RouteBoard, may_be_retried
from gantry.common.lifecycle.route_timing import RouteTimes
from gantry.common.lifecycle.routes import RouteState
from gantry.common.ports.log import EventLog
from gantry.common.web.errors import HttpProblem
from gantry.common.web.json_bodies import json_body
from gantry.services.operations.callers import Operators
from gantry.services.operations.route_decisions import give_up, send_again
from gantry.services.operations.route_words import WaitingTimes, as_json
from gantry.services.operations.topic_reader import TopicReader
from gantry.services.operations.turns import RequestLimit
from gantry.services.operations.web import Parts, answer_json, number

_MOST_OFFSET = 1_000_000
_MOST_AT_ONCE = 1_000


class RoutesPart:
    """`board` is what `reader` has read."""

    def __init__(
        self,
        board: RouteBoard,
        reader: TopicReader,
        log: EventLog,
        times: RouteTimes,
        clock: Clock,
        operators: Operators,
        turns: RequestLimit,
    ) -> None:
        self._board = board
        self._reader = reader
        self._log = log
        self._times = times
        self._clock = clock
        self._operators = operators
        self._turns = turns

    def parts(self) -> Parts:
        """What it answers."""
        return {
            ("GET", "routes"): self.listed,
            ("POST", "routes/cancel"): self.cancel,
            ("POST", "routes/retry"): self.retry,
        }

    async def listed(self, request: web.BaseRequest, _: tuple[str, ...]) -> web.StreamResponse:
        """A page of waiting routes, the oldest first, or with `state=ended` of those that failed, were cancelled, or
        withheld something, the latest first; and the state of each destination."""
        state, destination = request.query.get("state", "waiting"), request.query.get("destination", "")
        if state not in ("waiting", "ended"):
            raise HttpProblem(400, "state: waiting or ended")
        limit, offset = number(request, "limit", 50, 200), number(request, "offset", 0, _MOST_OFFSET, 0)
        async with self._turns.turn():
            await self._reader.read()
        now = self._clock.now_us()
        routes = self._board.waiting(destination) if state == "waiting" else self._board.ended(destination)
        destinations = self._board.destinations(now)
        waiting = WaitingTimes(self._times, now)
        return await answer_json(
            request,
            {
                "routes": [_listed_route(state, waiting) for state in routes[offset : offset + limit]],
                "count": len(routes),
                "next": offset + limit if offset + limit < len(routes) else None,
                "waiting": sum(destination.waiting for destination in destinations),
                "failed": sum(destination.failed for destination in destinations),
                "destinations": [asdict(destination) for destination in destinations],
            },
        )

    async def cancel(self, request: web.BaseRequest, _: tuple[str, ...]) -> web.StreamResponse:
        """Cancel waiting routes: `routes` by their names, or all of a `destination`. 404 if there are none."""
        by = self._operators.viewer(request)
        chosen = await self._chosen(request, self._board.waiting)
        return await answer_json(request, {"cancelled": await give_up(self._log, self._clock, chosen, by)})

    async def retry(self, request: web.BaseRequest, _: tuple[str, ...]) -> web.StreamResponse:
        """Send again what failed or was cancelled: `routes` by their names, or all of a `destination` that failed. 404
        if there are none."""
        by = self._operators.viewer(request)
        chosen = await self._chosen(
            request, lambda to: self._board.failed(to) if to else list(filter(may_be_retried, self._board.ended()))
        )
        return await answer_json(request, {"requested": await send_again(self._log, self._clock, chosen, by)})

    async def _chosen(
        self, request: web.BaseRequest, lookup: Callable[[str], Sequence[RouteState]]
    ) -> Sequence[RouteState]:
        names, destination = _selection_in(await json_body(request))
        async with self._turns.turn():
            await self._reader.read()
        states = lookup(destination)
        if names:
            states = [state for state in states if state.requested.route in names]
        if not states or len(states) < len(names):
            raise HttpProblem(404, "no such route is in a state for that any more: look again")
        return states[:_MOST_AT_ONCE]


def _selection_in(body: Any) -> tuple[frozenset[str], str]:
    """The routes that a body names, or a destination."""
    if isinstance(body, Mapping) and len(body) == 1:
        names, destination = body.get("routes"), body.get("destination")
        if isinstance(destination, str) and 0 < len(destination) <= 256:
            return frozenset(), destination
        if isinstance(names, list) and 0 < len(names) <= _MOST_AT_ONCE and all(isinstance(name, str) for name in names):
            return frozenset(names), ""
    raise HttpProblem(400, f'the body is {{"routes": [NAME, …]}}, at most {_MOST_AT_ONCE}, or {{"destination": NAME}}')


def _listed_route(state: RouteState, waiting: WaitingTimes) -> dict[str, object]:
    route = state.requested
    return {**as_json(state, waiting), "at": route.at, "next_at": waiting.next_us(state), "ended_at": state.ended_at}
