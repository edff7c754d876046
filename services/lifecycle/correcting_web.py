"""Correcting studies and patients, merging patients, and the history of a study over HTTP: extensions to DICOMweb.

POST   /dicom-web/studies/1.2.3[/series/1.2.3.4]/corrections?reason=…      attributes, as application/dicom+json
DELETE /dicom-web/studies/1.2.3/corrections/ID?reason=…
GET    /dicom-web/studies/1.2.3/history[?at=2026-11-27T12:00:00Z]
POST   /dicom-web/patients/{corrections,merges,identifiers,withdrawals}?reason=…
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from gantry.common.dicom.model.json_writing import to_json
from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID
from gantry.common.errors import NotFound, NotUnderstood
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle.identity import PatientIdentity
from gantry.common.ports.index import ReadIndex
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.runtime.walks import study_at
from gantry.common.web.bodies import answer
from gantry.common.web.errors import HttpProblem
from gantry.common.web.json_bodies import data_set, json_body
from gantry.common.web.negotiation import JSON
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import Handler
from gantry.services.corrections import CorrectionDesk, CorrectionResult
from gantry.services.lifecycle.callers import corrector_of
from gantry.services.lifecycle.history import history_of

_FRESH = {"Cache-Control": "no-store"}


class CorrectionService:
    """Corrections, merges, and history."""

    def __init__(self, desk: CorrectionDesk, index: ReadIndex, may_correct: Collection[str]) -> None:
        """`may_correct` are the names of tokens, and `LOOPBACK`."""
        self._desk = desk
        self._index = index
        self._may_correct = frozenset(may_correct)

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {
            Resource.CORRECT: self.correct,
            Resource.WITHDRAW_CORRECTION: self.withdraw,
            Resource.HISTORY: self.history,
            Resource.CORRECT_PATIENT: self.patients,
        }

    async def correct(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """200 with the correction's id when it is visible everywhere, 202 when it will be. 400 for an attribute that
        may not be corrected, 403, 404."""
        requester = corrector_of(request, self._may_correct)
        values = data_set(await json_body(request))
        return await _made(request, self._desk.correct_study(match.study, values, requester, match.series))

    async def withdraw(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """200 or 202 when the correction is withdrawn; 404 if none with this id is in force."""
        requester = corrector_of(request, self._may_correct)
        if len(match.rest) != 1:
            raise HttpProblem(404, "no such correction")
        return await _made(request, self._desk.withdraw_from_study(match.study, match.rest[0], requester))

    async def history(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """The corrections of a study, and its shown values; 404 if it does not exist."""
        until = _moment(request.query.get("at", ""))
        study = await study_at(self._index, DEFAULT_PARTITION, match.study, until)
        if study is None:
            raise HttpProblem(404, "no such study")
        return await answer(request, to_json(history_of(match.study, study, until).as_json()), JSON, _FRESH)

    async def patients(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """`patient` in the body is the patient concerned, as Patient ID and issuer in the DICOM JSON model:
        `corrections` with `values`, `merges` and `identifiers` (a change of ID) with `into`, `withdrawals` with the id
        of a `correction`, or of the last merge without one."""
        requester = corrector_of(request, self._may_correct)
        body = await json_body(request)
        if not isinstance(body, Mapping):
            raise HttpProblem(400, "the body must be a JSON object")
        patient = _identity(body.get("patient"), "patient")
        kind = match.rest[0] if len(match.rest) == 1 else ""
        if kind == "corrections":
            return await _made(request, self._desk.correct_patient(patient, data_set(body.get("values")), requester))
        if kind == "merges":
            return await _made(request, self._desk.merge(patient, _identity(body.get("into"), "into"), requester))
        if kind == "identifiers":
            return await _made(request, self._desk.rename(patient, _identity(body.get("into"), "into"), requester))
        if kind == "withdrawals":
            correction = str(body.get("correction") or "")
            return await _made(request, self._desk.withdraw_from_patient(patient, correction, requester))
        raise HttpProblem(404, "no such resource")


async def _made(request: web.BaseRequest, work: Any) -> web.StreamResponse:
    try:
        made: CorrectionResult = await work
    except NotUnderstood as error:
        raise HttpProblem(400, str(error)) from error
    except NotFound as error:
        raise HttpProblem(404, str(error)) from error
    await reach(FailPoint.BEFORE_ANSWER)
    document = to_json({"correction": made.correction, "settled": made.settled})
    return await answer(request, document, JSON, _FRESH, 200 if made.settled else 202)


def _identity(body: Any, name: str) -> PatientIdentity:
    texts = [_text(body, tag) for tag in (PATIENT_ID, ISSUER_OF_PATIENT_ID)] if isinstance(body, Mapping) else [""]
    if not texts[0]:
        raise HttpProblem(400, f"{name}: a data set with Patient ID, and its issuer where there is one, is needed")
    try:
        return PatientIdentity(*texts)
    except NotUnderstood as error:
        raise HttpProblem(400, f"{name}: {error}") from error


def _text(body: Mapping[str, Any], tag: int) -> str:
    element = body.get(f"{tag:08X}")
    values = element.get("Value") if isinstance(element, Mapping) else None
    return str(values[0]).strip() if isinstance(values, list) and len(values) == 1 and values[0] else ""


def _moment(text: str) -> int | None:
    """A time in ISO 8601, as microseconds since the epoch; UTC if it names no zone."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1e6)
    except (ValueError, OverflowError):
        raise HttpProblem(400, "at: a time as 2026-11-27T12:00:00Z") from None
