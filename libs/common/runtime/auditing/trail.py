"""The trail: entries become records on the log. Adding one returns at once and never fails what it is about.

While the log is away records wait in memory, as many as `MOST_WAITING`, and on disk (`spool`); what fits into neither
is counted (`gantry_audit_records_dropped_total`) and logged. Nobody is refused because the log of audits is away.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from secrets import token_hex

from gantry.common.audit import Coalescer, Entry, Group
from gantry.common.audit.changes import CHANGES, entry_of, patient_in
from gantry.common.audit.kinds import Kind
from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import AuditRecorded, Event, InstancesDeleted, InstanceStored
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.log import EventLog
from gantry.common.runtime.auditing.patients import Patients
from gantry.common.runtime.auditing.spool import Sheet, Spool, records_in
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics

MOST_WAITING = 10_000
_EVERY_SECONDS = 1.0
_AT_ONCE = 200
logger = get_logger("audit")


@dataclass(frozen=True, slots=True)
class PeerOf:
    """The peer of an association that is open."""

    ae_title: str
    address: str
    called: str
    user: str = ""


class AuditTrail:
    """What one process records."""

    def __init__(
        self,
        clock: Clock,
        metrics: Metrics,
        role: str,
        process: str,
        spool: Spool | None = None,
        *,
        on: bool = True,
        by: str = "",
    ) -> None:
        """`role` and `process` (host, a colon, the number of the process) are where records come from. Without a spool
        what is not on the log is in memory alone; with `on` False nothing is recorded. `by` is what all requestors of
        changes are, where it is not "" (`AuditRecorded.requestor_is`)."""
        self.on = on
        self._by = by
        self._clock = clock
        self._metrics = metrics
        self._from = DEFAULT_PARTITION, role, process
        self._spool = spool
        self._coalescer = Coalescer()
        self._sheets: dict[str, Sheet | None] = {}
        self._done: list[Group] = []
        """Groups that are complete, and not records yet."""
        self._waiting: deque[AuditRecorded] = deque()
        self._peers: dict[str, PeerOf] = {}
        self.patients: Patients | None = None
        self._is_away = False
        self._whole: set[str] = set()
        """Deletions that are of all of a study."""
        if spool is not None:
            spool.adopt()

    # ---- what is observed

    def add(self, entry: Entry) -> None:
        """Record it soon."""
        if not self.on:
            return
        entry = self._with_user(entry)
        group, new = self._coalescer.add(entry, self._clock.now_us(), token_hex(16))
        if new:
            self._write(group)

    def changed(self, event: Event) -> None:
        """An event is on the log."""
        entry = entry_of(event) if self.on and type(event) in CHANGES else None
        if entry is None:
            return
        if isinstance(event, InstancesDeleted) and event.deletion in self._whole:
            # PS3.15 A.5.3.8 is of studies, A.5.3.6 of instances.
            self._whole.discard(event.deletion)
            entry = replace(entry, kind=Kind.STUDY_DELETED)
        entry = self._with_user(entry)
        if self._by:
            entry = replace(entry, requestor_is=self._by)
        group, new = self._coalescer.add(entry, self._clock.now_us(), token_hex(16))
        if new:
            if isinstance(event, InstanceStored) and (patient := patient_in(event))[0]:
                group.patients[event.study_instance_uid] = patient
            self._write(group)

    def _with_user(self, entry: Entry) -> Entry:
        """With who works at the peer, where it is of an association that is open."""
        peer = self._peers.get(entry.session or entry.trace)
        return replace(entry, user=peer.user) if peer is not None and peer.user else entry

    async def look_before(self, event: InstancesDeleted) -> None:
        """Note, before a deletion, whose the study is and whether all of it goes: the index forgets both."""
        if not self.on or self.patients is None:
            return
        known = await self.patients.of(event.study_instance_uid, fresh=True)
        if known is not None and 0 < known.instances <= len({one.sop_instance_uid for one in event.receipts}):
            self._whole.add(event.deletion)

    def opened(self, session: str, peer: PeerOf) -> None:
        """An association began."""
        self._peers[session] = peer

    def peer_of(self, session: str) -> PeerOf | None:
        """Who called, while the association is open."""
        return self._peers.get(session)

    def ended(self, session: str) -> None:
        """An association is over, and so are its records."""
        self._peers.pop(session, None)
        self._done += self._coalescer.end(session)
        if len(self._done) > MOST_WAITING:
            self._complete()

    # ---- on the way to the log

    async def run(self, log: EventLog) -> None:
        """Append what is complete, once a second, for ever."""
        while True:
            await self._clock.sleep(_EVERY_SECONDS)
            await self.name_patients()
            await self.flush(log)

    async def name_patients(self) -> None:
        """Find out whose the studies of open groups are."""
        if self.patients is None:
            return
        self._done += self._coalescer.due(self._clock.now_us())
        for group in [*self._coalescer.nameless(), *self._done]:
            for study in group.nameless:
                known = await self.patients.of(study)
                if known is not None:
                    group.patients[study] = known.patient_id, known.issuer

    async def flush(self, log: EventLog, *, everything: bool = False) -> None:
        """Append what is complete, or with `everything` what there is; it goes on waiting while the log is away."""
        self._done += self._coalescer.due(self._clock.now_us(), everything=everything)
        self._complete()
        try:
            while self._waiting:
                batch = [self._waiting[place] for place in range(min(_AT_ONCE, len(self._waiting)))]
                await log.append(*batch)
                for record in batch:
                    self._waiting.popleft()
                    self._settle(record)
            await self._append_kept(log)
        except DependencyUnavailable as error:
            if not self._is_away:
                logger.warning("audit records are not on the log yet", error=error, waiting=len(self._waiting))
            self._is_away = True
        else:
            self._is_away = False
        self._metrics.audit_waiting.set(len(self._waiting))

    async def close(self, log: EventLog) -> None:
        """Append everything, or leave it to the next process."""
        self._done += self._coalescer.due(0, everything=True)
        await self.name_patients()
        await self.flush(log, everything=True)
        if self._spool is not None:
            for record in self._waiting:
                if self._sheets.get(record.record) is None:
                    self._spool.write(record)
            self._spool.close()

    # ---- inside

    def _write(self, group: Group) -> None:
        if self._spool is not None:
            self._sheets[group.record] = self._spool.write(group.recorded(*self._from))

    def _complete(self) -> None:
        done, self._done = self._done, []
        for group in done:
            self._waiting.append(group.recorded(*self._from))
            if len(self._waiting) > MOST_WAITING:
                self._give_up(self._waiting.popleft())

    def _give_up(self, record: AuditRecorded) -> None:
        """A record has no place in memory any more. Its sheet has it as it was when it began."""
        sheet = self._sheets.pop(record.record, None)
        if sheet is not None and self._spool is not None:
            self._spool.keep(sheet)
            return
        self._metrics.audit_records_dropped.inc()
        logger.error("audit record lost: the log is away, and the spool is full", kind=record.kind, trace=record.trace)

    def _settle(self, record: AuditRecorded) -> None:
        self._metrics.audit_records.labels(record.kind).inc()
        sheet = self._sheets.pop(record.record, None)
        if self._spool is not None:
            self._spool.settle(sheet)

    async def _append_kept(self, log: EventLog) -> None:
        """What earlier processes left, and what memory did not hold."""
        for sheet in [] if self._spool is None else self._spool.kept():
            records = list(records_in(sheet))
            for start in range(0, len(records), _AT_ONCE):
                await log.append(*records[start : start + _AT_ONCE])
            self._metrics.audit_records_replayed.inc(len(records))
            if self._spool is not None:
                self._spool.remove(sheet)
