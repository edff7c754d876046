"""Health, readiness and metrics over HTTP.

/healthz  200 while the process answers
/readyz   200 while it takes new work and its stores answer; otherwise 503 and a line per reason
/metrics  Prometheus text format
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from libs.common.errors import ConfigError, GantryError
from libs.common.telemetry.merge import merged


def in_words(error: OSError) -> str:
    """The system's reason; asyncio puts a sentence of its own around it."""
    return os.strerror(error.errno).lower() if error.errno else str(error)


Check = Callable[[], Awaitable[None]]
_CHECK_SECONDS = 5.0


class HealthServer:
    """A component of the lifecycle."""

    name = "http"

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        takes_work: Callable[[], bool],
        checks: Mapping[str, Check],
        *,
        sock: socket.socket | None = None,
        other_metrics: Sequence[Callable[[], Awaitable[str]]] = (),
    ) -> None:
        """Listens on `sock` where one is given. `other_metrics` are those of processes that this one speaks for."""
        self._sock = sock
        self._other_metrics = other_metrics
        self._host = host
        self.port = port
        self._registry = registry
        self._takes_work = takes_work
        self._checks = checks
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.add_routes(
            [web.get("/healthz", self._health), web.get("/readyz", self._ready), web.get("/metrics", self._metrics)]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site: web.BaseSite = (
            web.TCPSite(self._runner, self._host, self.port)
            if self._sock is None
            else web.SockSite(self._runner, self._sock)
        )
        try:
            await site.start()
        except OSError as error:
            raise ConfigError("http", None, f"cannot listen on port {self.port}: {in_words(error)}") from error
        self.port = self._runner.addresses[0][1]

    async def drain(self) -> None:
        """Probes and metrics are answered until the end."""

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, _: web.Request) -> web.Response:
        problems = [] if self._takes_work() else ["not taking new work"]
        problems += [line for line in await asyncio.gather(*map(self._run, self._checks)) if line]
        return web.Response(status=503 if problems else 200, text="\n".join(problems or ["ready"]) + "\n")

    async def _run(self, name: str) -> str:
        try:
            await asyncio.wait_for(self._checks[name](), _CHECK_SECONDS)
        except TimeoutError:
            return f"{name}: no answer in {_CHECK_SECONDS:g} s"
        except GantryError as error:
            return f"{name}: {error}"
        return ""

    async def _metrics(self, _: web.Request) -> web.Response:
        others = await asyncio.gather(*(other() for other in self._other_metrics))
        body = merged(self._registry, others) if others else generate_latest(self._registry)
        return web.Response(body=body, content_type="text/plain", charset="utf-8")
