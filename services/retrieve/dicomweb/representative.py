"""Which image stands for a series or study: the middle one in order of Instance Number, of the largest series that has
images."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Condition, Cursor, Document, Query, Single
from gantry.common.dicom.query.ordering import order_text
from gantry.common.dicom.standard.tags import (
    INSTANCE_NUMBER,
    MODALITY,
    NUMBER_OF_SERIES_RELATED_INSTANCES,
    ROWS,
    SERIES_INSTANCE_UID,
    SERIES_NUMBER,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.index import InstanceKey, Location
from gantry.common.web.routes import Match

MOST_LISTED = 20_000
"""Instances of a series that are considered; of a longer series, the middle of these is chosen."""
MOST_TRIED = 20
"""Candidates that are returned, the nearest to the middle first: the first may have no image, or be lost."""
_MOST_SERIES = 5
_REMEMBERED = 2_000
_REMEMBERED_SECONDS = 30.0
_PICTURELESS = frozenset(("AU", "DOC", "ECG", "EEG", "HD", "KO", "PLAN", "PR", "REG", "RTPLAN", "RTSTRUCT", "SR"))
"""Modalities whose objects have no image."""


class Described(Protocol):
    """Describes instances: the part of `SearchIndex` that choosing needs."""

    def find(self, query: Query, after: Cursor = ()) -> AsyncIterator[list[Document]]: ...

    async def current(self, partition: str, instances: Sequence[InstanceKey]) -> dict[InstanceKey, Location]: ...


class Representatives:
    """Chooses the instances that may stand for a series or study; a choice holds for half a minute."""

    def __init__(self, index: Described) -> None:
        self._index = index
        self._chosen: OrderedDict[tuple[str, str], tuple[float, list[InstanceKey]]] = OrderedDict()

    async def of(self, match: Match) -> list[Location]:
        """Locations of the instances that may represent what a path names, the best first; empty if none is indexed."""
        now, named = asyncio.get_running_loop().time(), (match.study, match.series)
        until, keys = self._chosen.get(named, (0.0, []))
        if until <= now:
            keys = await self._choose(match)
            self._chosen[named] = now + _REMEMBERED_SECONDS, keys
            self._chosen.move_to_end(named)
            while len(self._chosen) > _REMEMBERED:
                self._chosen.popitem(last=False)
        known = await self._index.current(DEFAULT_PARTITION, keys)
        return [known[key] for key in keys if key in known]

    async def _choose(self, match: Match) -> list[InstanceKey]:
        series = [match.series] if match.series else await self._series(match.study)
        keys: list[InstanceKey] = []
        for uid in series:
            instances = await self._instances(match.study, uid)
            keys += [InstanceKey(match.study, uid, sop) for sop in instances]
            if len(keys) >= MOST_TRIED:
                break
        return keys[:MOST_TRIED]

    async def _series(self, study: str) -> list[str]:
        """The series of a study, the best first: with images, large, of a low number."""
        ranked: list[tuple[bool, int, str, str]] = []
        async for page in self._index.find(_query(Level.SERIES, {STUDY_INSTANCE_UID: Single((study,))})):
            ranked += [_series_rank(document.attributes) for document in page]
        return [uid for *_, uid in sorted(ranked)[:_MOST_SERIES]]

    async def _instances(self, study: str, series: str) -> list[str]:
        """Instances of a series: the middle one of those with images, then its neighbours."""
        named = {STUDY_INSTANCE_UID: Single((study,)), SERIES_INSTANCE_UID: Single((series,))}
        listed: list[tuple[bool, str, str]] = []
        async for page in self._index.find(_query(Level.IMAGE, named)):
            listed += [_instance_rank(document.attributes) for document in page]
            if len(listed) >= MOST_LISTED:
                break
        images = sorted(image for image in listed if not image[0]) or sorted(listed)
        middle = len(images) // 2
        nearest = sorted(range(max(0, middle - MOST_TRIED), min(len(images), middle + MOST_TRIED)), key=_from(middle))
        return [images[place][2] for place in nearest[:MOST_TRIED]]


def _query(level: Level, conditions: Mapping[int, Condition]) -> Query:
    return Query(DEFAULT_PARTITION, level, conditions)


def _from(middle: int) -> Any:
    return lambda place: (abs(place - middle), place)


def _first(attributes: Mapping[int, Any], tag: int) -> str:
    return text_of(next(iter(attributes.get(tag) or ()), None))


def _series_rank(attributes: Mapping[int, Any]) -> tuple[bool, int, str, str]:
    count = attributes[NUMBER_OF_SERIES_RELATED_INSTANCES][0]
    number = order_text("IS", attributes.get(SERIES_NUMBER) or ())
    return _first(attributes, MODALITY) in _PICTURELESS, -count, number, _first(attributes, SERIES_INSTANCE_UID)


def _instance_rank(attributes: Mapping[int, Any]) -> tuple[bool, str, str]:
    """Sort key of an instance: whether it has no image, its number, and its UID."""
    number = order_text("IS", attributes.get(INSTANCE_NUMBER) or ())
    return not _first(attributes, ROWS), number, _first(attributes, SOP_INSTANCE_UID)
