"""The studies that the archive shows, as records of an inventory: without hidden instances, and with corrections
applied."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gantry.common.clock import Clock
from gantry.common.dicom.inventory.records import (
    InventoriedInstance,
    InventoriedSeries,
    InventoriedStudy,
    InventoryLevel,
)
from gantry.common.dicom.query.attributes import ATTRIBUTES, Level
from gantry.common.dicom.query.matching import Cursor, Document, Query, Single
from gantry.common.dicom.standard.tags import (
    NUMBER_OF_SERIES_RELATED_INSTANCES,
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    NUMBER_OF_STUDY_RELATED_SERIES,
    SERIES_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from gantry.common.errors import DependencyUnavailable, NotUnderstood
from gantry.common.ports.index import Location, ReadIndex

_TOGETHER = 100
"""Studies of one query: a listing must not stay open for as long as an inventory takes."""
_OF_STUDIES = frozenset(
    tag
    for tag, attribute in ATTRIBUTES.items()
    if attribute.vr != "SQ"
    and (attribute.level is Level.STUDY or (attribute.level is Level.PATIENT and not attribute.computed))
)
_OF_SERIES = frozenset(
    tag for tag, attribute in ATTRIBUTES.items() if attribute.vr != "SQ" and attribute.level is Level.SERIES
)
INVENTORIED = _OF_STUDIES | _OF_SERIES
"""Attributes of studies and series that an inventory has: all that are not sequences."""


class InventoriedStudies:
    """The studies that match `query`, down to `level`; with `keys`, also the keys of the objects in the store."""

    def __init__(self, index: ReadIndex, clock: Clock, query: Query, level: InventoryLevel, *, keys: bool) -> None:
        self._index = index
        self._clock = clock
        self._query = replace(query, limit=_TOGETHER)
        self._level = level
        self._keys = keys

    async def all(self) -> AsyncIterator[InventoriedStudy]:
        """All studies, each as it is when it is read. A study that is added or removed meanwhile may be missed; none is
        listed twice. Raises `DependencyUnavailable`, also if another index replaced this one."""
        place: Cursor = ()
        while True:
            try:
                page = [document async for batch in self._index.find(self._query, place) for document in batch]
            except NotUnderstood:
                raise DependencyUnavailable("search index", "it was rebuilt meanwhile") from None
            for document in page:
                study = await self._study(document)
                if study is not None:
                    yield study
            if not page:
                return
            place = page[-1].place

    async def _study(self, document: Document) -> InventoriedStudy | None:
        """None if the last instance of a study was removed since it was listed."""
        moment = f"{datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC):%Y%m%d%H%M%S}+0000"
        uid = str(document.attributes[STUDY_INSTANCE_UID][0])
        attributes = _only(document.attributes, _OF_STUDIES)
        if self._level is InventoryLevel.STUDY:
            return InventoriedStudy(uid, moment, attributes)
        series = await self._series(uid)
        if self._level is InventoryLevel.INSTANCE:
            attributes[NUMBER_OF_STUDY_RELATED_SERIES] = [len(series)]
            attributes[NUMBER_OF_STUDY_RELATED_INSTANCES] = [sum(len(entry.instances) for entry in series)]
        return InventoriedStudy(uid, moment, attributes, tuple(series)) if series else None

    async def _series(self, study: str) -> list[InventoriedSeries]:
        condition = {STUDY_INSTANCE_UID: Single((study,))}
        series: dict[str, dict[int, Any]] = {}
        async for page in self._index.find(Query(self._query.partition, Level.SERIES, condition)):
            for document in page:
                uid = str(document.attributes[SERIES_INSTANCE_UID][0])
                series[uid] = _only(document.attributes, _OF_SERIES)
        if self._level is not InventoryLevel.INSTANCE:
            return [InventoriedSeries(uid, attributes) for uid, attributes in series.items()]
        instances: dict[str, list[InventoriedInstance]] = {}
        async for locations in self._index.locate(Query(self._query.partition, Level.STUDY, condition)):
            for location in locations:
                instances.setdefault(location.series_instance_uid, []).append(self._instance(location))
        counted = {uid: {NUMBER_OF_SERIES_RELATED_INSTANCES: [len(members)]} for uid, members in instances.items()}
        return [
            InventoriedSeries(uid, {**series.get(uid, {}), **counted[uid]}, tuple(members))
            for uid, members in instances.items()
        ]

    def _instance(self, location: Location) -> InventoriedInstance:
        instance = InventoriedInstance(location.sop_class_uid, location.sop_instance_uid, location.transfer_syntax_uid)
        if not self._keys:
            return instance
        length = location.data_set_offset + location.data_set_length
        return replace(instance, key=location.object_key, file_length=length)


def _only(attributes: Mapping[int, Any], wanted: frozenset[int]) -> dict[int, Any]:
    unique = (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)
    return {tag: values for tag, values in attributes.items() if tag in wanted and tag not in unique}
