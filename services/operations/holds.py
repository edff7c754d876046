"""Holds over HTTP: of a study, for callers that see it; placed and released; and all holds in force, in pages.

GET    /dicom-web/studies/1.2.3/holds
POST   /dicom-web/studies/1.2.3/holds?reason=…      {} or {"on": "patient"}
DELETE /dicom-web/studies/1.2.3/holds?reason=…[&hold=NAME]
GET    /dicom-web/operations/holds?after=…&limit=25[&term=STUDY or PATIENT ID]
POST   /dicom-web/operations/holds/release?reason=…     {"holder": "…", "hold": "…"}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aiohttp import web

from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID
from gantry.common.errors import NotFound
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.index import ReadIndex
from gantry.common.runtime.study_facts import KnownStudy, known_study
from gantry.common.web.errors import HttpProblem
from gantry.common.web.json_bodies import json_body
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import Handler
from gantry.services.lifecycle.deletions import Deletions, Done
from gantry.services.lifecycle.standing_holds import Hold, ReadHolds
from gantry.services.operations.callers import Operators
from gantry.services.operations.turns import RequestLimit
from gantry.services.operations.web import Parts, answer_json, number
from gantry.services.requester import Requester

_LONGEST_TERM = 64


class HoldsPart:
    """Reads holds, and uses `Deletions` to place and release them."""

    def __init__(
        self, index: ReadIndex, deletions: Deletions, holds: ReadHolds, operators: Operators, turns: RequestLimit
    ) -> None:
        self._index = index
        self._deletions = deletions
        self._holds = holds
        self._operators = operators
        self._turns = turns

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers below a study."""
        return {Resource.HOLDS: self.of_study, Resource.HOLD: self.place, Resource.RELEASE: self.release}

    def parts(self) -> Parts:
        """The handlers of operations."""
        return {("GET", "holds"): self.listed, ("POST", "holds/release"): self.release_listed}

    async def of_study(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """The holds on a study, known or not, and on its patient."""
        async with self._turns.turn():
            return await answer_json(request, {"holds": _as_json(await self._holds.of(match.study))})

    async def place(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """201 with the hold's name when it is in force everywhere, 202 when it will be: on a study, known or not, or
        `on` its patient, with all the patient's studies. 403; 404 for the patient of an unknown study."""
        requester = self._operators.holder(request)
        body = await json_body(request) if request.body_exists else {}
        on = body.get("on", "study") if isinstance(body, Mapping) else ""
        if on not in ("study", "patient"):
            raise HttpProblem(400, 'on: "study" or "patient"')
        if on == "study":
            name = await self._deletions.place_hold(match.study, requester)
        else:
            name = await self._deletions.place_patient_hold(*await self._patient(match.study), requester)
        settled = await self._deletions.settle()
        return await answer_json(request, {"hold": name, "settled": settled}, 201 if settled else 202)

    async def _patient(self, study: str) -> tuple[str, str]:
        known = await known_study(self._index, DEFAULT_PARTITION, study, deleted=True)
        if known is None:
            raise HttpProblem(404, "no such study: its patient is not known")
        patient_id, issuer = (_text(known, tag) for tag in (PATIENT_ID, ISSUER_OF_PATIENT_ID))
        if not patient_id:
            raise HttpProblem(409, "the study has no Patient ID: place the hold on the study")
        return patient_id, issuer

    async def release(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """Release one `hold` of a study or its patient, or all on the study; 404 if there is none."""
        requester = self._operators.holder(request)
        hold = request.query.get("hold", "")
        if not hold:
            return await _released(request, self._deletions.release_holds(match.study, requester))
        for holder in await self._holds.standing(match.study):
            if hold in holder.holds:
                return await self._release(request, holder.holder, hold, requester)
        raise HttpProblem(404, "no such hold stands on this study or its patient")

    async def release_listed(self, request: web.BaseRequest, _: tuple[str, ...]) -> web.StreamResponse:
        """Release one hold by the names in the list."""
        requester = self._operators.holder(request)
        body = await json_body(request)
        names = [body.get(name) for name in ("holder", "hold")] if isinstance(body, Mapping) else []
        if len(names) != 2 or not all(isinstance(name, str) and 0 < len(name) <= 200 for name in names):
            raise HttpProblem(400, "holder, hold: as the list names them")
        return await self._release(request, str(names[0]), str(names[1]), requester)

    async def _release(
        self, request: web.BaseRequest, holder: str, hold: str, requester: Requester
    ) -> web.StreamResponse:
        return await _released(request, self._deletions.release_hold(holder, hold, requester))

    async def listed(self, request: web.BaseRequest, _: tuple[str, ...]) -> web.StreamResponse:
        """All holds in pages of `limit` holders; with `term` those of a study, or of a Patient ID of any issuer."""
        limit, term = number(request, "limit", 25, 100), request.query.get("term", "").strip()
        if len(term) > _LONGEST_TERM or not term.isprintable():
            raise HttpProblem(400, "term: a Study Instance UID or a Patient ID")
        async with self._turns.turn():
            if term:
                matches, following = await self._holds.of(term), None
            else:
                matches, following = await self._holds.page(request.query.get("after", "")[: _LONGEST_TERM * 2], limit)
            return await answer_json(request, {"holds": _as_json(matches), "next": following})


def _as_json(holds: Sequence[Hold]) -> list[dict[str, Any]]:
    return [asdict(hold) for hold in holds]


async def _released(request: web.BaseRequest, work: Any) -> web.StreamResponse:
    try:
        done: Done = await work
    except NotFound as error:
        raise HttpProblem(404, str(error)) from error
    return await answer_json(request, {"settled": done.settled}, 200 if done.settled else 202)


def _text(study: KnownStudy, tag: int) -> str:
    return str(next(iter(study.attributes.get(tag) or ()), "") or "").strip()
