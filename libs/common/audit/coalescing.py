"""Many accesses become one record: one for each study and association, or for each study, caller and stretch of time
over HTTP, where a viewer asks for thousands of frames. Pure: time is an argument, in microseconds since the epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from gantry.common.audit.kinds import SUCCESS, AuditKind
from gantry.common.events import AuditedInstances, AuditRecorded

QUIET_US = 5_000_000
"""What is not of an association is one record until nothing came for so long."""
LONGEST_US = 60_000_000
"""And at most so long."""
LONGEST_SESSION_US = 600_000_000
"""What is of one association is one record until that ends, and at most so long."""
_MOST_ROWS = 100
"""SOP classes, or studies of a change, that a record names; more are counted."""
_LONGEST_WHY = 200
_LONGEST_QUERY = 16_384
_LONGEST_NAME = 128


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One access, change or refusal, with the words of `gantry.common.events.AuditRecorded`. `session` is the trace of
    an association, with whose end the record is complete; "" over HTTP and of commands."""

    kind: AuditKind
    operation: str
    requestor: str
    requestor_is: str
    address: str = ""
    peer: str = ""
    peer_address: str = ""
    outcome: int = SUCCESS
    why: str = ""
    trace: str = ""
    session: str = ""
    objects: tuple[AuditedInstances, ...] = ()
    query: bytes = b""
    query_class: str = ""
    user: str = ""
    deidentified_by: str = ""

    @property
    def key(self) -> Hashable:
        """Entries with one key can be one record."""
        first = self.objects[0] if self.objects else None
        about = (first.study_instance_uid, first.patient_id, first.issuer) if first is not None else ()
        requestor = (
            self.requestor,
            self.requestor_is,
            self.address,
            self.peer,
            self.peer_address,
            self.session,
            self.user,
        )
        operation = self.kind, self.operation, self.outcome, self.why, self.deidentified_by
        return *operation, requestor, about, self.query, self.query_class


@dataclass(eq=False, slots=True)
class Group:
    """Entries that will be one record."""

    record: str
    entry: AuditEntry
    begun_at: int
    at: int
    times: int = 0
    more: int = 0
    rows: Counter[AuditedInstances] = field(default_factory=Counter)
    patients: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Patient ID and issuer of studies whose rows do not say them."""

    def take(self, entry: AuditEntry, at: int) -> None:
        """Add an entry with the same key."""
        self.times += 1
        self.at = max(self.at, at)
        for row in entry.objects:
            bare = replace(row, instances=0) if row.instances else row
            if bare in self.rows or len(self.rows) < _MOST_ROWS:
                self.rows[bare] += row.instances
            else:
                self.more += 1

    @property
    def nameless(self) -> list[str]:
        """The studies whose patients are not known yet."""
        studies = dict.fromkeys(row.study_instance_uid for row in self.rows if not row.patient_id)
        return [study for study in studies if study and study not in self.patients]

    def recorded(self, partition: str, role: str, process: str) -> AuditRecorded:
        """The record of what was taken until now."""
        entry = self.entry
        return AuditRecorded(
            partition=partition,
            trace=entry.trace,
            record=self.record,
            kind=entry.kind.word,
            operation=entry.operation[:_LONGEST_NAME],
            outcome=entry.outcome,
            why=entry.why[:_LONGEST_WHY],
            requestor=entry.requestor[:_LONGEST_NAME],
            requestor_is=entry.requestor_is,
            address=entry.address,
            peer=entry.peer[:_LONGEST_NAME],
            peer_address=entry.peer_address,
            role=role,
            process=process,
            begun_at=self.begun_at,
            at=self.at,
            times=self.times,
            objects=tuple(self._named(row, instances) for row, instances in self.rows.items()),
            more=self.more,
            query=entry.query[:_LONGEST_QUERY],
            query_class=entry.query_class,
            user=entry.user[:_LONGEST_NAME],
            deidentified_by=entry.deidentified_by,
        )

    def _named(self, row: AuditedInstances, instances: int) -> AuditedInstances:
        patient = self.patients.get(row.study_instance_uid, ("", ""))
        if row.patient_id or not patient[0]:
            return replace(row, instances=instances)
        return replace(row, patient_id=patient[0], issuer=patient[1], instances=instances)


class Coalescer:
    """The groups that are open."""

    def __init__(self) -> None:
        self._open: dict[Hashable, Group] = {}
        self._by_session: dict[str, list[Hashable]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, entry: AuditEntry, at: int, record: str) -> tuple[Group, bool]:
        """The group that an entry belongs to, and whether that is a new one, which is then named `record`."""
        key = entry.key
        group = self._open.get(key)
        new = group is None
        if group is None:
            group = self._open[key] = Group(record, entry, at, at)
            if entry.session:
                self._by_session.setdefault(entry.session, []).append(key)
        group.take(entry, at)
        return group, new

    def end(self, session: str) -> list[Group]:
        """The groups of an association that is over."""
        keys = self._by_session.pop(session, [])
        return [group for key in keys if (group := self._open.pop(key, None)) is not None]

    def due(self, now: int, *, everything: bool = False) -> list[Group]:
        """The groups that are complete: nothing is added to them any more."""
        done = {key: group for key, group in self._open.items() if everything or _is_due(group, now)}
        for key in done:
            del self._open[key]
        return list(done.values())

    def nameless(self) -> list[Group]:
        """The groups in which patients of studies are not known yet."""
        return [group for group in self._open.values() if group.nameless]


def _is_due(group: Group, now: int) -> bool:
    if group.entry.session:
        return now - group.begun_at >= LONGEST_SESSION_US
    return now - group.at >= QUIET_US or now - group.begun_at >= LONGEST_US
