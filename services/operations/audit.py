"""GET operations/audit: who saw a patient or a study, and other audit records."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiohttp import web

from gantry.common.audit.fhir import audit_event
from gantry.common.audit.kinds import kind_of
from gantry.common.clock import Clock
from gantry.common.events import AuditRecorded
from gantry.common.web.errors import HttpProblem
from gantry.services.auditing.matching import AuditQuestion
from gantry.services.auditing.reading import AuditReader
from gantry.services.operations.turns import RequestLimit
from gantry.services.operations.web import Parts, answer_json, number

_LONGEST_TERM = 64
_LONGEST_KINDS = 400
_DAY_US = 24 * 3600 * 1_000_000


class AuditPart:
    """Asks `AuditReader`. The request itself is recorded, too (PS3.15 A.5.3.2, Audit Log Used)."""

    def __init__(self, reader: AuditReader, clock: Clock, turns: RequestLimit) -> None:
        self._reader = reader
        self._clock = clock
        self._turns = turns

    def parts(self) -> Parts:
        """What it answers."""
        return {("GET", "audit"): self.audit}

    async def audit(self, request: web.BaseRequest, _: tuple[str, ...]) -> web.StreamResponse:
        """The records of the last `days` about a `patient` or `study`, of a `requestor`, of one `kind` or several with
        commas between; `form=fhir` gives a Bundle of AuditEvent."""
        since = self._clock.now_us() - number(request, "days", 30, 36_500) * _DAY_US
        about = _term(request, "patient") or _term(request, "study")
        kinds = frozenset(filter(None, _line(request, "kind", _LONGEST_KINDS).split(",")))
        if any(kind_of(kind) is None for kind in kinds):
            raise HttpProblem(400, "kind: no such kind of audit record; docs/audit.md lists them")
        form = request.query.get("form", "json")
        if form not in ("json", "fhir"):
            raise HttpProblem(400, "form: json or fhir")
        question = AuditQuestion(
            since_us=since,
            about=about,
            requestor=_term(request, "requestor"),
            kinds=kinds,
            most=number(request, "most", 500, 5000),
        )
        async with self._turns.turn():
            result = await self._reader.find(question)
        if form == "fhir":
            return await answer_json(request, bundle(result.records))
        return await answer_json(
            request, {"records": [as_json(record) for record in result.records], "more": result.more}
        )


def as_json(record: AuditRecorded) -> dict[str, Any]:
    """A record as JSON; the bytes of a query as text, if they are text."""
    made = asdict(record)
    made["query"] = record.query.decode("utf-8", "replace")
    return made


def bundle(records: tuple[AuditRecorded, ...]) -> dict[str, Any]:
    """A FHIR Bundle of the records found."""
    entries = [{"resource": audit_event(record)} for record in records]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}


def _term(request: web.BaseRequest, name: str) -> str:
    return _line(request, name, _LONGEST_TERM)


def _line(request: web.BaseRequest, name: str, longest: int) -> str:
    line = request.query.get(name, "").strip()
    if len(line) > longest or not line.isprintable():
        raise HttpProblem(400, f"{name}: one line of at most {longest} characters")
    return line
