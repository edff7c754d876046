"""One archive behind the door: its processes, as discovered, and the key that it shares with the door."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Container, Mapping
from contextlib import suppress

from gantry.common.clock import Clock, SystemClock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, ConnectionFailed
from gantry.common.net.proxy import LOCAL, Origin, encode
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import AssociateRequest
from gantry.services.frontdoor.backends import Address, Backend, Backends
from gantry.services.frontdoor.routing import Pool, choices
from gantry.services.frontdoor.shadow.shadowing import Shadow
from gantry.services.frontdoor.web import Forwarder
from gantry.services.frontdoor.wire import connected
from gantry.services.process.door_key import DoorKey, OriginProver

logger = get_logger("door")
_FOR_NO_ASSOCIATION = (Pool.HL7, Pool.OTHER)
_AT_ONCE = 50
"""Connections that a check begins before other tasks get a turn: a thousand take a seventh of a second."""
_TIME = SystemClock()


class Behind:
    """The processes of the pools in `settings.door`. `partition` is the name of the archive, "" if it is the only
    one."""

    def __init__(
        self, settings: Settings, clock: Clock, metrics: Metrics, *, partition: str = "", most: int | None = None
    ) -> None:
        """`most` is the limit of associations at once, or None. Raises `ConfigError`."""
        self.partition = partition
        self.most = most
        self._door = settings.door
        self._clock = clock
        self._metrics = metrics
        self._named = {Pool(name): backends for name, backends in settings.door.pools.items()}
        if settings.door.hl7:
            self._named[Pool.HL7] = settings.door.hl7
        if not self._named:
            whose = f"partition {partition}: " if partition else ""
            pools = ", ".join(pool for pool in Pool if pool is not Pool.OTHER)
            raise ConfigError("door", None, f"{whose}no backends: name those of one of {pools}")
        shadow = settings.door.shadow
        self.called = shadow.ae_title if shadow.answers == "other" else None
        """The called AE title for the other archive while it answers peers, if it differs."""
        if shadow.answers == "other" and shadow.dimse is not None:
            self._named[Pool.OTHER] = (shadow.dimse,)
        self.shadow: Shadow | None = None
        self._named_web = {Pool(name): backends for name, backends in settings.door.web_pools.items()}
        self.told: Mapping[str, str] = {"partition": partition} if partition else {}
        """The fields of this archive in log lines."""
        self.backends = Backends(settings.door.leave_alone)
        self._web_backends = Backends(settings.door.leave_alone)
        key = settings.door.key_file
        prover = None if key is None else OriginProver(DoorKey(key), clock)
        self.header: Callable[[Origin, Address], bytes] = encode if prover is None else prover.header
        """Makes the PROXY header with which a forwarded connection begins."""
        timeout, stall = settings.door.connect_timeout, settings.http.stall
        self.forwarder = Forwarder(self._web_backends, clock, timeout, stall, prover)

    @property
    def pools(self) -> tuple[Pool, ...]:
        """The pools that have a name in the settings."""
        return tuple(self._named)

    def sets(self, request: AssociateRequest, storage: Container[str]) -> list[frozenset[Pool]]:
        """The sets of pools for an association, the best first (`choices`); before the switch, only the other
        archive."""
        if Pool.OTHER in self._named:
            return [frozenset({Pool.OTHER})]
        return self.own_sets(request, storage)

    def own_sets(self, request: AssociateRequest, storage: Container[str]) -> list[frozenset[Pool]]:
        """The same for our own processes."""
        return choices(request, storage, [pool for pool in self._named if pool not in _FOR_NO_ASSOCIATION])

    def opening_of(self, origin: Origin, backend: Backend) -> bytes:
        """The first bytes for a backend: a PROXY header; none for the other archive, which would not understand it."""
        return b"" if backend.pool is Pool.OTHER else self.header(origin, backend.address)

    @property
    def takes_messages(self) -> bool:
        """Whether there are backends for HL7 messages."""
        return Pool.HL7 in self._named

    @property
    def serves_web(self) -> bool:
        """Whether there are backends for HTTP."""
        return bool(self._named_web)

    async def look(self) -> None:
        """Resolve every name, and check whether each backend accepts connections."""
        both = ((self.backends, self._named), (self._web_backends, self._named_web))
        await asyncio.gather(*(self._resolve(*group, pool) for group in both for pool in group[1]))
        async with asyncio.TaskGroup() as tries:
            for number, backend in enumerate(self.backends.all(), start=1):
                tries.create_task(self._try(backend))
                if number % _AT_ONCE == 0:
                    await _TIME.sleep(0)
        for pool in self._named:
            reached = sum(backend.connects for backend in self.backends.of(pool))
            self._metrics.door_backends.labels(pool, self.partition).set(reached)

    async def check(self, pool: Pool) -> None:
        """Readiness: at least one backend of the pool accepts connections. Raises `ConnectionFailed`."""
        if not any(backend.connects for backend in self.backends.of(pool)):
            raise ConnectionFailed(f"no backend of {', '.join(self._named[pool])} can be reached")

    @property
    def is_reached(self) -> bool:
        """Whether any backend of any pool accepts connections."""
        return any(backend.connects for backend in self.backends.all())

    async def close(self) -> None:
        """Close the connections of requests, and end shadow mode."""
        if self.shadow is not None:
            await self.shadow.close()
        await self.forwarder.close()

    async def _resolve(self, backends: Backends, named: Mapping[Pool, tuple[str, ...]], pool: Pool) -> None:
        places: list[Address] = []
        for backend in named[pool]:
            host, _, port = backend.rpartition(":")
            addresses = await self._addresses(host.strip("[]"), int(port))
            if addresses is None:
                return  # keep the last known addresses until the name can be resolved again
            places += addresses
        backends.update(pool, dict.fromkeys(places))

    async def _addresses(self, host: str, port: int) -> list[Address] | None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._door.connect_deadline):
                infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError):
            return None
        return [(str(info[4][0]), port) for info in infos]

    async def _try(self, backend: Backend) -> None:
        """Connect once. The PROXY header marks the connection as the door's own, so the service ignores it."""
        words = {**self.told, "pool": backend.pool, "backend": backend.name}
        try:
            sock = await connected(backend.address, self._door.connect_timeout)
        except (OSError, TimeoutError) as error:
            if backend.connects:
                logger.warning("backend gone", **words, error=error)
            self.backends.failed(backend, self._clock.monotonic())
            return
        if backend.pool is not Pool.OTHER:
            with suppress(OSError):
                sock.send(LOCAL)
        sock.close()
        if not backend.connects:
            logger.info("backend found", **words)
        self.backends.connected(backend)
