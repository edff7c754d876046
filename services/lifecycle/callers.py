"""The callers that correct or move studies over HTTP, and their reasons."""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web

from gantry.common.access import Verb
from gantry.common.web.callers import caller_of, may, reason_of
from gantry.common.web.errors import HttpProblem
from gantry.common.web.server import TRACE
from gantry.services.requester import Requester


def corrector_of(request: web.BaseRequest, may_correct: Collection[str]) -> Requester:
    """The caller that corrects or moves something, and its reason, which is required. Raises `HttpProblem` 400, and 403
    for a caller that may not."""
    if not may(request, Verb.CORRECT, may_correct):
        raise HttpProblem(403, "this caller may not correct; http.may_correct names those that may")
    reason = reason_of(request)
    if not reason:
        raise HttpProblem(400, "reason: say why, as a parameter of the URL")
    return Requester(caller_of(request), reason, request[TRACE])
