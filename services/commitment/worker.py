"""What was promised: check the objects of each pending transaction, deliver its report, try again until it is taken.

Two take part. The process that took a request checks its objects and reports on the requesting association, while that
is open; nobody else can. The active member of the consumer group, in this process or another one, does what remains: it
waits for the former where that is at work here, gives it some seconds where it may be elsewhere, and else reports on
associations of our own, for days if need be. Should both deliver, the requester gets the same report twice.

The active member commits no further than the oldest transaction that is still owed a report, so whoever takes the
place next gets that one and all after it again. What is known of transactions is kept (`snapshots`) whenever much has
come, and what has been owed a report since before the last time is appended again: so a start reads a snapshot, what is
owed a report, and the little that came since, whatever the history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from gantry.common.clock import Clock
from gantry.common.config.settings import Commitment
from gantry.common.errors import DependencyUnavailable, PeerError, UndecodableEvent
from gantry.common.events import CommitmentFailure, CommitmentReported, CommitmentRequested, Event, decode
from gantry.common.net import Association
from gantry.common.ports.log import Consumer, EventLog, Record
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.commitment.checks import Checks
from gantry.services.commitment.reports import Reports
from gantry.services.commitment.snapshots import Snapshots
from gantry.services.commitment.transactions import Ledger, Offsets

T = TypeVar("T")
Checked = list[CommitmentFailure]

GROUP = "commitment"
TOPIC = "commitment"
_DAY = 24 * 3600.0
_DECODED_INLINE = 65536
_HAND_OVER_SECONDS = 3.0
_REMEMBERED_HERE = 10_000
_AWAY = Delays(first=0.5, longest=30.0)
_SKEW_US = 300_000_000
"""How far the clocks of the machines that append may differ."""
KEEP_AFTER = 1000
"""Records after which what is known is kept anew; one that names many instances counts for more."""
_BYTES_OF_ONE = 16384


class CommitmentWorker:
    """One per process; of all processes, one works and the others wait."""

    def __init__(
        self,
        log: EventLog,
        ledger: Ledger,
        snapshots: Snapshots,
        checks: Checks,
        reports: Reports,
        clock: Clock,
        metrics: Metrics,
        settings: Commitment,
        keep_after: int = KEEP_AFTER,
    ) -> None:
        self._log = log
        self._ledger = ledger
        self._snapshots = snapshots
        self._keep_after = keep_after
        self._checks = checks
        self._reports = reports
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self._delays = Delays(settings.retry_first, settings.retry_longest)
        self._here: dict[str, asyncio.Future[Checked | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._recalled = False
        self._since_us = 0
        self._heard = 0.0
        """Since what is known was kept."""
        self._begun: dict[str, CommitmentRequested] = {}
        self._held: dict[str, list[Record]] = {}
        """By transaction, the records that nobody may commit past yet."""
        self._long_held: set[str] = set()
        self._logger = get_logger("commitment")

    async def remember(self) -> None:
        """Learn which transactions there were, before the service answers its first request. Waits for stores that are
        away."""
        await self._persist(self._remember)

    async def _remember(self) -> None:
        if not self._recalled:
            snapshot = await self._snapshots.latest()
            if snapshot is not None:
                self._ledger.take_up(snapshot)
                self._since_us = snapshot.since_us
            self._recalled = True
        now_us = self._clock.now_us()
        async for record in self._log.replay(TOPIC, self._since_us):
            event = await self._hear(record)
            if event is not None:
                self._ledger.apply(event)
        self._since_us = max(self._since_us, now_us - _SKEW_US)
        self._ledger.forget_before(now_us)

    async def run(self) -> None:
        """Work until cancelled. What is under way then is taken up again at the next start."""
        # The tasks end before the place is left: none of them may commit after that.
        async with self._log.consumer(GROUP, [TOPIC]) as consumer, asyncio.TaskGroup() as tasks:
            try:
                await self._consume(consumer, tasks)
            finally:
                for task in self._tasks:
                    task.cancel()

    async def _consume(self, consumer: Consumer, tasks: asyncio.TaskGroup) -> None:
        offsets = Offsets()
        records = await self._persist(consumer.poll)
        # The place is ours now. Whoever held it before may have reported more than we have seen.
        await self.remember()
        while True:
            offsets.seen(records)
            for record in records:
                await self._begin(record, offsets, consumer, tasks)
            if self._heard >= self._keep_after:
                await self._keep(offsets)
            await self._commit(offsets, consumer)
            records = await self._persist(consumer.poll)

    async def _hear(self, record: Record) -> Event | None:
        self._heard += 1 + len(record.payload) / _BYTES_OF_ONE
        return await _event(record)

    async def _begin(self, record: Record, offsets: Offsets, consumer: Consumer, tasks: asyncio.TaskGroup) -> None:
        event = await self._hear(record)
        # One that was reported before is owed nothing.
        if event is None or not self._ledger.apply(event) or not isinstance(event, CommitmentRequested):
            return
        offsets.begin(record)
        self._held.setdefault(event.transaction_uid, []).append(record)
        if event.transaction_uid not in self._begun:
            self._begun[event.transaction_uid] = event
            tasks.create_task(self._work(event, offsets, consumer))

    def _let_go(self, transaction_uid: str, offsets: Offsets) -> None:
        for record in self._held.pop(transaction_uid, ()):
            offsets.finish(record)

    async def _keep(self, offsets: Offsets) -> None:
        """Keep what is known, and carry forward what was held already when that was done last."""
        try:
            await self._remember()
            await self._snapshots.keep(self._ledger.snapshot(self._since_us))
            for uid in [uid for uid in self._long_held if uid in self._held]:
                held = self._held[uid]
                await self._log.append(self._begun[uid])
                await reach(FailPoint.BEFORE_COMMIT)
                if self._held.get(uid) is held:
                    self._let_go(uid, offsets)
        except DependencyUnavailable as error:
            self._logger.warning("what is known of transactions was not kept", error=error)
            return
        self._heard = 0.0
        self._long_held = set(self._held)

    async def _work(self, request: CommitmentRequested, offsets: Offsets, consumer: Consumer) -> None:
        try:
            if not await self._is_done_here(request):
                failures = await self._checks.failures(request.partition, request.calling_ae_title, request.references)
                await self._leave_to_others(request)
                await self._finish(request, failures)
        except Exception as error:
            # A fault of ours must not end the other transactions; this one is taken up again at the next start.
            self._logger.error("transaction failed", error=error, transaction_uid=request.transaction_uid)
            return
        del self._begun[request.transaction_uid]
        self._let_go(request.transaction_uid, offsets)
        await self._commit(offsets, consumer)

    async def _is_done_here(self, request: CommitmentRequested) -> bool:
        """Whether this process took the request, and so is done with it, on whatever association."""
        here = self._here.get(request.transaction_uid)
        checked = await asyncio.shield(here) if here is not None else None
        if checked is None:
            return False
        await self._finish(request, checked)
        return True

    async def _finish(self, request: CommitmentRequested, failures: Checked) -> None:
        if not self._ledger.is_reported(request.transaction_uid):
            delivered = await self._deliver(request, failures)
            if delivered is not None:
                await self._reported(request, failures, delivered)

    async def _leave_to_others(self, request: CommitmentRequested) -> None:
        """Another process may be about to report on the requesting association."""
        end = self._clock.monotonic() + _HAND_OVER_SECONDS
        while self._clock.monotonic() < end and not self._ledger.is_reported(request.transaction_uid):
            await self._clock.sleep(0.1)

    # ---- the process that took the request

    def expect(self, transaction_uid: str) -> None:
        """A request is about to become an event; `begin_here` follows, whatever happens."""
        while len(self._here) >= _REMEMBERED_HERE:
            del self._here[next(iter(self._here))]
        self._here[transaction_uid] = asyncio.get_running_loop().create_future()

    def begin_here(self, transaction_uid: str, request: CommitmentRequested | None, association: Association) -> None:
        """The request has been answered; None: it became no event, or may not have."""
        outcome = self._here[transaction_uid]
        if request is None:
            del self._here[transaction_uid]
            outcome.set_result(None)
            return
        task = asyncio.create_task(self._work_here(request, association, outcome))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work_here(
        self,
        request: CommitmentRequested,
        association: Association,
        outcome: asyncio.Future[Checked | None],
    ) -> None:
        """Check, and report on the requesting association if it is still open then."""
        failures: Checked | None = None
        until = self._clock.monotonic() + self._settings.same_association_wait
        try:
            failures = await self._checks.failures(request.partition, request.calling_ae_title, request.references)
            if association.is_open and self._clock.monotonic() < until:
                await self._reports.deliver_on(association, request, failures)
                self._metrics.commitment_reports.labels("delivered").inc()
                await self._reported(request, failures, True)
        except PeerError as error:
            self._logger.info("no report on the requesting association", error=error)
        except Exception as error:
            self._logger.error("transaction failed", error=error, transaction_uid=request.transaction_uid)
        finally:
            if not outcome.done():
                outcome.set_result(failures)

    async def _deliver(self, request: CommitmentRequested, failures: Checked) -> bool | None:
        """Try until the peer has taken the report; False where that took too many days, None where another process
        was faster."""
        attempt = 0
        while not self._ledger.is_reported(request.transaction_uid):
            try:
                await self._reports.deliver(request, failures)
                self._metrics.commitment_reports.labels("delivered").inc()
                return True
            except PeerError as error:
                waited = (self._clock.now_us() - request.requested_at) / 1e6
                given_up = waited >= self._settings.give_up * _DAY
                self._metrics.commitment_reports.labels("given_up" if given_up else "retried").inc()
                self._logger.warning(
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
        return None

    async def _reported(self, request: CommitmentRequested, failures: Checked, delivered: bool) -> None:
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
        self._ledger.apply(event)
        self._count(request, failures)

    async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
        """The result of `call`, made again while a store is away."""
        attempt = 0
        while True:
            try:
                return await call()
            except DependencyUnavailable as error:
                self._logger.warning("waiting for a store", error=error)
            await self._clock.sleep(_AWAY.after(attempt))
            attempt += 1

    async def _commit(self, offsets: Offsets, consumer: Consumer) -> None:
        """Where this fails, the next commit says the same and more."""
        with suppress(DependencyUnavailable):
            await consumer.commit(offsets.committable())

    def _count(self, request: CommitmentRequested, failures: Checked) -> None:
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
