"""What a caller sends with a change: JSON, small and in memory."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from gantry.common.web.bodies import body_of
from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import DICOM_JSON, JSON

_LONGEST_BODY = 256 << 10
_STALL_SECONDS = 30.0


async def json_body(request: web.BaseRequest) -> Any:
    # A form on another site cannot send these media types without a preflight request (Fetch 3.2.2).
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() not in (JSON, DICOM_JSON):
        raise HttpProblem(415, f"the body is to be {JSON} or {DICOM_JSON}")
    body = b"".join([piece async for piece in body_of(request, _LONGEST_BODY, _STALL_SECONDS)])
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise HttpProblem(400, "the body is not json") from None


def _refuse(constant: str) -> None:
    """NaN and infinities are no JSON (RFC 8259)."""
    raise ValueError(constant)


def data_set(body: Any) -> dict[str, Any]:
    """One data set of the DICOM JSON model, or a list of one (PS3.18 F.2)."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, dict):
        raise HttpProblem(400, "one data set in the DICOM JSON model is needed")
    return body
