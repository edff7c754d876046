"""Which transactions there are, folded from events; and how far a consumer may commit while some are still open. Pure.

A transaction is *pending* from its `CommitmentRequested` to its `CommitmentReported`. Its UID is remembered for longer:
PS3.4 J.3.2: a request that uses one again is a duplicate (0131H), whoever sends it.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from libs.common.events import CommitmentReported, CommitmentRequested, Event
from libs.common.ports.log import Record

REMEMBERED_US = 90 * 24 * 3600 * 1_000_000
"""How long a transaction UID is remembered after its report."""


class Ledger:
    """Applying an event twice, or a report before its request, changes nothing.

    It keeps eight bytes of a digest for a UID, and no references: a year of a large site is some 100 MB.
    """

    def __init__(self) -> None:
        # The offset of the first request with a UID; None while it is known only that there is one.
        self._requested: dict[bytes, int | None] = {}
        self._reported: dict[bytes, int] = {}

    def note(self, transaction_uid: str) -> None:
        """A request with this UID was appended; it has not come back from the log yet."""
        self._requested.setdefault(_short(transaction_uid), None)

    def apply(self, offset: int, event: Event) -> bool:
        """Take in an event of the log. True where it is a request that is owed a report, as far as is known; of two
        requests with one UID, that is the first."""
        if isinstance(event, CommitmentReported):
            self._reported[_short(event.transaction_uid)] = event.reported_at
        elif isinstance(event, CommitmentRequested):
            uid = _short(event.transaction_uid)
            if self._requested.get(uid) is None:
                self._requested[uid] = offset
            return self._requested[uid] == offset and uid not in self._reported
        return False

    def is_known(self, transaction_uid: str) -> bool:
        """Whether a request with this UID would be a duplicate."""
        return _short(transaction_uid) in self._requested

    def is_reported(self, transaction_uid: str) -> bool:
        """Whether the report was delivered or given up, by this process or another one."""
        return _short(transaction_uid) in self._reported

    def forget_before(self, now_us: int) -> None:
        """Forget what was reported too long ago."""
        for uid in [uid for uid, at in self._reported.items() if at < now_us - REMEMBERED_US]:
            del self._reported[uid]
            self._requested.pop(uid, None)


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
