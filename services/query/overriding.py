"""Breaking the glass: a caller who sees only some studies opens one more study or patient for a time, with a reason.

GET     /dicom-web/overrides   what is open now for this caller, and until when
POST    /dicom-web/overrides   {"study": UID} or {"patient": ID, "issuer": ISSUER}, with "reason": it begins
DELETE  /dicom-web/overrides   this browser forgets its overrides

The answer does not depend on whether the study or patient exists. Each override is recorded, counted (an alert watches
it) and logged.
"""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from gantry.common.access.overrides import opened_by, requested_override
from gantry.common.errors import NotUnderstood
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.web.callers import caller_of
from gantry.common.web.errors import HttpProblem
from gantry.common.web.json_bodies import json_body
from gantry.common.web.override_begun import OVERRIDE_BEGUN, OverrideBegun
from gantry.common.web.overrides import SealedOverrides
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import CALLER, Handler

_NEVER_KEPT = {"Cache-Control": "no-store"}
_NOT_HERE = HttpProblem(404, "nothing can be overridden here: access.override_key_file is not set (docs/access.md)")
logger = get_logger("access")


class OverrideService:
    """The handlers of overrides; without `overrides` they refuse every request."""

    def __init__(self, overrides: SealedOverrides | None, metrics: Metrics) -> None:
        self._overrides = overrides
        self._metrics = metrics

    def handlers(self) -> dict[Resource, Handler]:
        """For the HTTP server."""
        return {
            Resource.OVERRIDES: self._standing,
            Resource.OVERRIDE: self._begin,
            Resource.END_OVERRIDES: self._end,
        }

    async def _standing(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """The overrides of the request that have not expired, the latest first."""
        if self._overrides is None:
            raise _NOT_HERE
        rows = [{**opened_by(override), "until": _moment(override.until)} for override in request[CALLER].overrides]
        return web.json_response({"minutes": self._overrides.minutes, "overrides": rows}, headers=_NEVER_KEPT)

    async def _begin(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        if self._overrides is None:
            raise _NOT_HERE
        caller = request[CALLER]
        if caller.sight.whole:
            raise HttpProblem(409, "this caller sees every study already")
        try:
            override, reason = requested_override(await json_body(request))
        except NotUnderstood as error:
            raise HttpProblem(400, str(error)) from error
        begun = self._overrides.begun(override, caller.overrides, caller.identity)
        request[OVERRIDE_BEGUN] = OverrideBegun(begun.override, reason)
        self._metrics.overrides.labels(override.kind).inc()
        logger.warning("glass broken", caller=caller_of(request), opened=override.kind, study=override.study)
        answer = {"until": _moment(begun.override.until), "override": begun.token}
        return web.json_response(answer, status=201, headers={**_NEVER_KEPT, "Set-Cookie": begun.cookie})

    async def _end(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """An override token that is stored elsewhere is valid until it expires: the archive does not store it."""
        if self._overrides is None:
            raise _NOT_HERE
        return web.Response(status=204, headers={**_NEVER_KEPT, "Set-Cookie": self._overrides.gone()})


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
