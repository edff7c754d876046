"""The HTTP port of a process: health, readiness and metrics for anybody, DICOMweb for those who may.

/healthz  200 while the process answers
/readyz   200 while it takes new work and its stores answer; otherwise 503 and a line per reason
/metrics  Prometheus text format
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from prometheus_client import generate_latest

from libs.common.config.settings import Settings
from libs.common.errors import GantryError
from libs.common.telemetry.metrics import Metrics
from libs.common.web.access import Access, Tokens
from libs.common.web.server import WebLimits, WebServer, in_words

__all__ = ["HealthServer", "in_words"]

Check = Callable[[], Awaitable[None]]
_CHECK_SECONDS = 5.0


class HealthServer(WebServer):
    """A component of the lifecycle."""

    def __init__(
        self,
        settings: Settings,
        port: int,
        metrics: Metrics,
        takes_work: Callable[[], bool],
        checks: Mapping[str, Check],
    ) -> None:
        """Raises `ConfigError` where the file of tokens is wrong."""
        http = settings.http
        access = Access(Tokens(http.tokens_file), http.proxy_from, lab=settings.lab)
        limits = WebLimits(
            max_connections=http.max_connections,
            max_header=http.max_header,
            header_deadline=http.header_deadline,
            stall=http.stall,
            cors_origins=http.cors_origins,
        )
        self._metrics = metrics
        self._takes_work = takes_work
        self._checks = checks
        paths = {"/healthz": self._health, "/readyz": self._ready, "/metrics": self._exposition}
        super().__init__(http.host, port, paths, access, limits, self._count)

    def _count(self, resource: str, status: int, seconds: float) -> None:
        self._metrics.http_requests.labels(resource, str(status)).inc()
        self._metrics.http_seconds.labels(resource).observe(seconds)

    async def _health(self, _: web.BaseRequest) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, _: web.BaseRequest) -> web.Response:
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

    async def _exposition(self, _: web.BaseRequest) -> web.Response:
        return web.Response(body=generate_latest(self._metrics.registry), content_type="text/plain", charset="utf-8")
