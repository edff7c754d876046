"""WADO-RS with `federated=true`: the study is fetched first; a client that waits too long is told to retry later."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web

from gantry.common.web.errors import RETRY_AFTER_SECONDS, HttpProblem
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import TRACE, Handler
from gantry.services.retrieve.fetching.through import FetchThrough

_FETCHING = (Resource.OBJECTS, Resource.METADATA)
_LATER = {"Retry-After": str(RETRY_AFTER_SECONDS), "Cache-Control": "no-store"}


class WebFetching:
    """Waits in front of the handlers of whole objects and metadata."""

    def __init__(self, through: FetchThrough, wait: float) -> None:
        """A request waits for at most `wait` seconds; the fetch continues."""
        self._through = through
        self._wait = wait

    def wrap(self, handlers: Mapping[Resource, Handler]) -> dict[Resource, Handler]:
        """The handlers; those of studies, series, instances and metadata fetch what is not here."""
        return {name: self._fetching(handler) if name in _FETCHING else handler for name, handler in handlers.items()}

    def _fetching(self, handler: Handler) -> Handler:
        async def fetching(request: web.BaseRequest, match: Match) -> web.StreamResponse:
            if is_federated(request.query.get("federated", "false")) and match.study and self._through.is_seen:
                await self._bring(match.study, request[TRACE])
            return await handler(request, match)

        return fetching

    async def _bring(self, study: str, trace: str) -> None:
        try:
            async with asyncio.timeout(self._wait):
                lack = await self._through.bring(study, trace)
        except TimeoutError:
            raise HttpProblem(503, "the study is being fetched from another archive: come again", _LATER) from None
        if lack.instances:
            lacking = f"{lack.instances} lacking ({lack.why})"
            line = f"not here whole, {lacking}: without federated=true what is here is answered"
            raise HttpProblem(503, line, _LATER)


def is_federated(value: str) -> bool:
    """The value of the parameter. Raises `HttpProblem` 400."""
    if value.lower() not in ("true", "false"):
        raise HttpProblem(400, "federated is neither true nor false")
    return value.lower() == "true"
