"""DELETE of a study, series or instance over HTTP. Not of the standard; the path is that of what is retrieved."""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web

from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.telemetry.traces import child_of
from gantry.common.web.errors import HttpProblem
from gantry.common.web.routes import Match
from gantry.common.web.server import CALLER
from gantry.services.lifecycle.deletions import Asked, Deletions, Target

LOOPBACK = "loopback"
"""The name of who asks from this machine without a token."""


class DeleteInstances:
    """The handler of `Resource.DELETE`."""

    def __init__(self, deletions: Deletions, may_delete: Collection[str]) -> None:
        """`may_delete` are the names of tokens, and `LOOPBACK`."""
        self._deletions = deletions
        self._may_delete = frozenset(may_delete)

    async def __call__(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """204 when it is hidden everywhere, 202 when it is certain to be. 403, 404, 409 under a hold."""
        caller = request[CALLER]
        name = caller.name or LOOPBACK
        if name not in self._may_delete:
            raise HttpProblem(403, "this caller may not delete; http.may_delete names those that may")
        asked = Asked(name, "DELETE over HTTP", child_of(request.headers.get("traceparent", "")))
        done = await self._deletions.delete(Target(match.study, match.series, match.instance), asked)
        await reach(FailPoint.BEFORE_ANSWER)
        if done.settled:
            return web.Response(status=204)
        return web.Response(status=202, text="deleted; the index is behind, and hides it as soon as it has caught up\n")
