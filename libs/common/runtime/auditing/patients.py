"""The patient of a study, from the index: looked up once for each study, without delaying the work."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import (
    ISSUER_OF_PATIENT_ID,
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    PATIENT_ID,
    STUDY_INSTANCE_UID,
)
from gantry.common.errors import GantryError
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.index import ReadIndex

_MOST = 20_000


@dataclass(frozen=True, slots=True)
class StudyPatient:
    """Patient ID and issuer of a study, "" if it has none, and the number of its instances."""

    patient_id: str
    issuer: str
    instances: int


class PatientLookup:
    """The studies that one process has looked up."""

    def __init__(self, index: ReadIndex) -> None:
        self._index = index
        self._known: OrderedDict[str, StudyPatient] = OrderedDict()

    async def of(self, study: str, *, fresh: bool = False) -> StudyPatient | None:
        """The study; None if the index does not have it, or cannot be asked. With `fresh` it is asked again."""
        known = self._known.get(study)
        if known is not None and not fresh:
            self._known.move_to_end(study)
            return known
        try:
            known = await self._look(study)
        except GantryError:
            return None
        if known is not None:
            self._known[study] = known
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        return known

    async def _look(self, study: str) -> StudyPatient | None:
        query = Query(DEFAULT_PARTITION, Level.STUDY, {STUDY_INSTANCE_UID: Single((study,))})
        async for page in self._index.find(query):
            for document in page:
                patient, issuer, count = (
                    next((text_of(value) for value in document.attributes.get(tag, []) if value), "")
                    for tag in (PATIENT_ID, ISSUER_OF_PATIENT_ID, NUMBER_OF_STUDY_RELATED_INSTANCES)
                )
                return StudyPatient(patient, issuer, int(count) if count.isdigit() else 0)
        return None
