"""The queues of destinations: each route is sent, retried later, or abandoned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable, UndecodableEvent
from gantry.common.events import TOPICS, Event, RouteDelayed, RouteEnded, RouteProgressed, RouteRequested, decode
from gantry.common.lifecycle.held_back import HeldBack
from gantry.common.lifecycle.route_timing import RouteTimes
from gantry.common.lifecycle.routes import (
    CANCELLED,
    DELIVERED,
    FAILED,
    MOVE,
    OBJECTS,
    commitment_request,
    may_be_next,
    taken_in_pieces,
)
from gantry.common.ports.log import Consumer, EventLog, Record
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.retrieve.routing.attempt import RouteSender
from gantry.services.retrieve.routing.attempted import Attempted, withheld_words

GROUP = "router"
_TOPIC = TOPICS[RouteRequested].name
_SETTLED = 0.3
"""Seconds without records after which everything on the log has been read, so that all ended routes are known."""
_RECENT_US = 2_000_000
_READ_BY_US = 30_000_000
"""After this many microseconds, what was appended has been read."""
_IDLE = 5.0
_LONGEST_WHY = 200
_MOST_NAMED = 2_000
"""Most withheld instances that are named on the log."""
_REMEMBERED = 10_000
"""Routes that ended are remembered: a request that was published twice is not sent twice."""
logger = get_logger("routing")


@dataclass(frozen=True, slots=True)
class RouterLimits:
    """`give_up` in seconds since the request; `refused` is how often instances are offered to a destination that
    answers and refuses them."""

    delays: Delays = field(default_factory=lambda: Delays(30.0, 3600.0))
    give_up: float = 7 * 24 * 3600.0
    refused: int = 5


@dataclass(slots=True, eq=False)
class _Open:
    """A route that this process has."""

    requested: RouteRequested
    attempts: int = 0
    again: int = 0
    taken: set[str] = field(default_factory=set)
    """SOP Instance UIDs that need not be sent again."""
    withheld: dict[str, str] = field(default_factory=dict)
    """Why instances must not be sent, by SOP Instance UID: each process determines it once."""
    left: bool = True
    """Whether we have to send it: a C-MOVE sends by itself until it leaves something, or is silent."""
    ended: bool = False


@dataclass(slots=True)
class _Lane:
    """One destination. After a failure the whole lane waits until `again` (microseconds): an unavailable destination is
    called once, and not for each waiting study."""

    routes: list[_Open] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    again: int = 0
    failures: int = 0
    task: asyncio.Task[None] | None = None


class Router:
    """One member of the group; it leaves other members' routes alone."""

    def __init__(
        self,
        sender: RouteSender,
        log: EventLog,
        clock: Clock,
        metrics: Metrics,
        times: RouteTimes,
        limits: RouterLimits = RouterLimits(),
        is_under_way: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`times` define when routes are sent, and which goes first. `is_under_way` takes a route: whether a C-MOVE of
        this process is sending its objects."""
        self._is_under_way = is_under_way
        self._times = times
        self._sender = sender
        self._log = log
        self._clock = clock
        self._metrics = metrics
        self._limits = limits
        self._routes: dict[str, _Open] = {}
        self._lanes: dict[str, _Lane] = {}
        self._running: asyncio.Task[None] | None = None
        self._stopping = False

    async def run(self) -> None:
        """Send until `stop`; while the log is unavailable, wait, and then start again from the committed offset."""
        attempt = 0
        while not self._stopping:
            self._running = asyncio.ensure_future(self._work())
            try:
                await self._running
            except asyncio.CancelledError:
                if not self._stopping:
                    await end_tasks(self._running)
                    raise
            except DependencyUnavailable as error:
                logger.warning("routes wait", error=error, attempt=attempt)
                await self._clock.sleep(Delays().after(attempt))
                attempt += 1

    def stop(self) -> None:
        """End `run`: the next member takes up the open routes, from their beginning."""
        self._stopping = True
        if self._running is not None:
            self._running.cancel()

    async def _work(self) -> None:
        held = HeldBack[_Open](lambda route: route.ended)
        self._routes, self._lanes = {}, {}
        async with self._log.consumer(GROUP, [_TOPIC]) as consumer:
            polling: asyncio.Task[list[Record]] | None = None
            try:
                while True:
                    polling = polling or asyncio.ensure_future(consumer.poll())
                    waits = _SETTLED if any(lane.routes for lane in self._lanes.values()) else _IDLE
                    await asyncio.wait([polling, *self._tasks()], timeout=waits, return_when="FIRST_COMPLETED")
                    self._raise_failures()
                    if polling.done():
                        read, polling = polling.result(), None
                        for record in read:
                            held.take((record.topic, record.partition), record.offset, self._taken(record))
                        await consumer.commit([])
                        recent = self._clock.now_us() - _RECENT_US
                        settled = all(record.appended_at >= recent for record in read)
                    else:
                        settled = True
                    if settled:
                        self._begin_lanes()
                    await self._forget(consumer, held)
            finally:
                await end_tasks(polling, *self._tasks())

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [lane.task for lane in self._lanes.values() if lane.task is not None]

    def _raise_failures(self) -> None:
        for task in self._tasks():
            if task.done():
                task.result()

    def _taken(self, record: Record) -> _Open | None:
        """The route that a record opens. A record about an open route changes that route; once the route has ended,
        neither is needed any more."""
        try:
            event = decode(record.payload)
        except UndecodableEvent:
            return None
        if isinstance(event, RouteRequested):
            return self._requested(event)
        return self._apply_progress(event)

    def _requested(self, event: RouteRequested) -> _Open | None:
        if event.route in self._routes:
            return None
        route = self._routes[event.route] = _Open(event, again=event.until, left=not event.until or _is_ours(event))
        lane = self._lanes.setdefault(event.destination, _Lane())
        lane.routes.append(route)
        self._show(event.destination)
        return route

    def _apply_progress(self, event: Event) -> _Open | None:
        if not isinstance(event, RouteProgressed | RouteDelayed | RouteEnded):
            return None
        route = self._routes.get(event.route)
        if route is None or route.ended:
            return None
        if isinstance(event, RouteEnded):
            self._close(route)
        elif isinstance(event, RouteProgressed):
            route.taken.update(event.taken)
            route.again = max(route.again, event.until)
        elif event.attempts >= route.attempts:
            route.attempts, route.again, route.left = event.attempts, event.again, True
        return route

    def _close(self, route: _Open) -> None:
        route.ended = True
        lane = self._lanes[route.requested.destination]
        lane.routes = [other for other in lane.routes if other is not route]
        self._show(route.requested.destination)

    def _show(self, destination: str) -> None:
        self._metrics.routes_open.labels(destination).set(len(self._lanes[destination].routes))

    def _begin_lanes(self) -> None:
        for destination, lane in self._lanes.items():
            if lane.task is None:
                lane.task = asyncio.create_task(self._run_lane(destination, lane))
            lane.wake.set()

    async def _run_lane(self, destination: str, lane: _Lane) -> None:
        while True:
            now = self._clock.now_us()
            first = may_be_next([route.requested for route in lane.routes]) if lane.again <= now else []
            ready = [lane.routes[at] for at in first if self._is_ready(lane.routes[at], now)]
            if ready:
                first_of = self._times.first([(route.requested, route.again) for route in ready])
                await self._send(ready[first_of], lane)
                continue
            lane.wake.clear()
            await lane.wake.wait()

    def _is_ready(self, route: _Open, now_us: int) -> bool:
        if route.again > now_us or self._times.opens_us(route.requested, now_us):
            return False
        return not (not route.left and self._is_under_way(route.requested.route))

    async def _send(self, route: _Open, lane: _Lane) -> None:
        if not route.left:
            route.left = True
            self._metrics.moves_left.labels(route.requested.destination, "silent").inc()
        tried = route.attempts
        known = frozenset(route.taken).union(route.withheld)
        attempted = await self._sender.attempt(route.requested, known, lambda: not route.ended, tried)
        self._withhold(route, attempted)
        if route.ended:
            return  # it was cancelled meanwhile, or reported on
        if attempted.answered or attempted.waits:
            await self._await_report(route, lane, attempted, tried)
            return
        route.attempts += 1
        route.taken.update(attempted.taken)
        if attempted.is_done:
            lane.failures = 0 if attempted.taken else lane.failures
            await self._end(route, _outcome(route, attempted), attempted)
        elif self._is_over(route, attempted):
            await self._end(route, FAILED, attempted)
        else:
            await self._delay(route, lane, attempted)

    def _withhold(self, route: _Open, attempted: Attempted) -> None:
        requested, new = route.requested, attempted.withheld.keys() - route.withheld.keys()
        route.withheld.update(attempted.withheld)
        if new:
            self._metrics.instances_withheld.labels(requested.destination).inc(len(new))
            logger.warning(
                "instances withheld: they cannot be de-identified",
                destination=requested.destination,
                instances=len(new),
                why=withheld_words(attempted.withheld)[:_LONGEST_WHY],
                trace=requested.trace,
            )

    async def _await_report(self, route: _Open, lane: _Lane, attempted: Attempted, tried: int) -> None:
        """The destination has the request; its report is read from the log, whichever process receives it."""
        lane.failures = 0
        if route.attempts != tried:
            return  # it was read already
        if attempted.answered:
            route.again = self._clock.now_us() + _READ_BY_US
            return
        route.attempts += 1
        if self._is_over(route, attempted):
            await self._end(route, FAILED, attempted)
            return
        route.again = self._clock.now_us() + int(attempted.waits * 1e6)
        await self._say_delayed(route, attempted)

    def _is_over(self, route: _Open, attempted: Attempted) -> bool:
        if attempted.refused and route.attempts >= self._limits.refused:
            return True
        return self._clock.now_us() - route.requested.at >= int(self._limits.give_up * 1e6)

    async def _delay(self, route: _Open, lane: _Lane, attempted: Attempted) -> None:
        now = self._clock.now_us()
        if attempted.refused:
            lane.failures = 0
            route.again = now + int(self._limits.delays.after(route.attempts - 1) * 1e6)
        else:
            route.again = lane.again = now + int(self._limits.delays.after(lane.failures) * 1e6)
            lane.failures += 1
        await self._say_delayed(route, attempted)

    async def _say_delayed(self, route: _Open, attempted: Attempted) -> None:
        now, requested = self._clock.now_us(), route.requested
        why = attempted.why[:_LONGEST_WHY]
        logger.warning("route delayed", destination=requested.destination, why=why, attempts=route.attempts)
        await self._log.append(
            *taken_in_pieces(requested, attempted.taken, now),
            RouteDelayed(
                requested.partition,
                requested.trace,
                requested.study_instance_uid,
                requested.route,
                route.attempts,
                why,
                now,
                route.again,
            ),
        )

    async def _end(self, route: _Open, outcome: str, attempted: Attempted) -> None:
        requested = route.requested
        failed, why = len(attempted.failed or ()), attempted.why
        if requested.kind == MOVE and not failed and (gone := requested.asked - len(route.taken)) > 0:
            why = f"{gone} of {requested.asked} instances are not there any more, or not for {requested.requestor}"
        now = self._clock.now_us()
        commits = outcome == DELIVERED and requested.commits and requested.kind == OBJECTS
        more = commitment_request(requested, len(route.taken), now, route.withheld) if commits else []
        why = why or withheld_words(route.withheld)
        named = list(route.withheld.items())[:_MOST_NAMED]
        # A repeated request must not send all of it again.
        taken = () if outcome == DELIVERED else attempted.taken
        await reach(FailPoint.BEFORE_PUBLISH)
        await self._log.append(
            *more,
            *taken_in_pieces(requested, taken, now),
            RouteEnded(
                requested.partition,
                requested.trace,
                requested.study_instance_uid,
                requested.route,
                outcome,
                len(route.taken),
                failed,
                why[:_LONGEST_WHY],
                now,
                withheld=len(route.withheld),
                withheld_uids=tuple(uid for uid, _ in named),
                withheld_why=tuple(reason for _, reason in named),
            ),
        )
        self._close(route)
        self._metrics.routes_ended.labels(requested.destination, outcome).inc()
        logger.info(
            "route ended",
            destination=requested.destination,
            outcome=outcome,
            completed=len(route.taken),
            failed=failed,
            withheld=len(route.withheld),
            trace=requested.trace,
        )

    async def _forget(self, consumer: Consumer, held: HeldBack[_Open]) -> None:
        done: Sequence[Record] = [
            Record(topic, partition, offset, "", b"", 0) for (topic, partition), offset in held.forget()
        ]
        if done:
            await consumer.commit(done)
        surplus = len(self._routes) - _REMEMBERED
        if surplus > 0:
            for route in [name for name, state in self._routes.items() if state.ended][:surplus]:
                del self._routes[route]


def _is_ours(event: RouteRequested) -> bool:
    """Whether the member that reads a route has to send it: a C-MOVE first sends by itself."""
    return event.kind != MOVE or bool(event.by)


def _outcome(route: _Open, attempted: Attempted) -> str:
    """The outcome of a route with nothing left to try."""
    if route.taken or attempted.is_delivered:
        return DELIVERED
    return FAILED if route.withheld else CANCELLED
