"""Acknowledged objects can be retrieved at once: those that are not indexed yet are looked up on the event log.

A sender that received Success, or a viewer that received the Retrieve URL of a STOW response, may ask while the index
is behind: for a tenth of a second, or for minutes after an outage. Only requests that name a Study Instance UID are
looked up, since the log is keyed by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from gantry.common.access import SIGHT
from gantry.common.clock import Clock
from gantry.common.dicom.query.matching import Condition, Cursor, Document, Query, Single, UidList
from gantry.common.dicom.scan.layout import Layout, pack_layout
from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.common.errors import DependencyUnavailable, NotUnderstood, UndecodableEvent
from gantry.common.events import INDEXERS, TOPICS, Event, InstanceStored, decode
from gantry.common.ids import receipt_in_key
from gantry.common.lifecycle import ALIVE, CorrectionEffect, corrections_below, effect_of, fold, unpack_coercion
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import InstanceKey, KnownReceipt, Location, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.coercion import with_coercion
from gantry.common.runtime.losses import instance_of
from gantry.common.telemetry.logs import get_logger

_INSTANCES = TOPICS[InstanceStored].name
_MOST_STUDIES = 16
"""Studies of one request that are looked up on the log; a request for more is unlikely to follow a store."""
_ANSWER_SECONDS = 2.0
_AWAY_SECONDS = 10.0
"""Seconds before a log that did not answer is asked again."""
_UIDS = (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID)
logger = get_logger("retrieve")


class Locating(Protocol):
    """Locates objects: the part of `SearchIndex` that retrieval needs."""

    def locate(self, query: Query) -> AsyncIterator[list[Location]]: ...

    async def current(self, partition: str, instances: Sequence[InstanceKey]) -> dict[InstanceKey, Location]: ...


class Describing(Locating, Protocol):
    """Also describes instances."""

    def find(self, query: Query, after: Cursor = ()) -> AsyncIterator[list[Document]]: ...

    async def receipts(self, partition: str, instance: InstanceKey) -> list[KnownReceipt]: ...


@dataclass(slots=True)
class Unindexed:
    """Events of studies that are not indexed yet: stored objects, and receipts that are hidden."""

    stored: dict[InstanceKey, Location] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)

    def hides(self, location: Location) -> bool:
        """Whether the object that the index knows is deleted."""
        receipt = receipt_in_key(location.object_key) if self.hidden else None
        return receipt is not None and receipt.id in self.hidden


class Locator:
    """Locates objects, by the index and the log together."""

    def __init__(self, index: ReadIndex, log: EventLog, objects: BlobStore, clock: Clock) -> None:
        """`objects` has what was coerced in the few objects whose events are too long to carry it."""
        self._objects = objects
        self._index = index
        self._log = log
        self._clock = clock
        self._away_until = 0.0

    def find(self, query: Query, after: Cursor = ()) -> AsyncIterator[list[Document]]:
        """`SearchIndex.find`."""
        return self._index.find(query, after)

    async def receipts(self, partition: str, instance: InstanceKey) -> list[KnownReceipt]:
        """`SearchIndex.receipts`."""
        return await self._index.receipts(partition, instance)

    async def locate(self, query: Query) -> AsyncIterator[list[Location]]:
        """`SearchIndex.locate`, followed by objects that are stored but not indexed yet, and without those deleted
        since."""
        # The log first: events that the indexers commit in between are in the index when it is asked.
        unindexed = await self._unindexed(query)
        waiting = unindexed.stored
        async for page in self._index.locate(query):
            matches = [location for location in page if not unindexed.hides(location)]
            for location in matches:
                waiting.pop(instance_of(location), None)
            if matches:
                yield matches
        if waiting:
            yield sorted(waiting.values(), key=lambda at: (at.study_instance_uid, at.series_instance_uid))

    async def current(self, partition: str, instances: Sequence[InstanceKey]) -> dict[InstanceKey, Location]:
        """`SearchIndex.current`, and objects that are stored but not indexed yet."""
        known = await self._index.current(partition, instances)
        missing = [instance for instance in instances if instance not in known]
        studies = list(dict.fromkeys(instance.study_instance_uid for instance in missing))
        if not missing or len(studies) > _MOST_STUDIES:
            return known
        for study in studies:
            waiting = (await self._of_study(partition, study)).stored
            known |= {instance: waiting[instance] for instance in missing if instance in waiting}
        # Events that the indexers committed between the two are in the index by now.
        missing = [instance for instance in missing if instance not in known]
        return known | (await self._index.current(partition, missing) if missing else {})

    async def _unindexed(self, query: Query) -> Unindexed:
        """The unindexed objects that match, and the receipts hidden since, if the query names studies."""
        conditions = query.conditions
        studies = _uids(conditions.get(STUDY_INSTANCE_UID))
        unindexed = Unindexed()
        if not studies or len(studies) > _MOST_STUDIES or not conditions.keys() <= set(_UIDS):
            return unindexed
        series, instances = (_uids(conditions.get(tag)) for tag in (SERIES_INSTANCE_UID, SOP_INSTANCE_UID))
        for study in studies:
            of_study = await self._of_study(query.partition, study)
            unindexed.hidden |= of_study.hidden
            for key, location in of_study.stored.items():
                if (not series or key.series_instance_uid in series) and (
                    not instances or key.sop_instance_uid in instances
                ):
                    unindexed.stored[key] = location
        return unindexed

    async def _of_study(self, partition: str, study: str) -> Unindexed:
        if self._clock.monotonic() < self._away_until:
            return Unindexed()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                records = await self._log.uncommitted(INDEXERS, _INSTANCES, study)
        except (DependencyUnavailable, TimeoutError) as error:
            # Indexed objects can still be retrieved while the log is unavailable or the index far behind.
            logger.warning("objects that are not indexed yet cannot be looked up", error=error)
            self._away_until = self._clock.monotonic() + _AWAY_SECONDS
            return Unindexed()
        events = [event for record in records if (event := _event(record.payload)) and event.partition == partition]
        state = fold(events)
        stored = await self._whole([event for event in events if isinstance(event, InstanceStored)])
        # An event may be there a second time, after its receipt was deleted.
        deletion_states = (
            await self._index.deletion_states(partition, [event.receipt for event in stored]) if stored else {}
        )
        unindexed = Unindexed(
            hidden={receipt for receipt, known in state.receipts.items() if known.deletion_state.hidden}
        )
        if not SIGHT.get().whole:
            return unindexed  # whether it is seen is known when it is indexed
        for event in stored:
            if not (state.receipts[event.receipt].deletion_state | deletion_states.get(event.receipt, ALIVE)).hidden:
                location = _location(event)
                # The earliest receipt is current, here as in the index.
                unindexed.stored.setdefault(instance_of(location), location)
        if unindexed.stored:
            unindexed.stored = await self._corrected(partition, study, unindexed.stored)
        return unindexed

    async def _whole(self, stored: list[InstanceStored]) -> list[InstanceStored]:
        """The events with what was coerced; without those whose coercion cannot be read while the object store is
        unavailable."""
        try:
            return await with_coercion(self._objects, stored)
        except DependencyUnavailable as error:
            logger.warning("coerced values cannot be looked up", error=error)
            return [event for event in stored if event.coercion is not None]

    async def _corrected(
        self, partition: str, study: str, stored: dict[InstanceKey, Location]
    ) -> dict[InstanceKey, Location]:
        """The corrections of a study that is partly indexed, applied to the rest of it."""
        known = await self._index.corrected(partition, study)
        effect = None if known is None else effect_of(known.own, study, known.corrections, known.patients)
        if not isinstance(effect, CorrectionEffect) or not effect.applied:
            return stored
        packed = effect.pack()
        return {
            key: replace(at, corrections=corrections_below(packed, key.series_instance_uid))
            for key, at in stored.items()
        }


def _event(payload: bytes) -> Event | None:
    try:
        return decode(payload)
    except UndecodableEvent:
        return None  # the indexer puts it among the dead letters


def _location(event: InstanceStored) -> Location:
    return Location(
        event.study_instance_uid,
        event.series_instance_uid,
        event.sop_instance_uid,
        event.sop_class_uid,
        event.transfer_syntax_uid,
        event.object_key,
        event.data_set_offset,
        event.data_set_length,
        event.digest,
        pack_layout(Layout(event.header_length, event.bulk, event.pixel_data, _coercion(event))),
    )


def _coercion(event: InstanceStored) -> bytes:
    """What was coerced; b"" if that is damaged, as in the indexer."""
    try:
        unpack_coercion(event.coercion or b"")
    except NotUnderstood:
        return b""
    return event.coercion or b""


def _uids(condition: Condition | None) -> Sequence[str]:
    if isinstance(condition, UidList):
        return condition.uids
    return condition.values if isinstance(condition, Single) else ()
