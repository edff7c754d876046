"""The callers that may view operations and act there: only those that the settings name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from aiohttp import web

from gantry.common.access import Verb
from gantry.common.web.callers import caller_of, may, reason_of
from gantry.common.web.errors import HttpProblem
from gantry.common.web.server import TRACE
from gantry.services.requester import Requester


@dataclass(frozen=True, slots=True)
class Operators:
    """Names of tokens, and `LOOPBACK`, as in `http.may_operate`, `http.may_delete` and `http.may_hold`. Each method
    raises `HttpProblem`: 403 for a caller that is not named, 400 for a reason that is missing or not one line."""

    operate: Collection[str] = ()
    delete: Collection[str] = ()
    hold: Collection[str] = ()

    def viewer(self, request: web.BaseRequest) -> str:
        """The caller, who may view operations."""
        if not may(request, Verb.OPERATE, self.operate):
            raise HttpProblem(403, "this caller may not look at operations; http.may_operate names those that may")
        return caller_of(request)

    def operator(self, request: web.BaseRequest) -> Requester:
        """The caller, who may act, and why."""
        self.viewer(request)
        return _requester_of(request)

    def deleter(self, request: web.BaseRequest) -> Requester:
        """The caller, who may decide which object stays, and why."""
        self.viewer(request)
        if not may(request, Verb.DELETE, self.delete):
            raise HttpProblem(403, "this caller may not delete; http.may_delete names those that may")
        return _requester_of(request)

    def holder(self, request: web.BaseRequest) -> Requester:
        """The caller, who may place and release holds, and why."""
        if not may(request, Verb.HOLD, self.hold):
            raise HttpProblem(403, "this caller may not place or release holds; http.may_hold names those that may")
        return _requester_of(request)


def _requester_of(request: web.BaseRequest) -> Requester:
    reason = reason_of(request)
    if not reason:
        raise HttpProblem(400, "reason: say why, as a parameter of the URL")
    return Requester(caller_of(request), reason, request[TRACE])
