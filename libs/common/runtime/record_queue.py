"""Records of events on their way to the log: adding one never waits, and never fails the recorded work."""

from __future__ import annotations

from collections import deque

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import Event
from gantry.common.ports.log import EventLog
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics

_FLUSH_SECONDS = 1.0
_MOST_WAITING = 2000
logger = get_logger("records")


class RecordQueue:
    """The records of a process. The queue is limited: while the log is unavailable, further records are counted and
    dropped."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._waiting: deque[Event] = deque()

    def add(self, record: Event) -> None:
        """Append a record soon. Returns at once."""
        if len(self._waiting) >= _MOST_WAITING:
            self._metrics.association_records_dropped.inc()
            return
        self._waiting.append(record)

    async def run(self, log: EventLog) -> None:
        """Append the recorded events, once a second, for ever."""
        while True:
            await self._clock.sleep(_FLUSH_SECONDS)
            await self.flush(log)

    async def flush(self, log: EventLog) -> None:
        """Append waiting records; they stay waiting while the log is unavailable."""
        batch = list(self._waiting)
        if not batch:
            return
        try:
            await log.append(*batch)
        except DependencyUnavailable as error:
            logger.warning("associations were not recorded yet", error=error, waiting=len(batch))
            return
        for _ in batch:
            self._waiting.popleft()
