"""The HTTP port of a process: health, readiness and metrics for everyone, DICOMweb for authorised callers.

/healthz  200 while the process answers
/startz   200 from the end of the start to the beginning of the drain, regardless of the stores
/readyz   200 while it accepts new work and its stores answer; otherwise 503 and a line per reason. The stores are
          checked at most once a second, for all requests: a check writes to a disk. After a request was refused because
          a store is away, they are checked again
/metrics  Prometheus text format
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiohttp import web
from prometheus_client import generate_latest

from gantry.common.access import role_table, rules_of
from gantry.common.clock import SystemClock
from gantry.common.config.network_sections import rates_of_tokens
from gantry.common.config.settings import Settings
from gantry.common.config.tls import Certificates
from gantry.common.errors import ConfigError, GantryError
from gantry.common.telemetry.merge import merged
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.spans import Tracer
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.issuers import IssuerTokens
from gantry.common.web.origins import OriginCheck
from gantry.common.web.overrides import SealedOverrides, sealed_overrides_of
from gantry.common.web.rates import CallerRates
from gantry.common.web.server import WebLimits, WebServer, Witness, in_words
from gantry.common.web.sessions import Sessions, sessions_of
from gantry.common.web.shares import SealedShares, sealed_shares_of
from gantry.services.process.https import HttpsPort

__all__ = ["HttpServer", "in_words"]

Check = Callable[[], Awaitable[None]]
_CHECK_SECONDS = 5.0
_GOOD_FOR, _BAD_FOR = 1.0, 0.1
"""Seconds for which the result of a store check is reused: of a good one, and of a bad one."""


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
        tracer: Tracer | None = None,
        witness: Witness = lambda *_: None,
        origins: OriginCheck | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        """`not_taking` returns why no new work is accepted, "" while it is. `checks` run at most once a second, the
        cheap `fresh` ones for every request. Listens on `sock` if it is given. `other_metrics` are those of processes
        for which this one answers; `refresh` is called, in a thread, before our own are written. `origins` checks
        proofs of forwarded addresses. With `certificates`, HTTPS is served if the settings have a port for it. Raises
        `ConfigError` if the file of tokens is invalid, every web page could read the archive, login cannot work, or
        HTTPS has no certificate."""
        self._sock = sock
        self._other_metrics = other_metrics
        self._refresh = refresh
        http = settings.http
        _refuse_every_page(settings)
        self._issuers = IssuerTokens(settings.access, SystemClock(), metrics)
        self._sessions = sessions_of(settings, SystemClock())
        self._overrides = sealed_overrides_of(settings, SystemClock())
        self._shares = sealed_shares_of(settings, SystemClock())
        access = AccessControl(
            Tokens(http.tokens_file),
            http.proxy_from,
            lab=settings.lab,
            signed=self._issuers,
            table=role_table(settings.access.roles),
            rules=rules_of(settings.access.sees, settings.access.confidential),
            sessions=self._sessions,
            origins=origins,
            overrides=self._overrides,
            shares=self._shares,
        )
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
        self._problems: list[str] = []
        self._checked_at = float("-inf")
        self._checking: asyncio.Task[None] | None = None
        paths = {
            "/healthz": self._health,
            "/startz": self._started,
            "/readyz": self._ready,
            "/metrics": self._exposition,
        }
        rates = CallerRates(http.max_requests_per_second, rates_of_tokens(http))
        super().__init__(http.host, port, paths, access, limits, self._count, witness, tracer, rates)
        self.tls_port: int | None = None
        self._https: HttpsPort | None = None
        if http.tls_port is not None and certificates is not None and sock is None:
            if not certificates.speaks_tls:
                raise ConfigError("http.tls_port", None, "needs tls.certificate and tls.key")
            self._https = HttpsPort(certificates.web, limits, failed=metrics.http_handshakes_failed.inc)
            self._tls_at = http.tls_host, http.tls_port + (port - http.port if port and http.tls_port else 0)

    @property
    def issuers(self) -> IssuerTokens:
        """The identity providers whose tokens are accepted."""
        return self._issuers

    @property
    def sessions(self) -> Sessions | None:
        """The sessions of logged-in users; None without login."""
        return self._sessions

    @property
    def overrides(self) -> SealedOverrides | None:
        """Overrides, which open studies that a user does not see otherwise; None if they are off."""
        return self._overrides

    @property
    def shares(self) -> SealedShares | None:
        """Links for people outside; None if they are off."""
        return self._shares

    async def start(self, sockets: Sequence[socket.socket] = ()) -> None:
        await super().start(sockets or ([self._sock] if self._sock is not None else ()))
        if self._https is not None and self._protocols is not None:
            self.tls_port = self._https.open(*self._tls_at, self._protocols)

    def _count(self, resource: str, status: int, seconds: float) -> None:
        self._metrics.http_requests.labels(resource, str(status)).inc()
        self._metrics.http_seconds.labels(resource).observe(seconds)
        if status == 503:
            self.suspect()

    async def _health(self, _: web.BaseRequest) -> web.Response:
        return web.Response(text="ok\n")

    async def _started(self, _: web.BaseRequest) -> web.Response:
        why = self._not_taking()
        return web.Response(status=503 if why else 200, text=f"not taking new work: {why}\n" if why else "started\n")

    async def close(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
        await self._issuers.close()
        if self._https is not None:
            await self._https.close()
        await super().close()

    def suspect(self) -> None:
        """A request found a store unavailable: drop the cached result of the checks."""
        self._checked_at = float("-inf")

    async def _ready(self, _: web.BaseRequest) -> web.Response:
        problems = await self.problems()
        return web.Response(status=503 if problems else 200, text="\n".join(problems or ["ready"]) + "\n")

    async def problems(self) -> list[str]:
        """Why this process is not ready, in lines; none while it is."""
        why = self._not_taking()
        problems = [f"not taking new work: {why}"] if why else []
        problems += await self._store_problems()
        problems += await _all(self._fresh)
        return problems

    async def _store_problems(self) -> list[str]:
        """The last result of the store checks if it is recent enough, else a new one."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._checked_at >= (_BAD_FOR if self._problems else _GOOD_FOR):
            if self._checking is None:
                self._checking = loop.create_task(self._ask())
            await asyncio.shield(self._checking)
        return self._problems

    async def _ask(self) -> None:
        try:
            self._problems = await _all(self._checks)
            self._checked_at = asyncio.get_running_loop().time()
        finally:
            self._checking = None

    async def _exposition(self, _: web.BaseRequest) -> web.Response:
        await asyncio.to_thread(self._refresh)
        others = await asyncio.gather(*(other() for other in self._other_metrics))
        body = merged(self._metrics.registry, others) if others else generate_latest(self._metrics.registry)
        return web.Response(body=body, content_type="text/plain", charset="utf-8")


async def _all(checks: Mapping[str, Check]) -> list[str]:
    """A line for each check that failed."""
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
    """Refuse the origins "*" and "null" if callers on this machine need no token: any page in a browser here could read
    the archive. "null" is the origin of all sandboxed pages. Raises `ConfigError`."""
    http = settings.http
    if {"*", "null"} & set(http.cors_origins) and (http.tokens_file is None or settings.lab):
        why = "while --lab is on" if settings.lab else "while http.tokens_file is not set"
        reason = f'"*" and "null" would let every web page read the archive {why}: name the origins of your viewers'
        raise ConfigError("http.cors_origins", None, reason)
