"""The active member of the consumer group: one of all processes works, and the others wait.

It finishes what the process that took a request (`taking`) leaves open: it waits for that process's result if it is
this one, gives it some seconds if it may be another one, and otherwise reports on associations that it opens, for days
if need be. If both deliver, the requester gets the same report twice.

It commits no further than the oldest transaction that is still owed a report, so the next active member reads that
transaction and all later ones again. A snapshot of the transactions is written (`snapshots`) after every so many
events, and requests that were already owed a report at the last snapshot are appended again: so a start reads a
snapshot, the requests that are owed a report, and the few events since, however long the history.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable, UndecodableEvent
from gantry.common.events import CommitmentRequested, Event, decode
from gantry.common.ports.log import Consumer, EventLog, Record
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.telemetry.logs import get_logger
from gantry.services.commitment.checks import CommitmentChecks
from gantry.services.commitment.delivery import ReportDelivery, persist
from gantry.services.commitment.snapshots import Snapshots
from gantry.services.commitment.taking import Takers
from gantry.services.commitment.transactions import Offsets, TransactionLedger

GROUP = "commitment"
TOPIC = "commitment"
_DECODED_INLINE = 65536
_HAND_OVER_SECONDS = 3.0
_SKEW_US = 300_000_000
"""How far the clocks of the machines that append may differ."""
SNAPSHOT_AFTER = 1000
"""Records after which a snapshot is written; a record that names many instances counts for more."""
_BYTES_OF_ONE = 16384
logger = get_logger("commitment")


class Member:
    """One per process."""

    def __init__(
        self,
        log: EventLog,
        ledger: TransactionLedger,
        snapshots: Snapshots,
        checks: CommitmentChecks,
        takers: Takers,
        delivery: ReportDelivery,
        clock: Clock,
        snapshot_after: int = SNAPSHOT_AFTER,
    ) -> None:
        self._log = log
        self._ledger = ledger
        self._snapshots = snapshots
        self._snapshot_after = snapshot_after
        self._checks = checks
        self._takers = takers
        self._delivery = delivery
        self._clock = clock
        self._recalled = False
        self._since_us = 0
        self._heard = 0.0
        """Records since the last snapshot, weighted by size."""
        self._begun: dict[str, CommitmentRequested] = {}
        self._held: dict[str, list[Record]] = {}
        """By transaction, the records past which the offset may not be committed yet."""
        self._long_held: set[str] = set()

    async def remember(self) -> None:
        """Load the known transactions, before the service answers its first request. Waits while stores are
        unavailable."""
        await persist(self.refresh, self._clock)

    async def refresh(self) -> None:
        """Learn which transactions other processes took and reported. Raises `DependencyUnavailable`."""
        if not self._recalled:
            snapshot = await self._snapshots.latest()
            if snapshot is not None:
                self._ledger.take_up(snapshot)
                self._since_us = snapshot.since_us
            self._recalled = True
        now_us = self._clock.now_us()
        async for record in self._log.replay(TOPIC, self._since_us):
            event = await self._event_of(record)
            if event is not None:
                self._ledger.apply(event)
        self._since_us = max(self._since_us, now_us - _SKEW_US)
        self._ledger.forget_before(now_us)

    async def run(self) -> None:
        """Work until cancelled. Unfinished transactions are resumed at the next start."""
        # The tasks end before the consumer leaves its group: none of them may commit after that.
        async with self._log.consumer(GROUP, [TOPIC]) as consumer, asyncio.TaskGroup() as tasks:
            try:
                await self._consume(consumer, tasks)
            finally:
                self._takers.cancel()

    async def _consume(self, consumer: Consumer, tasks: asyncio.TaskGroup) -> None:
        offsets = Offsets()
        records = await persist(consumer.poll, self._clock)
        # This is the active member now. The one before it may have published reports that are not in the ledger yet.
        await self.remember()
        while True:
            offsets.note_read(records)
            for record in records:
                await self._begin(record, offsets, consumer, tasks)
            if self._heard >= self._snapshot_after:
                await self._write_snapshot(offsets)
            await self._commit(offsets, consumer)
            records = await persist(consumer.poll, self._clock)

    async def _event_of(self, record: Record) -> Event | None:
        self._heard += 1 + len(record.payload) / _BYTES_OF_ONE
        return await _event(record)

    async def _begin(self, record: Record, offsets: Offsets, consumer: Consumer, tasks: asyncio.TaskGroup) -> None:
        event = await self._event_of(record)
        # A request that was reported before is not owed a report.
        if event is None or not self._ledger.apply(event) or not isinstance(event, CommitmentRequested):
            return
        offsets.begin(record)
        self._held.setdefault(event.transaction_uid, []).append(record)
        if event.transaction_uid not in self._begun:
            self._begun[event.transaction_uid] = event
            tasks.create_task(self._work(event, offsets, consumer))

    def _release(self, transaction_uid: str, offsets: Offsets) -> None:
        for record in self._held.pop(transaction_uid, ()):
            offsets.finish(record)

    async def _write_snapshot(self, offsets: Offsets) -> None:
        """Write a snapshot, and append again the requests that were already held at the last snapshot."""
        try:
            await self.refresh()
            await self._snapshots.write(self._ledger.snapshot(self._since_us))
            for uid in [uid for uid in self._long_held if uid in self._held]:
                held, request = self._held.get(uid), self._begun.get(uid)
                if held is None or request is None:
                    continue  # it was reported while those before it were appended
                await self._log.append(request)
                await reach(FailPoint.BEFORE_COMMIT)
                if self._held.get(uid) is held:
                    self._release(uid, offsets)
        except DependencyUnavailable as error:
            logger.warning("no snapshot of transactions was written", error=error)
            return
        self._heard = 0.0
        self._long_held = set(self._held)

    async def _work(self, request: CommitmentRequested, offsets: Offsets, consumer: Consumer) -> None:
        uid = request.transaction_uid
        try:
            failures = await self._takers.findings(uid)
            if failures is None:
                failures = await self._checks.failures(request)
                await self._leave_to_others(request)
            await self._delivery.deliver(request, failures)
        except Exception as error:
            # A fault here must not end the other transactions; this one is resumed at the next start.
            logger.error("transaction failed", error=error, transaction_uid=uid)
            return
        del self._begun[uid]
        self._release(uid, offsets)
        await self._commit(offsets, consumer)

    async def _leave_to_others(self, request: CommitmentRequested) -> None:
        """Wait some seconds: another process may be about to report on the requesting association."""
        end = self._clock.monotonic() + _HAND_OVER_SECONDS
        while self._clock.monotonic() < end and not self._ledger.is_reported(request.transaction_uid):
            await self._clock.sleep(0.1)

    async def _commit(self, offsets: Offsets, consumer: Consumer) -> None:
        """Commit what may be committed. A failure is ignored: the next commit covers the same offsets and more."""
        with suppress(DependencyUnavailable):
            await consumer.commit(offsets.committable())


async def _event(record: Record) -> Event | None:
    """The event in a record, None if undecodable; a large record is decoded off the event loop."""
    try:
        if len(record.payload) > _DECODED_INLINE:
            return await asyncio.to_thread(decode, record.payload)
        return decode(record.payload)
    except UndecodableEvent:
        logger.error("undecodable event passed over", topic=record.topic, offset=record.offset)
        return None
