"""Bodies of change requests: JSON, or one data set, small and in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from gantry.common.dicom.model.xml_reading import from_xml
from gantry.common.errors import NotUnderstood
from gantry.common.web.bodies import body_of
from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import DICOM_JSON, DICOM_XML, JSON

_LONGEST_BODY = 256 << 10
_STALL_SECONDS = 30.0


async def json_body(
    request: web.BaseRequest, types: Sequence[str] = (JSON, DICOM_JSON), longest: int = _LONGEST_BODY
) -> Any:
    """JSON of one of these types, with a limit in bytes. Raises `HttpProblem` 400, 413, 415."""
    # A form on another site cannot send these media types without a preflight request (Fetch 3.2.2).
    if _type_of(request) not in types:
        raise HttpProblem(415, f"the body must be {' or '.join(types)}")
    return _from_json(await _read(request, longest))


async def data_set_body(request: web.BaseRequest, longest: int = _LONGEST_BODY) -> dict[str, Any]:
    """One data set in the DICOM JSON model, from a body of limited size, in that model or in the native one (XML,
    PS3.19 A.1). Raises `HttpProblem` 400, 413, 415."""
    kind = _type_of(request)
    if kind not in (JSON, DICOM_JSON, DICOM_XML):
        raise HttpProblem(415, f"the body must be {DICOM_JSON} or {DICOM_XML}")
    body = await _read(request, longest)
    if kind != DICOM_XML:
        return data_set(_from_json(body))
    try:
        return await asyncio.to_thread(from_xml, body)
    except NotUnderstood:
        raise HttpProblem(400, "the body is not a data set of the native dicom model (xml)") from None


def _type_of(request: web.BaseRequest) -> str:
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


async def _read(request: web.BaseRequest, longest: int) -> bytes:
    return b"".join([piece async for piece in body_of(request, longest, _STALL_SECONDS)])


def _from_json(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise HttpProblem(400, "the body is not json") from None


def _refuse(constant: str) -> None:
    """NaN and infinities are not JSON (RFC 8259)."""
    raise ValueError(constant)


def data_set(body: Any) -> dict[str, Any]:
    """One data set of the DICOM JSON model, or a list of one (PS3.18 F.2)."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, dict):
        raise HttpProblem(400, "one data set in the DICOM JSON model is needed")
    return body
