"""Associations as events: what `gantry associations` lists.

They are bounded: associations with verification only are recorded once a minute for each peer, with their number, and
so are refusals of one kind; the queue for the event log is limited; and the log retains them for 14 days.
"""

from __future__ import annotations

from collections import Counter

from gantry.common.clock import Clock
from gantry.common.events import AssociationEnded, AssociationRefused, RequestAnswers
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.net import Association
from gantry.common.ports.log import EventLog
from gantry.common.runtime.record_queue import RecordQueue
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.rate_limited import RateLimited

_MOST_ANSWERS = 20
_LONGEST_WHY = 200
_ECHO = "C-ECHO"
Answers = Counter[tuple[str, int, str]]
"""Counts by command, status and Error Comment ("" if it is not a refusal)."""


class AssociationRecords:
    """The records of a process that wait for the log. Recording never waits, and never fails an association."""

    def __init__(self, role: str, clock: Clock, metrics: Metrics) -> None:
        self._role = role
        self._clock = clock
        self._seldom = RateLimited()
        self._queue = RecordQueue(clock, metrics)

    def ended(self, association: Association, outcome: str, answers: Answers, seconds: float) -> None:
        """An association that was open for `seconds` has ended."""
        title, address = association.calling_ae_title, association.peer_address
        times = 1
        if outcome == "released" and all(kind == (_ECHO, 0, "") for kind in answers):
            times = self._seldom.times((title, address, association.called_ae_title), self._clock.monotonic())
            if not times:
                return
        now = self._clock.now_us()
        most = answers.most_common(_MOST_ANSWERS)
        self._queue.add(
            AssociationEnded(
                partition=DEFAULT_PARTITION,
                trace=association.trace,
                role=self._role,
                calling_ae_title=title,
                called_ae_title=association.called_ae_title,
                peer_address=address,
                tls=association.peer_speaks_tls,
                opened_at=now - int(seconds * 1e6),
                ended_at=now,
                outcome=outcome,
                bytes_in=association.connection.bytes_read,
                bytes_out=association.connection.bytes_written,
                answers=tuple(RequestAnswers(c, s, number, why[:_LONGEST_WHY]) for (c, s, why), number in most),
                times=times,
            )
        )

    def refused(
        self, titles: tuple[str, str], peer_address: str, numbers: tuple[int, int, int], why: str, times: int
    ) -> None:
        """A peer got no association; `titles` are the calling and the called one."""
        now = self._clock.now_us()
        self._queue.add(
            AssociationRefused(
                DEFAULT_PARTITION, "", self._role, *titles, peer_address, *numbers, why[:_LONGEST_WHY], now, times
            )
        )

    async def run(self, log: EventLog) -> None:
        """Append the records to the log, once a second, for ever."""
        await self._queue.run(log)

    async def flush(self, log: EventLog) -> None:
        """Append waiting records; they stay while the log is unavailable."""
        await self._queue.flush(log)
