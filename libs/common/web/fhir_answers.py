"""Answers in FHIR (https://hl7.org/fhir/R4/http.html): in JSON, errors as an OperationOutcome; below /fhir/r5 in R5."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from gantry.common.errors import GantryError, NotUnderstood
from gantry.common.fhir.r5 import as_r5
from gantry.common.fhir.resources import outcome
from gantry.common.web.bodies import answer
from gantry.common.web.errors import HttpProblem, problem_of
from gantry.common.web.routes import FHIR, FHIR_R5, fhir_base

FHIR_JSON = "application/fhir+json"
_ISSUES = {
    400: "invalid",
    403: "forbidden",
    404: "not-found",
    409: "conflict",
    422: "business-rule",
    429: "too-costly",
    503: "transient",
}
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CreatedResource:
    """A resource that is made, with another status than 200; without a body 204."""

    body: Body | None = None
    status: int = 201
    headers: dict[str, str] = field(default_factory=dict)


async def answered(request: web.BaseRequest, made: Awaitable[Body | CreatedResource]) -> web.StreamResponse:
    """The resource as a response. Errors of the request become an OperationOutcome (R4 3.1.0.1.8)."""
    try:
        answer = await made
        if not isinstance(answer, CreatedResource):
            return await _answer_json(request, answer)
        if answer.body is None:
            return web.Response(status=204, headers=answer.headers)
        return await _answer_json(request, answer.body, answer.status, answer.headers)
    except NotUnderstood as error:
        problem = HttpProblem(400, str(error))
    except GantryError as error:
        problem = problem_of(error)
    body = outcome(_ISSUES.get(problem.status, "processing"), problem.line)
    return await _answer_json(request, body, problem.status, problem.headers)


def base_of(request: web.BaseRequest) -> str:
    """The base path of a request: that of R4 or of R5."""
    return fhir_base(request.rel_url.raw_path) or FHIR


def link(relation: str, url: str, parameters: Sequence[tuple[str, str]]) -> Body:
    """A link of a Bundle."""
    return {"relation": relation, "url": f"{url}?{urlencode(parameters)}" if parameters else url}


def check_format(request: web.BaseRequest) -> None:
    """R4 3.1.0.1.11: `_format` takes precedence over Accept. Only JSON is supported. Raises `HttpProblem` 406."""
    wanted = request.query.get("_format", "").lower().replace(" ", "+")
    if wanted and "json" not in wanted:
        raise HttpProblem(406, f"{FHIR_JSON} is all there is")


def is_strict(request: web.BaseRequest) -> bool:
    """Whether unknown parameters are to be refused (R4 3.1.1.3)."""
    return "handling=strict" in request.headers.get("Prefer", "").replace(" ", "").lower()


async def _answer_json(
    request: web.BaseRequest, body: Body, status: int = 200, headers: dict[str, str] | None = None
) -> web.StreamResponse:
    encoded = await asyncio.to_thread(_encoded, body, base_of(request))
    sent = {"Cache-Control": "private, no-cache", **(headers or {})}
    return await answer(request, encoded, FHIR_JSON, sent, status)


def _encoded(body: Body, base: str) -> bytes:
    resource = as_r5(body) if base == FHIR_R5 else body
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()
