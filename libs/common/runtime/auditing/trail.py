"""The trail: entries become records on the log. Adding one returns at once, and never fails the observed work.

While the log is unavailable, up to `MOST_WAITING` records wait in memory, and more on disk (`spool`); those that fit
into neither are counted (`gantry_audit_records_dropped_total`) and logged. No request is refused because audit records
cannot be appended.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from secrets import token_hex

from gantry.common.audit import AuditEntry, Coalescer, Group
from gantry.common.audit.changes import CHANGES, entry_of, patient_in
from gantry.common.audit.kinds import AuditKind
from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import AuditRecorded, Event, InstancesDeleted, InstanceStored
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.log import EventLog
from gantry.common.runtime.auditing.patients import PatientLookup
from gantry.common.runtime.auditing.spool import AuditSpool, Sheet, records_in
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics

MOST_WAITING = 10_000
_EVERY_SECONDS = 1.0
_AT_ONCE = 200
logger = get_logger("audit")


@dataclass(frozen=True, slots=True)
class PeerOf:
    """The peer of an open association."""

    ae_title: str
    address: str
    called: str
    user: str = ""


class AuditTrail:
    """The audit records of one process."""

    def __init__(
        self,
        clock: Clock,
        metrics: Metrics,
        role: str,
        process: str,
        spool: AuditSpool | None = None,
        *,
        on: bool = True,
        by: str = "",
    ) -> None:
        """`role` and `process` (host, a colon, the process id) are the origin of records. Without a spool, records that
        are not on the log are only in memory; with `on` False nothing is recorded. `by`, unless it is "", is the kind
        of all requestors of changes (`AuditRecorded.requestor_is`)."""
        self.on = on
        self._by = by
        self._clock = clock
        self._metrics = metrics
        self._from = DEFAULT_PARTITION, role, process
        self._spool = spool
        self._coalescer = Coalescer()
        self._sheets: dict[str, Sheet | None] = {}
        self._done: list[Group] = []
        """Groups that are complete, but not records yet."""
        self._waiting: deque[AuditRecorded] = deque()
        self._peers: dict[str, PeerOf] = {}
        self.patients: PatientLookup | None = None
        self._is_away = False
        self._whole: set[str] = set()
        """Deletions that remove a whole study."""
        if spool is not None:
            spool.adopt()

    # ---- what is observed

    def add(self, entry: AuditEntry) -> None:
        """Record an entry soon."""
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
            # PS3.15 A.5.3.8 is about studies, A.5.3.6 about instances.
            self._whole.discard(event.deletion)
            entry = replace(entry, kind=AuditKind.STUDY_DELETED)
        entry = self._with_user(entry)
        if self._by:
            entry = replace(entry, requestor_is=self._by)
        group, new = self._coalescer.add(entry, self._clock.now_us(), token_hex(16))
        if new:
            if isinstance(event, InstanceStored) and (patient := patient_in(event))[0]:
                group.patients[event.study_instance_uid] = patient
            self._write(group)

    def _with_user(self, entry: AuditEntry) -> AuditEntry:
        """The entry with the user at the peer, if its association is open."""
        peer = self._peers.get(entry.session or entry.trace)
        return replace(entry, user=peer.user) if peer is not None and peer.user else entry

    async def look_before(self, event: InstancesDeleted) -> None:
        """Before a deletion, note the patient of the study and whether all of it is deleted: the index drops both."""
        if not self.on or self.patients is None:
            return
        known = await self.patients.of(event.study_instance_uid, fresh=True)
        if known is not None and 0 < known.instances <= len({receipt.sop_instance_uid for receipt in event.receipts}):
            self._whole.add(event.deletion)

    def opened(self, session: str, peer: PeerOf) -> None:
        """An association began."""
        self._peers[session] = peer

    def peer_of(self, session: str) -> PeerOf | None:
        """The calling peer, while the association is open."""
        return self._peers.get(session)

    def ended(self, session: str) -> None:
        """An association has ended, and its records are complete."""
        self._peers.pop(session, None)
        self._done += self._coalescer.end(session)
        if len(self._done) > MOST_WAITING:
            self._complete()

    # ---- on the way to the log

    async def run(self, log: EventLog) -> None:
        """Append complete records, once a second, for ever."""
        while True:
            await self._clock.sleep(_EVERY_SECONDS)
            await self.name_patients()
            await self.flush(log)

    async def name_patients(self) -> None:
        """Look up the patients of the studies in open groups."""
        if self.patients is None:
            return
        self._done += self._coalescer.due(self._clock.now_us())
        for group in [*self._coalescer.nameless(), *self._done]:
            for study in group.nameless:
                known = await self.patients.of(study)
                if known is not None:
                    group.patients[study] = known.patient_id, known.issuer

    async def flush(self, log: EventLog, *, everything: bool = False) -> None:
        """Append complete records, or with `everything` all; they stay waiting while the log is unavailable."""
        self._done += self._coalescer.due(self._clock.now_us(), everything=everything)
        self._complete()
        try:
            while self._waiting:
                batch = [self._waiting[place] for place in range(min(_AT_ONCE, len(self._waiting)))]
                await log.append(*batch)
                for record in batch:
                    self._waiting.popleft()
                    self._settle(record)
            await self._append_leftovers(log)
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
        """Evict a record from memory. Its sheet has it as it was when it began."""
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

    async def _append_leftovers(self, log: EventLog) -> None:
        """Append what earlier processes left, and what did not fit into memory."""
        for sheet in [] if self._spool is None else self._spool.sheets_to_append():
            records = list(records_in(sheet))
            for start in range(0, len(records), _AT_ONCE):
                await log.append(*records[start : start + _AT_ONCE])
            self._metrics.audit_records_replayed.inc(len(records))
            if self._spool is not None:
                self._spool.remove(sheet)
