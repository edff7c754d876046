"""The HTTP port of a door that several organisations share: each request is answered as by its partition's own door.

A partition has its own callers, tokens, sessions and rules, from its own settings; tokens of other partitions are
unknown to it. The host or the path decides which partition a request is for; without either, the token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from gantry.common.config.settings import Settings
from gantry.common.telemetry.metrics import Metrics
from gantry.common.web.connections import as_response
from gantry.common.web.errors import HttpProblem
from gantry.common.web.routes import is_page
from gantry.common.web.server import WebServer
from gantry.common.web.targets import host_in, target_of
from gantry.services.frontdoor.partitions import Astray, Partition, is_below, of_request
from gantry.services.frontdoor.web import TARGET
from gantry.services.process.http import HttpServer

__all__ = ["SharedHttpServer"]

_NOBODYS = HttpProblem(404, "no archive here has this name: a request needs the host, path or token of an archive")
_UNKNOWN = HttpProblem(
    401,
    "the token is not accepted: it is not known",
    {"WWW-Authenticate": 'Bearer realm="gantry", error="invalid_token", error_description="it is not known"'},
)
_FOR_PROGRAMS = HttpProblem(404, "the page of this archive has a host name of its own: this path is for programs")


class SharedHttpServer(HttpServer):
    """Listens for all partitions; `partitions` has their signs, and `servers`, by name, their HTTP servers."""

    def __init__(
        self,
        settings: Settings,
        port: int,
        metrics: Metrics,
        not_taking: Callable[[], str],
        checks: Mapping[str, Callable[[], Awaitable[None]]],
        partitions: Sequence[Partition],
        servers: Mapping[str, WebServer],
        **more: Any,
    ) -> None:
        """As `HttpServer`."""
        super().__init__(settings, port, metrics, not_taking, checks, **more)
        self._partitions = {partition.name: partition for partition in partitions}
        self._servers = servers

    async def start(self, sockets: Sequence[Any] = ()) -> None:
        for server in self._servers.values():
            server.begin()
        await super().start(sockets)

    async def drain(self) -> None:
        await asyncio.gather(super().drain(), *(server.drain() for server in self._servers.values()))

    async def close(self) -> None:
        await super().close()
        for server in self._servers.values():
            await server.close()

    async def answer(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """Answer through the server of the request's partition; 404 if there is none."""
        named = of_request(list(self._partitions.values()), host_in(request), path)
        if isinstance(named, Astray):
            if named.why:
                return as_response(HttpProblem(404, named.why))
            knowing = [name for name, server in self._servers.items() if server.knows_the_token_of(request)]
            if len(knowing) != 1:
                return as_response(_UNKNOWN if not knowing and "Authorization" in request.headers else _NOBODYS)
            named = knowing[0]
        server, prefix = self._servers.get(named), self._partitions[named].path
        if server is None:
            return as_response(HttpProblem(404, "this archive has no HTTP service here"))
        if is_below(path, prefix):
            path = path.removeprefix(prefix) or "/"
            if is_page(path):
                return as_response(_FOR_PROGRAMS)
            request[TARGET] = target_of(request).removeprefix(prefix)
        return await server.answer(request, path)
