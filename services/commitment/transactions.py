"""The known transactions, folded from events; and how far a consumer may commit while some are still open. Pure.

A transaction is *owed* a report from its `CommitmentRequested` to its `CommitmentReported`. Its UID is remembered for
longer: a request that uses it again is a duplicate (PS3.4 J.3.2, 0131H), whichever peer sends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from gantry.common.events import CommitmentReported, CommitmentRequested, Event
from gantry.common.ports.log import Record

REMEMBERED_US = 90 * 24 * 3600 * 1_000_000
"""How long a transaction UID is remembered after its report."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The transactions of all events that were appended before `since_us`, perhaps of later ones too. UIDs are eight
    bytes of a digest, times microseconds since the epoch; `reported` maps a UID to the time of its report."""

    since_us: int
    owed: frozenset[bytes] = frozenset()
    reported: Mapping[bytes, int] = field(default_factory=dict)


class TransactionLedger:
    """The known transactions. Applying an event twice, or a report before its request, makes no difference.

    The ledger stores eight bytes of a digest for a UID, and no references: a year of a large site is some 100 MB.
    """

    def __init__(self) -> None:
        self._owed: set[bytes] = set()
        self._reported: dict[bytes, int] = {}

    def note(self, transaction_uid: str) -> None:
        """A request with this UID was appended, but has not been read from the log yet."""
        uid = _short(transaction_uid)
        if uid not in self._reported:
            self._owed.add(uid)

    def apply(self, event: Event) -> bool:
        """Apply an event of the log. True if it is a request that, as far as is known, is owed a report; requests with
        the same UID are owed one report together."""
        if isinstance(event, CommitmentReported):
            uid = _short(event.transaction_uid)
            self._reported[uid] = event.reported_at
            self._owed.discard(uid)
        elif isinstance(event, CommitmentRequested):
            self.note(event.transaction_uid)
            return _short(event.transaction_uid) in self._owed
        return False

    def is_known(self, transaction_uid: str) -> bool:
        """Whether a request with this UID would be a duplicate."""
        uid = _short(transaction_uid)
        return uid in self._owed or uid in self._reported

    def is_reported(self, transaction_uid: str) -> bool:
        """Whether the report was delivered or given up, by this process or another one."""
        return _short(transaction_uid) in self._reported

    def forget_before(self, now_us: int) -> None:
        """Forget transactions that were reported more than `REMEMBERED_US` before `now_us`."""
        for uid in [uid for uid, at in self._reported.items() if at < now_us - REMEMBERED_US]:
            del self._reported[uid]

    def snapshot(self, since_us: int) -> Snapshot:
        """A snapshot; the caller has applied all events from before `since_us`."""
        return Snapshot(since_us, frozenset(self._owed), dict(self._reported))

    def take_up(self, snapshot: Snapshot) -> None:
        """Add the transactions of a snapshot."""
        self._reported.update(snapshot.reported)
        self._owed = (self._owed | snapshot.owed) - self._reported.keys()


class Offsets:
    """How far a consumer may commit: in each partition, up to the oldest record that is still being worked on."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], dict[int, None]] = {}
        self._seen: dict[tuple[str, int], Record] = {}

    def note_read(self, records: Iterable[Record]) -> None:
        """These records were read, in order of offset."""
        for record in records:
            self._seen[record.topic, record.partition] = record

    def begin(self, record: Record) -> None:
        """Work on this record begins."""
        self._open.setdefault((record.topic, record.partition), {})[record.offset] = None

    def finish(self, record: Record) -> None:
        """Work on this record is done, durably."""
        self._open.get((record.topic, record.partition), {}).pop(record.offset, None)

    def committable(self) -> list[Record]:
        """For each partition, the record up to which all work is done."""
        records = []
        for place, last in self._seen.items():
            still_open = self._open.get(place)
            if not still_open:
                records.append(last)
            elif (before := min(still_open) - 1) > 0:
                records.append(Record(last.topic, last.partition, before, last.key, b"", last.appended_at))
        return records


def _short(transaction_uid: str) -> bytes:
    return blake2b(transaction_uid.encode(), digest_size=8).digest()
