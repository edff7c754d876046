"""The events of one study: from the log while it retains them, from sealed segments after that.

Neither is read whole. A receipt's name begins with its time (`gantry.common.ids.Receipt`), so what is read is some time
around each.
"""

from __future__ import annotations

from collections.abc import Iterable

from gantry.common.errors import UndecodableEvent
from gantry.common.events import TOPICS, Event, InstanceStored, decode
from gantry.common.ids import DEFAULT_PARTITION, Receipt
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import EventLog
from gantry.common.runtime.sealed_events import segments

_INSTANCES = TOPICS[InstanceStored].name
_CONFLICTS = "conflicts"
_AROUND_MS = 30 * 60 * 1000
"""An instance of a long association is stored that much after it began to arrive, and sealed."""
Window = tuple[int, int]


def windows(moments_ms: Iterable[int]) -> list[Window]:
    """Stretches of time, in milliseconds, that hold what happened at some moments; those that touch are one."""
    spans: list[Window] = []
    for moment in sorted(moments_ms):
        begin, end = moment - 1, moment + _AROUND_MS
        if spans and begin <= spans[-1][1]:
            begin = spans.pop()[0]
        spans.append((begin, end))
    return spans


async def history(
    objects: BlobStore, log: EventLog, study: str, receipts: Iterable[str], moments_us: Iterable[int]
) -> list[Event]:
    """The events of a study, those of `receipts` among them, and those of other moments. Raises
    `DependencyUnavailable`, `Corrupt` for a damaged segment."""
    wanted = {receipt: Receipt(receipt).milliseconds for receipt in receipts}
    moments = [moment // 1000 for moment in moments_us]
    first = min([*wanted.values(), *moments], default=0)
    if not first:
        return []
    events = await _on_log(log, study, (first - 1) * 1000)
    heard = {event.receipt for event in events if isinstance(event, InstanceStored)}
    oldest = min((_at_ms(event) for event in events), default=0)
    sealed = [at for receipt, at in wanted.items() if receipt not in heard]
    sealed += [moment for moment in moments if not oldest or moment < oldest]
    for begin, end in windows(sealed):
        events += await _in_segments(objects, study, begin, end)
    return events


async def _on_log(log: EventLog, study: str, since_us: int) -> list[Event]:
    events = []
    for topic in (_INSTANCES, _CONFLICTS):
        async for record in log.replay(topic, since_us):
            if record.key == study and (event := _decoded(record.payload)) is not None:
                events.append(event)
    return events


async def _in_segments(objects: BlobStore, study: str, begin_ms: int, end_ms: int) -> list[Event]:
    events = []
    async for segment in segments(objects, DEFAULT_PARTITION, begin_ms, end_ms):
        for record in segment.records:
            of_study = record.topic in (_INSTANCES, _CONFLICTS) and record.key == study
            if of_study and (event := _decoded(record.payload)) is not None:
                events.append(event)
    return events


def _at_ms(event: Event) -> int:
    moment: int = getattr(event, "stored_at", 0) or getattr(event, "at", 0) or getattr(event, "found_at", 0)
    return moment // 1000


def _decoded(payload: bytes) -> Event | None:
    try:
        return decode(payload)
    except UndecodableEvent:
        return None
