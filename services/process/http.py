"""The HTTP port of a process: health, readiness and metrics for anybody, DICOMweb for those who may.

/healthz  200 while the process answers
/readyz   200 while it takes new work and its stores answer; otherwise 503 and a line per reason. The stores are asked
          once a second at most, however many ask: a check writes to a disk. Whoever was refused because one of them
          is away makes the next answer a fresh one
/metrics  Prometheus text format
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiohttp import web
from prometheus_client import generate_latest

from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, GantryError
from gantry.common.telemetry.merge import merged
from gantry.common.telemetry.metrics import Metrics
from gantry.common.web.access import Access, Tokens
from gantry.common.web.server import WebLimits, WebServer, in_words

__all__ = ["HttpServer", "in_words"]

Check = Callable[[], Awaitable[None]]
_CHECK_SECONDS = 5.0
_GOOD_FOR, _BAD_FOR = 1.0, 0.1
"""Seconds that what the stores said is told again: that they are well, and that they are not."""


class HttpServer(WebServer):
    """A component of the lifecycle."""

    def __init__(
        self,
        settings: Settings,
        port: int,
        metrics: Metrics,
        not_taking: Callable[[], str],
        checks: Mapping[str, Check],
        *,
        fresh: Mapping[str, Check] | None = None,
        sock: socket.socket | None = None,
        other_metrics: Sequence[Callable[[], Awaitable[str]]] = (),
        refresh: Callable[[], None] = lambda: None,
    ) -> None:
        """`not_taking` says why no new work is taken, "" while it is. `checks` are run once a second at most, `fresh`,
        which cost little, for each who asks. Listens on `sock` where one is given. `other_metrics` are those of
        processes that this one speaks for; `refresh` is called, in a thread, before ours are told. Raises `ConfigError`
        where the file of tokens is wrong, or every web page could read the archive."""
        self._sock = sock
        self._other_metrics = other_metrics
        self._refresh = refresh
        http = settings.http
        _refuse_every_page(settings)
        access = Access(Tokens(http.tokens_file), http.proxy_from, lab=settings.lab)
        limits = WebLimits(
            max_connections=http.max_connections,
            max_header=http.max_header,
            header_deadline=http.header_deadline,
            stall=http.stall,
            cors_origins=http.cors_origins,
            max_per_address=http.max_connections_per_address,
            proxies=http.proxy_from,
        )
        self._metrics = metrics
        self._not_taking = not_taking
        self._checks = checks
        self._fresh = fresh or {}
        self._found: list[str] = []
        self._found_at = float("-inf")
        self._checking: asyncio.Task[None] | None = None
        paths = {"/healthz": self._health, "/readyz": self._ready, "/metrics": self._exposition}
        super().__init__(http.host, port, paths, access, limits, self._count)

    async def start(self, sockets: Sequence[socket.socket] = ()) -> None:
        await super().start(sockets or ([self._sock] if self._sock is not None else ()))

    def _count(self, resource: str, status: int, seconds: float) -> None:
        self._metrics.http_requests.labels(resource, str(status)).inc()
        self._metrics.http_seconds.labels(resource).observe(seconds)
        if status == 503:
            self.suspect()

    async def _health(self, _: web.BaseRequest) -> web.Response:
        return web.Response(text="ok\n")

    async def close(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
        await super().close()

    def suspect(self) -> None:
        """A store was found away by somebody who needed it: what it said before is not told again."""
        self._found_at = float("-inf")

    async def _ready(self, _: web.BaseRequest) -> web.Response:
        why = self._not_taking()
        problems = [f"not taking new work: {why}"] if why else []
        problems += await self._asked()
        problems += await _all(self._fresh)
        return web.Response(status=503 if problems else 200, text="\n".join(problems or ["ready"]) + "\n")

    async def _asked(self) -> list[str]:
        """What the stores said last: within this second, or as soon as they answer."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._found_at >= (_BAD_FOR if self._found else _GOOD_FOR):
            if self._checking is None:
                self._checking = loop.create_task(self._ask())
            await asyncio.shield(self._checking)
        return self._found

    async def _ask(self) -> None:
        try:
            self._found = await _all(self._checks)
            self._found_at = asyncio.get_running_loop().time()
        finally:
            self._checking = None

    async def _exposition(self, _: web.BaseRequest) -> web.Response:
        await asyncio.to_thread(self._refresh)
        others = await asyncio.gather(*(other() for other in self._other_metrics))
        body = merged(self._metrics.registry, others) if others else generate_latest(self._metrics.registry)
        return web.Response(body=body, content_type="text/plain", charset="utf-8")


async def _all(checks: Mapping[str, Check]) -> list[str]:
    """A line for each that has something to say."""
    return [line for line in await asyncio.gather(*(_run(*named) for named in checks.items())) if line]


async def _run(name: str, check: Check) -> str:
    try:
        await asyncio.wait_for(check(), _CHECK_SECONDS)
    except TimeoutError:
        return f"{name}: no answer in {_CHECK_SECONDS:g} s"
    except GantryError as error:
        return f"{name}: {error}"
    return ""


def _refuse_every_page(settings: Settings) -> None:
    """Where this machine needs no token, what a page asks through a browser here is answered. "null" is the origin of
    pages in a sandbox, wherever they come from."""
    http = settings.http
    if {"*", "null"} & set(http.cors_origins) and (http.tokens_file is None or settings.lab):
        why = "while --lab is on" if settings.lab else "while http.tokens_file is not set"
        reason = f'"*" and "null" would let every web page read the archive {why}: name the origins of your viewers'
        raise ConfigError("http.cors_origins", None, reason)
