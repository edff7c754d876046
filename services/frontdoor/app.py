"""Wiring of the door: its port, its health, and the discovery of backends."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Container, Mapping
from contextlib import suppress
from functools import partial

from gantry.common.clock import Clock
from gantry.common.config.settings import Settings
from gantry.common.config.tls import Certificates
from gantry.common.errors import ConfigError, ConnectionFailed
from gantry.common.net.acceptor import Acceptor, listen
from gantry.common.net.proxy import LOCAL
from gantry.common.runtime.lifecycle import Lifecycle, Phase
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import PduLimits
from gantry.services.frontdoor.backends import Address, Backend, Backends
from gantry.services.frontdoor.dimse import DimseDoor, DoorLimits, connected
from gantry.services.frontdoor.routing import Pool
from gantry.services.frontdoor.web import Forwarder
from gantry.services.process.door_key import DoorKey, OriginProver
from gantry.services.process.http import HttpServer, in_words
from gantry.services.process.system_metrics import SystemMetrics
from gantry.services.roles import Role, http_port

logger = get_logger("door")


class FrontDoor:
    """A component of the lifecycle: everything but the health server."""

    name = "door"

    def __init__(
        self, settings: Settings, storage_sop_classes: Container[str], clock: Clock, *, worker: int | None = None
    ) -> None:
        """`worker` numbers a process among several that share the DIMSE port. Raises `ConfigError`."""
        self.settings = settings
        self.roles = frozenset({Role.DOOR})
        self.metrics = Metrics()
        self.clock = clock
        self.dimse_port: int | None = None
        self.dimse_tls_port: int | None = None
        self._named = {Pool(name): backends for name, backends in settings.door.pools.items()}
        if not self._named:
            raise ConfigError("door", None, f"no backends: name those of one of {', '.join(Pool)}")
        self._named_web = {Pool(name): backends for name, backends in settings.door.web_pools.items()}
        self._web_backends = Backends(settings.door.leave_alone)
        key = settings.door.key_file
        prover = None if key is None else OriginProver(DoorKey(key), clock)
        timeout, stall = settings.door.connect_timeout, settings.http.stall
        self._forwarder = Forwarder(self._web_backends, clock, timeout, stall, prover)
        self._certificates = Certificates(
            settings.tls, lambda outcome: self.metrics.config_reloads.labels(outcome).inc()
        )
        if settings.dimse.tls_port is not None and not self._certificates.speaks_tls:
            raise ConfigError("dimse.tls_port", None, "needs tls.certificate and tls.key")
        self._worker = worker
        self._backends = Backends(settings.door.leave_alone)
        self._storage = storage_sop_classes
        self._keeper = DimseDoor(
            self._backends, tuple(self._named), self._storage, _limits(settings), None, clock, self.metrics, prover
        )
        self._acceptors: list[Acceptor] = []
        port = http_port(self.roles, settings.http.port)
        checks: dict[str, Callable[[], Awaitable[None]]] = {pool: partial(self._check, pool) for pool in self._named}
        self.health = HttpServer(
            settings,
            port + (worker or 0) if port else 0,
            self.metrics,
            lambda: "" if self.lifecycle.state is Phase.READY else self.lifecycle.state.value,
            checks,
            refresh=SystemMetrics(settings, self.metrics).refresh,
        )
        if self._named_web:
            self.health.serve(self._forwarder.handlers())
        self.lifecycle = Lifecycle([self.health, self], clock, settings.drain)

    async def run(self) -> int:
        """Serve until a signal; the exit code."""
        return await self.lifecycle.run()

    # ---- the lifecycle's side

    async def start(self) -> None:
        await self._look()
        self.lifecycle.watch(self._look_out(), "look-out")
        self.lifecycle.watch(self._certificates.watch(self.clock), "certificates")
        dimse = self.settings.dimse
        tls = self._certificates.server if self._certificates.speaks_tls else None
        self.dimse_port = self._open_port(dimse.port, tls if dimse.tls_port is None else None)
        if dimse.tls_port is not None:
            self.dimse_tls_port = self._open_port(dimse.tls_port, tls)

    def _open_port(self, port: int, tls: Callable[[], ssl.SSLContext] | None) -> int:
        dimse = self.settings.dimse
        try:
            sock = listen(dimse.host, port, dimse.listen_backlog, reuse_port=self._worker is not None)
        except OSError as error:
            raise ConfigError("dimse", None, f"cannot listen on port {port}: {in_words(error)}") from error
        bound: int = sock.getsockname()[1]
        take = partial(self._keeper.take, tls=tls)
        trusted, deadline = dimse.proxy_from, dimse.artim
        self._acceptors.append(Acceptor(sock, take, self._keeper.failed, trusted=trusted, deadline=deadline))
        logger.info("listening", ae_title=dimse.ae_title, port=bound, tls=tls is not None)
        return bound

    async def drain(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
        await self._keeper.drained()

    async def close(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
        await self._keeper.close()
        await self._forwarder.close()

    # ---- backends

    async def _look_out(self) -> None:
        while True:
            await self.clock.sleep(self.settings.door.look_every)
            await self._look()

    async def _look(self) -> None:
        """Resolve every name, and check whether each backend accepts connections."""
        both = ((self._backends, self._named), (self._web_backends, self._named_web))
        await asyncio.gather(*(self._resolve(*one, pool) for one in both for pool in one[1]))
        await asyncio.gather(*map(self._try, self._backends.all()))
        for pool in self._named:
            self.metrics.door_backends.labels(pool).set(sum(b.connects for b in self._backends.of(pool)))

    async def _resolve(self, backends: Backends, named: Mapping[Pool, tuple[str, ...]], pool: Pool) -> None:
        found: list[Address] = []
        for backend in named[pool]:
            host, _, port = backend.rpartition(":")
            addresses = await self._addresses(host.strip("[]"), int(port))
            if addresses is None:
                return  # the last known addresses stay until the name can be resolved again
            found += addresses
        backends.update(pool, dict.fromkeys(found))

    async def _addresses(self, host: str, port: int) -> list[Address] | None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.settings.door.connect_deadline):
                infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError):
            return None
        return [(str(info[4][0]), port) for info in infos]

    async def _try(self, backend: Backend) -> None:
        """Connect once. The PROXY header marks the connection as the door's own, so the service ignores it."""
        try:
            sock = await connected(backend.address, self.settings.door.connect_timeout)
        except (OSError, TimeoutError) as error:
            if backend.connects:
                logger.warning("backend gone", pool=backend.pool, backend=backend.name, error=error)
            self._backends.failed(backend, self.clock.monotonic())
            return
        with suppress(OSError):
            sock.send(LOCAL)
        sock.close()
        if not backend.connects:
            logger.info("backend found", pool=backend.pool, backend=backend.name)
        self._backends.connected(backend)

    async def _check(self, pool: Pool) -> None:
        """Readiness: at least one backend of the pool accepts connections. Raises `ConnectionFailed`."""
        if not any(backend.connects for backend in self._backends.of(pool)):
            raise ConnectionFailed(f"no backend of {', '.join(self._named[pool])} can be reached")


def _limits(settings: Settings) -> DoorLimits:
    dimse, door = settings.dimse, settings.door
    return DoorLimits(
        artim=dimse.artim,
        associations=dimse.max_associations,
        associations_per_peer=dimse.max_associations_per_peer,
        connect_timeout=door.connect_timeout,
        connect_deadline=door.connect_deadline,
        upper_layer=PduLimits(dimse.max_pdu, dimse.max_associate_request),
        unassociated_per_peer=dimse.unassociated_per_address,
    )
