"""Where a reader of the change feed continues (pure): first in the sealed segments, then on the log.

The reader holds its cursor: nothing of it is stored here, so it survives restarts, and readers share nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgpack

_LONGEST = 1 << 16
_MOST = 1 << 62
_FORM = 1


@dataclass(frozen=True, slots=True)
class SealedPlace:
    """The position after the first `records` records of the segment whose receipt is `segment` ("": before all
    segments), among those sealed from `since_ms` to `until_ms`, in milliseconds since the epoch."""

    since_ms: int
    until_ms: int
    segment: str = ""
    records: int = 0


@dataclass(frozen=True, slots=True)
class FeedCursor:
    """`read_ms`: everything that was appended before this time was returned, or will be from this cursor. `offsets` are
    the next ones on the log, by topic and partition. `sealed` is None once the segments have been read."""

    read_ms: int
    offsets: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    sealed: SealedPlace | None = None

    def at(self, topic: str, offsets: Mapping[int, int]) -> FeedCursor:
        """The same with other offsets in a topic."""
        return replace(self, offsets={**self.offsets, topic: dict(offsets)})

    @property
    def text(self) -> str:
        """As text that fits in a URL or a header."""
        sealed = self.sealed
        place = [] if sealed is None else [sealed.since_ms, sealed.until_ms, sealed.segment, sealed.records]
        offsets = [[topic, sorted(partitions.items())] for topic, partitions in sorted(self.offsets.items())]
        packed: bytes = msgpack.packb([_FORM, self.read_ms, offsets, place])
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def feed_cursor(text: str) -> FeedCursor | None:
    """The cursor in a text; None if it is not one."""
    if len(text) > _LONGEST:
        return None
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        form, read_ms, offsets, place = msgpack.unpackb(packed)
        topics = {str(topic): {_number(p): _number(o) for p, o in partitions} for topic, partitions in offsets}
        sealed = SealedPlace(_number(place[0]), _number(place[1]), str(place[2]), _number(place[3])) if place else None
    except (ValueError, TypeError, IndexError, msgpack.UnpackException):
        return None
    return FeedCursor(read_ms, topics, sealed) if form == _FORM and type(read_ms) is int else None


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError("not a number of a cursor")
    return value
