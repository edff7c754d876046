"""Workitems of studies that are complete, by the rules of the settings: another system's worker performs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gantry.common.access import EVERYTHING, restricted
from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.events import StudyCompleted, WorkitemCreated
from gantry.common.ids import Receipt
from gantry.common.lifecycle.routes import RouteRule
from gantry.common.orders import pack
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import Location, ReadIndex
from gantry.common.runtime.order_values import write_values
from gantry.common.runtime.study_facts import known_study
from gantry.services.retrieve.routing.work import Work, attributes_of, change_of, workitem_uid


class WorkRequests:
    """Asks the index what is here of a study, and writes the patient attributes of a workitem into an object."""

    def __init__(
        self, works: Mapping[str, Work], objects: BlobStore, index: ReadIndex, clock: Clock, ae_title: str, url: str
    ) -> None:
        """`works` are those of rules, by their names. Workers fetch from `ae_title`, and from `url` (of the archive,
        without a trailing slash; "" if unknown)."""
        self._works = works
        self._objects = objects
        self._index = index
        self._clock = clock
        self._ae_title = ae_title
        self._url = url

    async def of(self, completed: StudyCompleted, matching: Iterable[RouteRule]) -> list[WorkitemCreated]:
        """The workitems of rules that match a study, to be appended; the attributes that they refer to are durable.
        None if nothing is left of the study. Raises `DependencyUnavailable`."""
        works = [self._works[rule.name] for rule in matching if rule.name in self._works]
        if not works:
            return []
        partition, uid = completed.partition, completed.study_instance_uid
        with restricted(EVERYTHING):
            study = await known_study(self._index, partition, uid)
            query = Query(partition, Level.STUDY, {STUDY_INSTANCE_UID: Single((uid,))})
            locations = [location async for page in self._index.locate(query) for location in page]
        if study is None or not locations:
            return []
        return [await self._event(work, completed, study.attributes, locations) for work in works]

    async def _event(
        self, work: Work, completed: StudyCompleted, study: Mapping[int, object], locations: list[Location]
    ) -> WorkitemCreated:
        now = self._clock.now_us()
        about = study, completed.study_instance_uid, locations
        attributes = attributes_of(work, *about, self._ae_title, self._url, now)
        event = WorkitemCreated(
            completed.partition,
            completed.trace,
            workitem_uid(completed, work.rule),
            change_of(completed, work.rule),
            "archive",
            "",
            now,
            pack(attributes),
        )
        written = await write_values(self._objects, event, Receipt.at(now))
        assert isinstance(written, WorkitemCreated)
        return written
