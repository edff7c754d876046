"""What was promised: check the objects of each pending transaction, deliver its report, try again until it is taken.

The worker is the active member of a consumer group. It commits no further than the oldest transaction that is still
pending, so whoever takes the place next gets that one and all after it again; those reported meanwhile are known from
a replay of the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from libs.common.clock import Clock
from libs.common.config.settings import Commitment
from libs.common.errors import DependencyUnavailable, PeerError, UndecodableEvent
from libs.common.events import CommitmentFailure, CommitmentReported, CommitmentRequested, Event, decode
from libs.common.ports.log import Consumer, EventLog, Record
from libs.common.runtime.backoff import Delays
from libs.common.telemetry.logs import get_logger
from libs.common.telemetry.metrics import Metrics
from services.commitment.checks import Checks
from services.commitment.reports import Reports
from services.commitment.transactions import Ledger, Offsets

T = TypeVar("T")

GROUP = "commitment"
TOPIC = "commitment"
_DAY = 24 * 3600.0
_DECODED_INLINE = 65536
_LOG_AWAY = Delays(first=0.5, longest=30.0)


class CommitmentWorker:
    """One per process; of all processes, one works and the others wait."""

    def __init__(
        self,
        log: EventLog,
        ledger: Ledger,
        checks: Checks,
        reports: Reports,
        clock: Clock,
        metrics: Metrics,
        settings: Commitment,
    ) -> None:
        self._log = log
        self._ledger = ledger
        self._checks = checks
        self._reports = reports
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self._delays = Delays(settings.retry_first, settings.retry_longest)
        self._said = get_logger("commitment")

    async def remember(self) -> None:
        """Learn from the log which transactions there were. Before the service answers its first request."""
        async for record in self._log.replay(TOPIC):
            event = await _event(record)
            if event is not None:
                self._ledger.apply(record.offset, event)
        self._ledger.forget_before(self._clock.now_us())

    async def run(self) -> None:
        """Work until cancelled. What is under way then is taken up again at the next start."""
        # The tasks end before the place is left: none of them may commit after that.
        async with self._log.consumer(GROUP, [TOPIC]) as consumer, asyncio.TaskGroup() as tasks:
            await self._consume(consumer, tasks)

    async def _consume(self, consumer: Consumer, tasks: asyncio.TaskGroup) -> None:
        offsets = Offsets()
        records = await self._persist(consumer.poll)
        # The place is ours now. Whoever held it before may have reported more than we have seen.
        await self._persist(self.remember)
        while True:
            offsets.seen(records)
            for record in records:
                await self._begin(record, offsets, consumer, tasks)
            await self._commit(offsets, consumer)
            records = await self._persist(consumer.poll)

    async def _begin(self, record: Record, offsets: Offsets, consumer: Consumer, tasks: asyncio.TaskGroup) -> None:
        event = await _event(record)
        # A second request with the same UID, or one that was reported before, is owed nothing.
        if event is not None and self._ledger.apply(record.offset, event) and isinstance(event, CommitmentRequested):
            offsets.begin(record)
            tasks.create_task(self._work(event, record, offsets, consumer))

    async def _work(self, request: CommitmentRequested, record: Record, offsets: Offsets, consumer: Consumer) -> None:
        try:
            failures = await self._checks.failures(request.partition, request.references)
            self._count(request, failures)
            delivered = await self._deliver(request, failures)
            await self._reported(request, failures, delivered)
        except Exception as error:
            # A fault of ours must not end the other transactions; this one is taken up again at the next start.
            self._said.error("transaction failed", error=error, transaction_uid=request.transaction_uid)
            return
        offsets.finish(record)
        await self._commit(offsets, consumer)

    async def _deliver(self, request: CommitmentRequested, failures: list[CommitmentFailure]) -> bool:
        """Try until the peer has taken the report; False where that took too many days."""
        attempt = 0
        while True:
            try:
                await self._reports.deliver(request, failures)
                self._metrics.commitment_reports.labels("delivered").inc()
                return True
            except PeerError as error:
                waited = (self._clock.now_us() - request.requested_at) / 1e6
                given_up = waited >= self._settings.give_up * _DAY
                self._metrics.commitment_reports.labels("given_up" if given_up else "retried").inc()
                self._said.warning(
                    "report not delivered",
                    error=error,
                    given_up=given_up,
                    attempt=attempt,
                    transaction_uid=request.transaction_uid,
                    peer=request.calling_ae_title,
                )
                if given_up:
                    return False
            await self._clock.sleep(self._delays.after(attempt))
            attempt += 1

    async def _reported(self, request: CommitmentRequested, failures: list[CommitmentFailure], delivered: bool) -> None:
        event = CommitmentReported(
            partition=request.partition,
            trace=request.trace,
            transaction_uid=request.transaction_uid,
            calling_ae_title=request.calling_ae_title,
            reported_at=self._clock.now_us(),
            delivered=delivered,
            failures=tuple(failures),
        )
        await self._persist(lambda: self._log.append(event))

    async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
        """The result of `call`, made again while the log is away."""
        attempt = 0
        while True:
            try:
                return await call()
            except DependencyUnavailable as error:
                self._said.warning("event log away", error=error)
            await self._clock.sleep(_LOG_AWAY.after(attempt))
            attempt += 1

    async def _commit(self, offsets: Offsets, consumer: Consumer) -> None:
        """Where this fails, the next commit says the same and more."""
        with suppress(DependencyUnavailable):
            await consumer.commit(offsets.committable())

    def _count(self, request: CommitmentRequested, failures: list[CommitmentFailure]) -> None:
        committed = len(request.references) - len(failures)
        self._metrics.commitment_instances.labels("0000").inc(committed)
        for failure in failures:
            self._metrics.commitment_instances.labels(f"{failure.reason:04X}").inc()


async def _event(record: Record) -> Event | None:
    """The event in a record; one that names very many instances is decoded off the event loop."""
    try:
        if len(record.payload) > _DECODED_INLINE:
            return await asyncio.to_thread(decode, record.payload)
        return decode(record.payload)
    except UndecodableEvent:
        get_logger("commitment").error("undecodable event passed over", topic=record.topic, offset=record.offset)
        return None
