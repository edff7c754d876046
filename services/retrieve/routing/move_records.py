"""C-MOVEs on the log, while they are under way in this process: the member that has the routes delivers what they
leave.

The order of effects: `RouteRequested` is durable before the first sub-operation; `RouteProgressed` follows while the
move goes on; `RouteEnded`, or `RouteDelayed` for what was not taken, is durable before the final response. So a process
that dies leaves what it had not recorded as taken. While the log is unavailable, a move continues like any other, and
its records wait in memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from secrets import token_hex

from gantry.common.clock import Clock
from gantry.common.dicom.query.matching import Query
from gantry.common.errors import GantryError
from gantry.common.events import Event
from gantry.common.net import Peer, Request
from gantry.common.ports.index import Location
from gantry.common.ports.log import EventLog
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.retrieve.dimse.suboperations import Counters
from gantry.services.retrieve.routing.unfinished import MOST_NAMED, RequestedMove, UnfinishedMove, begun

_ANSWER_SECONDS = 2.0
"""How long a move waits for the log."""
_SAID_EVERY = 2.0
_RENEWALS = 5
"""How often a move is recorded within the time after which it is taken over."""
_MOST_WAITING = 10_000
"""Records that wait while the log is unavailable; beyond that, moves under way are not recorded any more, and are sent
twice."""
logger = get_logger("routing")


class MoveRecords:
    """The moves of one process to destinations for which they are finished."""

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        metrics: Metrics,
        destinations: Collection[str],
        silent: float,
        retry_after: float,
    ) -> None:
        """`silent` and `retry_after` in seconds: others take over a move without records for `silent`, and retry what
        failed after `retry_after`."""
        self._log = log
        self._clock = clock
        self._metrics = metrics
        self._destinations = frozenset(destinations)
        self._silent = silent
        self._retry_after = retry_after
        self._moves: dict[RecordedMove, None] = {}
        self._waiting: deque[Event] = deque()
        self._appending = asyncio.Lock()
        self._flushes: set[asyncio.Task[None]] = set()

    async def begins(
        self, request: Request, peer: Peer, query: Query, locations: Sequence[Location], counters: Counters
    ) -> RecordedMove | None:
        """`gantry.services.retrieve.dimse.service.MoveBegins`. A move on behalf of a user is not recorded: what the
        user may see is known only on that association."""
        association = request.association
        if peer.called_ae_title not in self._destinations or association.user is not None:
            return None
        order = RequestedMove(
            association.calling_ae_title, request.command.message_id, peer.called_ae_title, association.trace
        )
        now = self._clock.now_us()
        routes = begun(order, query.conditions, locations, _names(), now, self._until(now))
        if not routes:
            if routes is None:
                logger.warning("C-MOVE names too much to be finished later", most=MOST_NAMED, trace=association.trace)
            return None
        move = RecordedMove(self, request, UnfinishedMove(routes, locations, counters))
        self._moves[move] = None
        self._waiting.extend(routes)
        try:
            await self.written()
            await reach(FailPoint.AFTER_PUBLISH)
        except BaseException:
            move.leave()
            raise
        return move

    def is_under_way(self, route: str) -> bool:
        """Whether this process is sending the objects of a route for a C-MOVE."""
        return any(route == request.route for move in self._moves for request in move.unfinished.routes)

    def ended(self, move: RecordedMove, *, withdrawn: bool) -> None:
        """A move has ended: its last records are now waiting."""
        del self._moves[move]
        now = self._clock.now_us()
        again = now + int(self._retry_after * 1e6)
        self._waiting.extend(move.unfinished.end(now, again, withdrawn=withdrawn))
        if move.unfinished.left and not withdrawn:
            why = "failed" if move.unfinished.counters.failed else "requestor"
            self._metrics.moves_left.labels(move.unfinished.routes[0].destination, why).inc()

    async def written(self) -> None:
        """Return when the waiting records are on the log, or after some seconds."""
        flush = asyncio.create_task(self.flush())
        self._flushes.add(flush)
        flush.add_done_callback(self._flushes.discard)
        await asyncio.wait([flush], timeout=_ANSWER_SECONDS)

    async def run(self) -> None:
        """Publish progress, for ever."""
        renewal = self._silent / _RENEWALS
        renew_at = 0.0
        while True:
            await self._clock.sleep(min(_SAID_EVERY, renewal))
            if len(self._waiting) < _MOST_WAITING:
                now, renewed = self._clock.now_us(), self._clock.monotonic() >= renew_at
                renew_at = self._clock.monotonic() + renewal if renewed else renew_at
                for move in self._moves:
                    self._waiting.extend(move.unfinished.progress(now, self._until(now), renewed=renewed))
            await self.written()

    async def flush(self) -> None:
        """Append the waiting records; they stay waiting while the log is unavailable."""
        async with self._appending:
            batch = list(self._waiting)
            if not batch:
                return
            try:
                await self._log.append(*batch)
            except GantryError as error:
                logger.warning("moves are not on the log yet", error=error, waiting=len(batch))
                return
            for _ in batch:
                self._waiting.popleft()

    def _until(self, now_us: int) -> int:
        return now_us + int(self._silent * 1e6)


class RecordedMove:
    """`gantry.services.retrieve.dimse.service.MoveRecord`."""

    def __init__(self, records: MoveRecords, request: Request, unfinished: UnfinishedMove) -> None:
        self.unfinished = unfinished
        self._records = records
        self._request = request
        self._over = False

    async def end(self) -> None:
        await reach(FailPoint.BEFORE_PUBLISH)
        self.leave()
        await self._records.written()

    def leave(self) -> None:
        if not self._over:
            self._over = True
            self._records.ended(self, withdrawn=self._request.withdrawn)


def _names() -> Iterator[str]:
    while True:
        yield token_hex(16)
