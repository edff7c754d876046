"""Special states of studies, for the page: an extension to DICOMweb.

GET /dicom-web/studies/states?StudyInstanceUID=1.2.3,1.2.4    {"1.2.3": ["held", "conflict"]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiohttp import web

from gantry.common.dicom.model.json_writing import to_json
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, UidList
from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID, STUDY_INSTANCE_UID
from gantry.common.ids import DEFAULT_PARTITION, is_uid
from gantry.common.lifecycle import holder_of, holders
from gantry.common.ports.index import Marks, ReadIndex
from gantry.common.web.bodies import answer
from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import JSON
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import Handler

MOST = 200
"""Most studies of one request."""


class StudyStates:
    """The handler of `Resource.STATES`."""

    def __init__(self, index: ReadIndex) -> None:
        """`index` shows each caller only what the caller may see."""
        self._index = index

    def handlers(self) -> dict[Resource, Handler]:
        """By resource."""
        return {Resource.STATES: self.of}

    async def of(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """The states of the studies that the caller sees and that have any."""
        uids = uids_of(request.query.getall("StudyInstanceUID", []))
        held_by: dict[str, list[str]] = {}
        query = Query(DEFAULT_PARTITION, Level.STUDY, {STUDY_INSTANCE_UID: UidList(uids)})
        query = replace(query, attributes=await self._index.attributes())
        async for page in self._index.find(query):
            for document in page:
                held_by[_text(document.attributes, STUDY_INSTANCE_UID)] = _holders(document.attributes)
        every = {holder for keys in held_by.values() for holder in keys}
        marks = await self._index.marks_of(DEFAULT_PARTITION, list(held_by), sorted(every)) if held_by else Marks()
        states = {uid: words for uid, keys in held_by.items() if (words := _states(uid, keys, marks))}
        return await answer(request, to_json(states), JSON, {"Cache-Control": "no-store"})


def uids_of(values: Sequence[str]) -> tuple[str, ...]:
    """The UIDs of a request. Raises `HttpProblem` 400."""
    uids = tuple(dict.fromkeys(uid for value in values for uid in value.split(",", MOST + 1) if uid))
    if not uids or len(uids) > MOST or not all(map(is_uid, uids)):
        raise HttpProblem(400, f"StudyInstanceUID: 1 to {MOST} Study Instance UIDs, with commas between")
    return uids


def _holders(attributes: Mapping[int, Any]) -> list[str]:
    """The holders whose hold protects a study: the study itself, and the patient that it names."""
    patients = holders(_text(attributes, PATIENT_ID), _text(attributes, ISSUER_OF_PATIENT_ID))
    return [_text(attributes, STUDY_INSTANCE_UID), *map(holder_of, patients)]


def _states(uid: str, keys: Sequence[str], marks: Marks) -> list[str]:
    states = {
        "conflict": uid in marks.conflicting,
        "rejected": uid in marks.rejected,
        "held": not marks.held.isdisjoint(keys),
    }
    return [name for name, stands in states.items() if stands]


def _text(attributes: Mapping[int, Any], tag: int) -> str:
    return str(next(iter(attributes.get(tag) or ()), "") or "")
