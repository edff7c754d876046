"""Which transactions there are, folded from events; and how far a consumer may commit while some are still open. Pure.

A transaction is *owed* a report from its `CommitmentRequested` to its `CommitmentReported`. Its UID is remembered for
longer: PS3.4 J.3.2: a request that uses one again is a duplicate (0131H), whoever sends it.
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
    """What is known of transactions: all that events tell that were appended before `since_us`, perhaps more. UIDs are
    eight bytes of a digest, times microseconds since the epoch; `reported` says when."""

    since_us: int
    owed: frozenset[bytes] = frozenset()
    reported: Mapping[bytes, int] = field(default_factory=dict)


class Ledger:
    """Applying an event twice, or a report before its request, changes nothing.

    It keeps eight bytes of a digest for a UID, and no references: a year of a large site is some 100 MB.
    """

    def __init__(self) -> None:
        self._owed: set[bytes] = set()
        self._reported: dict[bytes, int] = {}

    def note(self, transaction_uid: str) -> None:
        """A request with this UID was appended; it has not come back from the log yet."""
        uid = _short(transaction_uid)
        if uid not in self._reported:
            self._owed.add(uid)

    def apply(self, event: Event) -> bool:
        """Take in an event of the log. True where it is a request that is owed a report, as far as is known; of several
        with one UID, one report is owed to all of them together."""
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
        """Forget what was reported too long ago."""
        for uid in [uid for uid, at in self._reported.items() if at < now_us - REMEMBERED_US]:
            del self._reported[uid]

    def snapshot(self, since_us: int) -> Snapshot:
        """What is known; the caller has applied all events from before `since_us`."""
        return Snapshot(since_us, frozenset(self._owed), dict(self._reported))

    def take_up(self, snapshot: Snapshot) -> None:
        """Know what a snapshot says, too."""
        self._reported.update(snapshot.reported)
        self._owed = (self._owed | snapshot.owed) - self._reported.keys()


class Offsets:
    """How far a consumer may commit: up to the oldest record that somebody still works on, in each partition."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], dict[int, None]] = {}
        self._seen: dict[tuple[str, int], Record] = {}

    def seen(self, records: Iterable[Record]) -> None:
        """These came, in order of offset."""
        for record in records:
            self._seen[record.topic, record.partition] = record

    def begin(self, record: Record) -> None:
        """Work on this one begins."""
        self._open.setdefault((record.topic, record.partition), {})[record.offset] = None

    def finish(self, record: Record) -> None:
        """Work on this one is done, durably."""
        self._open.get((record.topic, record.partition), {}).pop(record.offset, None)

    def committable(self) -> list[Record]:
        """For each partition, a record up to which everything is done."""
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
