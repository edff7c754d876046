"""Whether the index agrees with the events: every sealed event is compared with the index, in passes.

The sweeper handles objects without an event, verification those that are missing or damaged; together the three show
whether objects, events and index agree. Events that the index lacks are published again unchanged: the indexers apply
them as usual, and an index that has them already does not change. That happens only after a second comparison, when the
indexers have read the whole log: a late event is not drift. This is for single lost events: if the whole index is
behind, nothing is compared, and at most a few thousand events are published; `gantry reindex` is for the rest.

Not compared: holds, corrections and places (`gantry reindex` builds the index anew from all events).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable, NotFound, UndecodableEvent
from gantry.common.events import TOPICS, Event, InstanceStored, decode
from gantry.common.ids import receipt_in_key
from gantry.common.lifecycle import ALIVE, DecidingEvent, DeletionState
from gantry.common.ports.blobs import BlobStore, Part
from gantry.common.ports.index import DecidedReceipt, InstanceKey, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.decisions import decisions_of
from gantry.common.runtime.following import has_followed
from gantry.common.runtime.sealed_events import Segment, segments
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.maintenance.dead_letters import receipts_in_dead_letters
from gantry.services.maintenance.passes import Pace, Pass, Passes

KINDS = ("unindexed", "undecided", "missing")
"""Kinds of drift: an instance that is not in the index; a deletion, restoration or move that the index missed; and an
instance that is not in the index and whose object is missing."""
_INSTANCES = TOPICS[InstanceStored].name
_NAMED = 1000
"""Most events that a state names; all of them are counted."""
_TOGETHER = 500
_MOST_HEALED = 10_000
"""Most events that a pass publishes again: the log is not the way to fill an index."""
_PATIENCE_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 1.0
logger = get_logger("reconcile")


@dataclass(slots=True)
class Reconciled(Pass):
    """The progress of a pass: segments and events compared, drift by its kind, events published again, and those that
    can never be applied (dead letters). `place` is the last segment that was compared."""

    segments: int = 0
    events: int = 0
    unindexed: int = 0
    undecided: int = 0
    missing: int = 0
    healed: int = 0
    refused: int = 0
    place: str = ""
    found: list[dict[str, str]] = field(default_factory=list)

    @property
    def drift(self) -> int:
        """How many events the index lacked, of all kinds."""
        return self.unindexed + self.undecided + self.missing


class Reconciler:
    """Compares one partition."""

    def __init__(
        self,
        objects: BlobStore,
        log: EventLog,
        index: ReadIndex,
        clock: Clock,
        metrics: Metrics,
        partition: str,
        *,
        rate: float,
        heal: bool = True,
    ) -> None:
        """`index` is, if there is one, an index that refuses to count while the whole of it is behind. `rate` is in
        events per second; 0 for no limit. Without `heal` nothing is published, and the pass is not recorded."""
        self._objects = objects
        self._log = log
        self._index = index
        self._clock = clock
        self._metrics = metrics
        self._partition = partition
        self._pace = Pace(clock, rate)
        self._heal = heal
        self.passes = Passes(objects, clock, "reconcile", Reconciled)

    async def run(self, every: float) -> None:
        """Run for ever: a pass begins `every` seconds after the one before ended."""
        latest = await self._latest()
        if latest is not None:
            self._show(latest)
        await self.passes.run(every, self.reconcile)

    async def _latest(self) -> Reconciled | None:
        try:
            return await self.passes.latest()
        except DependencyUnavailable:
            return None

    async def reconcile(
        self, state: Reconciled | None = None, progress: Callable[[Reconciled], None] = lambda _: None
    ) -> Reconciled:
        """A whole pass, or the rest of an unfinished `state`. Raises `DependencyUnavailable`, also while the indexers
        are behind: the index cannot have events that they have not read. The pass can then be continued."""
        state = self.passes.begun(state)
        now_ms = self._clock.now_us() // 1000
        await self._followed()
        await self._index.count(self._partition)
        place = receipt_in_key(state.place)
        since = place.milliseconds if place is not None else 0
        async for segment in segments(self._objects, self._partition, since, now_ms):
            if segment.sealed_at > now_ms:
                break
            if segment.key <= state.place:
                continue
            await self._segment(segment, state)
            state.place = segment.key
            progress(state)
            if self._heal:
                await self.passes.save_now_and_then(state)
        state.place = ""
        if self._heal:
            await self.passes.end(state)
        self._show(state)
        logger.info("reconciled", events=state.events, drift=state.drift, healed=state.healed, missing=state.missing)
        return state

    async def _followed(self) -> None:
        if not await has_followed(self._log, self._clock, _PATIENCE_SECONDS, look_again=_LOOK_AGAIN_SECONDS):
            raise DependencyUnavailable("index", "the indexers are behind the log")

    async def _segment(self, segment: Segment, state: Reconciled) -> None:
        events = [
            event for record in segment.records if record.topic == _INSTANCES and (event := _event(record.payload))
        ]
        events = [event for event in events if event.partition == self._partition]
        for start in range(0, len(events), _TOGETHER):
            batch = events[start : start + _TOGETHER]
            if unknown := await self._unknown(batch):
                await self._followed()
                if unknown := await self._unknown(unknown):
                    await self._drifted(unknown, state)
            state.events += len(batch)
            await self._pace(len(batch))
        state.segments += 1

    async def _unknown(self, events: Sequence[Event]) -> list[Event]:
        """The events that the index lacks."""
        stored = {event.receipt: event for event in events if isinstance(event, InstanceStored)}
        expected = _expected(events)
        receipts = await self._index.receipts_of(self._partition, list({_key(event) for event in stored.values()}))
        known = {receipt.id for group in receipts.values() for receipt in group}
        names = sorted({receipt for receipt in stored if receipt not in known} | expected.keys())
        decided = await self._index.decided_receipts(self._partition, names) if names else {}
        return [event for event in events if not _is_known(event, known, decided)]

    async def _drifted(self, events: Sequence[Event], state: Reconciled) -> None:
        stored = [event for event in events if isinstance(event, InstanceStored)]
        letters = await receipts_in_dead_letters(self._log, {event.receipt for event in stored}) if stored else set()
        for event in events:
            kind = "undecided"
            if isinstance(event, InstanceStored):
                kind = "refused" if event.receipt in letters else await self._kind_of(event)
            if kind == "refused":
                state.refused += 1
                continue
            setattr(state, kind, getattr(state, kind) + 1)
            self._name(event, kind, state)
            if self._heal and kind != "missing" and state.healed < _MOST_HEALED:
                await self._log.append(event)
                state.healed += 1
                self._metrics.drift_healed.labels(kind).inc()

    async def _kind_of(self, event: InstanceStored) -> str:
        try:
            await self._objects.read([Part(event.object_key, 0, 1)])
        except NotFound:
            return "missing"
        return "unindexed"

    def _name(self, event: Event, kind: str, state: Reconciled) -> None:
        fields = {"kind": kind, "name": type(event).__name__, "study": getattr(event, "study_instance_uid", "")}
        if isinstance(event, InstanceStored):
            fields |= {"instance": event.sop_instance_uid, "receipt": event.receipt, "object_key": event.object_key}
        logger.error("the index does not know an event", **fields, trace=event.trace)
        if len(state.found) < _NAMED:
            state.found.append(fields)

    def _show(self, state: Reconciled) -> None:
        if state.finished_at:
            for kind in KINDS:
                self._metrics.drift.labels(kind).set(getattr(state, kind))


def _key(event: InstanceStored) -> InstanceKey:
    return InstanceKey(event.study_instance_uid, event.series_instance_uid, event.sop_instance_uid)


def _expected(events: Sequence[Event]) -> dict[str, DeletionState]:
    """The decisions of the events, by receipt."""
    deletion_states: dict[str, DeletionState] = {}
    for decision in decisions_of(events):
        deletion_states[decision.receipt] = deletion_states.get(decision.receipt, ALIVE) | decision.deletion_state
    return deletion_states


def _is_known(event: Event, known: set[str], decided: Mapping[str, DecidedReceipt]) -> bool:
    if isinstance(event, InstanceStored):
        return event.receipt in known or (event.receipt in decided and _is_put_away(decided[event.receipt]))
    if not isinstance(event, DecidingEvent):
        return True
    deletion_states = {receipt: state.deletion_state for receipt, state in decided.items()}
    return all(
        deletion_states.get(receipt, ALIVE) | deletion_state == deletion_states.get(receipt, ALIVE)
        for receipt, deletion_state in _expected([event]).items()
    )


def _is_put_away(receipt: DecidedReceipt) -> bool:
    """Whether a receipt is rightly not found: it was collected, or is hidden and could be restored."""
    return receipt.deletion_state.collected or (receipt.deletion_state.hidden and bool(receipt.object_key))


def _event(payload: bytes) -> Event | None:
    try:
        return decode(payload)
    except UndecodableEvent:
        return None  # of a later release, or a dead letter
