"""Acknowledged objects can be retrieved at once: those the indexers have not passed yet are looked up on the event log.

A sender that received Success, or a viewer that received the Retrieve URL of a STOW response, may ask within the tenth
of a second that the index is behind, or in the minutes that it is behind after an outage. Only requests that name a
Study Instance UID are looked up, since the log is keyed by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from gantry.common.clock import Clock
from gantry.common.dicom.query.matching import Condition, Cursor, Document, Query, Single, UidList
from gantry.common.dicom.scan.layout import Layout, pack_layout
from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.common.errors import DependencyUnavailable, UndecodableEvent
from gantry.common.events import INDEXERS, TOPICS, InstanceStored, decode
from gantry.common.ports.index import InstanceKey, KnownReceipt, Location, ReadIndex
from gantry.common.ports.log import EventLog
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


class Locator:
    """Locates objects, by the index and the log together."""

    def __init__(self, index: ReadIndex, log: EventLog, clock: Clock) -> None:
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
        """`SearchIndex.locate`, followed by objects that are stored but not indexed yet."""
        # The log first: events that the indexers commit in between are in the index when it is asked.
        waiting = await self._waiting(query)
        async for page in self._index.locate(query):
            for location in page:
                waiting.pop(instance_of(location), None)
            yield page
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
            waiting = await self._of_study(partition, study)
            known |= {instance: waiting[instance] for instance in missing if instance in waiting}
        # Events that the indexers committed between the two are in the index by now.
        missing = [instance for instance in missing if instance not in known]
        return known | (await self._index.current(partition, missing) if missing else {})

    async def _waiting(self, query: Query) -> dict[InstanceKey, Location]:
        """The unindexed objects that match, if the query names studies."""
        conditions = query.conditions
        studies = _uids(conditions.get(STUDY_INSTANCE_UID))
        if not studies or len(studies) > _MOST_STUDIES or not conditions.keys() <= set(_UIDS):
            return {}
        series, instances = (_uids(conditions.get(tag)) for tag in (SERIES_INSTANCE_UID, SOP_INSTANCE_UID))
        found: dict[InstanceKey, Location] = {}
        for study in studies:
            for key, location in (await self._of_study(query.partition, study)).items():
                if (not series or key.series_instance_uid in series) and (
                    not instances or key.sop_instance_uid in instances
                ):
                    found[key] = location
        return found

    async def _of_study(self, partition: str, study: str) -> dict[InstanceKey, Location]:
        if self._clock.monotonic() < self._away_until:
            return {}
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                records = await self._log.uncommitted(INDEXERS, _INSTANCES, study)
        except (DependencyUnavailable, TimeoutError) as error:
            # Indexed objects can still be retrieved while the log is unavailable or the index far behind.
            logger.warning("what is not indexed yet cannot be looked up", error=error)
            self._away_until = self._clock.monotonic() + _AWAY_SECONDS
            return {}
        found: dict[InstanceKey, Location] = {}
        for record in records:
            event = _event(record.payload)
            if event is not None and event.partition == partition:
                location = _location(event)
                # The earliest receipt is current, here as in the index.
                found.setdefault(instance_of(location), location)
        return found


def _event(payload: bytes) -> InstanceStored | None:
    try:
        event = decode(payload)
    except UndecodableEvent:
        return None  # the indexer puts it among the dead letters
    return event if isinstance(event, InstanceStored) else None


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
        pack_layout(Layout(event.header_length, event.bulk, event.pixel_data)),
    )


def _uids(condition: Condition | None) -> Sequence[str]:
    if isinstance(condition, UidList):
        return condition.uids
    return condition.values if isinstance(condition, Single) else ()
