"""Wiring of the door: its ports, its health, and the archives behind it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Container
from functools import partial

from gantry.common.clock import Clock
from gantry.common.config.settings import Settings
from gantry.common.config.tls import Certificates
from gantry.common.errors import ConfigError, ConnectionFailed
from gantry.common.net.acceptor import Acceptor, listen
from gantry.common.net.proxy import Origin
from gantry.common.runtime.lifecycle import Lifecycle, Phase
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import AssociateRequest, PduLimits
from gantry.services.frontdoor.behind import Behind
from gantry.services.frontdoor.dimse import DimseDoor, DoorLimits
from gantry.services.frontdoor.messages import MessageDoor
from gantry.services.frontdoor.partitions import Astray, Called, of_association
from gantry.services.frontdoor.reaching import Reacher
from gantry.services.frontdoor.shadow.shadowing import Shadow
from gantry.services.frontdoor.shared import Shared, shared_of
from gantry.services.frontdoor.shared_web import SharedHttpServer
from gantry.services.frontdoor.sides import GantrySide, OtherSide
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
        self._certificates = Certificates(
            settings.tls, lambda outcome: self.metrics.config_reloads.labels(outcome).inc()
        )
        if not self._certificates.speaks_tls:
            _refuse_tls_ports(settings)
        self._worker = worker
        shared = shared_of(settings)
        self._shared = {partition.signs.name: partition for partition in shared}
        self._signs = [partition.signs for partition in shared]
        self._behind = {
            partition.signs.name: Behind(
                partition.settings, clock, self.metrics, partition=partition.signs.name, most=partition.most
            )
            for partition in shared
        } or {"": Behind(settings, clock, self.metrics)}
        for partition in shared:
            self._shadow(self._behind[partition.signs.name], partition.settings, storage_sop_classes)
        if not shared:
            self._shadow(self._behind[""], settings, storage_sop_classes)
        self._keeper = DimseDoor(self._partition_of, storage_sop_classes, _limits(settings), None, clock, self.metrics)
        self._messages = self._message_doors()
        self.hl7_port: int | None = None
        self._acceptors: list[Acceptor] = []
        port = http_port(self.roles, settings.http.port)
        self.health = self._http_server(port + (worker or 0) if port else 0)
        self.lifecycle = Lifecycle([self.health, self], clock, settings.drain)

    def _message_doors(self) -> dict[str, MessageDoor]:
        """The doors for HL7 messages, by partition. Raises `ConfigError`."""
        door = self.settings.door
        reacher = Reacher(door.connect_timeout, door.connect_deadline, self.clock, self.metrics)
        ports = {partition.name: partition.hl7_port for partition in door.partitions} or {"": self.settings.hl7.port}
        doors: dict[str, MessageDoor] = {}
        for name, behind in self._behind.items():
            hl7 = self._shared[name].settings.hl7 if name else self.settings.hl7
            if not behind.takes_messages or ports[name] is None:
                if name and ports[name] is not None:
                    raise ConfigError(
                        f"door.partitions: {name}",
                        None,
                        "hl7_port: the partition's settings name no backends in `door.hl7`",
                    )
                if not name and behind.takes_messages:
                    raise ConfigError("door.hl7", None, "needs hl7.port, on which the door listens for messages")
                continue
            if hl7.tls and not self._certificates.speaks_tls:
                raise ConfigError("hl7.tls", None, "needs tls.certificate and tls.key")
            doors[name] = MessageDoor(behind, hl7, reacher, self.clock, self.metrics, partial(self._why_astray, name))
        return doors

    def _shadow(self, behind: Behind, settings: Settings, storage: Container[str]) -> None:
        """Start shadow mode if another archive is configured."""
        shadow = settings.door.shadow
        if shadow.dimse is None and shadow.url is None:
            return
        # A door without shadow mode has no stores, and does not load their libraries.
        from gantry.services.process.stores import open_hot_blobs

        behind.shadow = Shadow(
            shadow,
            GantrySide(behind, storage, shadow, self.clock),
            OtherSide(shadow, self._certificates.client if shadow.tls else None) if shadow.dimse is not None else None,
            storage,
            partial(open_hot_blobs, settings, self.clock),
            self.clock,
            self.metrics,
            behind.partition,
        )
        behind.forwarder.shadow = behind.shadow.web
        behind.forwarder.shadow_stores = behind.shadow.web_stores

    async def run(self) -> int:
        """Serve until a signal; the exit code."""
        return await self.lifecycle.run()

    # ---- HTTP

    def _http_server(self, port: int) -> HttpServer:
        refresh = SystemMetrics(self.settings, self.metrics).refresh
        if self._shared:
            # If one of several archives is down, the door must still serve the others.
            checks: dict[str, Callable[[], Awaitable[None]]] = {"partitions": self._require_reached_partition}
            servers = {
                name: self._answering(partition, self._behind[name])
                for name, partition in self._shared.items()
                if self._behind[name].serves_web
            }
            return SharedHttpServer(
                *(self.settings, port, self.metrics, self._not_taking, checks, self._signs, servers),
                refresh=refresh,
                certificates=self._certificates,
            )
        alone = self._behind[""]
        checks = {pool: partial(alone.check, pool) for pool in alone.pools}
        server = HttpServer(
            *(self.settings, port, self.metrics, self._not_taking, checks),
            refresh=refresh,
            certificates=self._certificates,
        )
        if alone.serves_web:
            server.serve(alone.forwarder.handlers())
        return server

    def _answering(self, partition: Shared, behind: Behind) -> HttpServer:
        server = HttpServer(partition.settings, 0, self.metrics, self._not_taking, {})
        server.serve(behind.forwarder.handlers())
        return server

    def _not_taking(self) -> str:
        return "" if self.lifecycle.state is Phase.READY else self.lifecycle.state.value

    async def _require_reached_partition(self) -> None:
        """Raises `ConnectionFailed` if no partition has a reachable process."""
        if not any(behind.is_reached for behind in self._behind.values()):
            raise ConnectionFailed("no process of any partition can be reached")

    # ---- the lifecycle's side

    async def start(self) -> None:
        await self._look()
        self.lifecycle.watch(self._look_out(), "look-out")
        for behind in self._behind.values():
            if behind.shadow is not None:
                await behind.shadow.open()
                self.lifecycle.watch(behind.shadow.run(), "shadow")
        self.lifecycle.watch(self._certificates.watch(self.clock), "certificates")
        dimse = self.settings.dimse
        tls = self._certificates.server if self._certificates.speaks_tls else None
        self.dimse_port = self._open_port(dimse.port, tls if dimse.tls_port is None else None)
        if dimse.tls_port is not None:
            self.dimse_tls_port = self._open_port(dimse.tls_port, tls)
        for partition in self.settings.door.partitions:
            if partition.port is not None:
                self._open_port(partition.port, None, partition.name)
            if partition.tls_port is not None:
                self._open_port(partition.tls_port, tls, partition.name)
        for name, messages in self._messages.items():
            self.hl7_port = self._open_messages(name, messages)

    def _open_port(self, port: int, tls: Callable[[], ssl.SSLContext] | None, partition: str = "") -> int:
        dimse = self.settings.dimse
        sock = self._bound("dimse", dimse.host, port)
        take = partial(self._keeper.take, tls=tls, port=partition)
        trusted, deadline = dimse.proxy_from, dimse.artim
        self._acceptors.append(Acceptor(sock, take, self._keeper.failed, trusted=trusted, deadline=deadline))
        whose = {"partition": partition} if partition else {"ae_title": dimse.ae_title}
        bound: int = sock.getsockname()[1]
        logger.info("listening", **whose, port=bound, tls=tls is not None)
        return bound

    def _open_messages(self, partition: str, door: MessageDoor) -> int:
        """Open the port for HL7 messages of the archive, or of one partition."""
        hl7 = self.settings.hl7
        ports = {partition.name: partition.hl7_port for partition in self.settings.door.partitions}
        speaks_tls = (self._shared[partition].settings.hl7 if partition else hl7).tls
        sock = self._bound("hl7", hl7.host, ports[partition] if partition else hl7.port)
        take = partial(door.take, tls=self._certificates.server if speaks_tls else None)
        trusted, deadline = hl7.proxy_from, self.settings.dimse.artim
        self._acceptors.append(Acceptor(sock, take, door.failed, trusted=trusted, deadline=deadline))
        bound: int = sock.getsockname()[1]
        fields = {"partition": partition} if partition else {}
        logger.info("listening for HL7 messages", **fields, port=bound, tls=speaks_tls)
        return bound

    def _bound(self, section: str, host: str, port: int | None) -> socket.socket:
        assert port is not None  # the settings name it
        try:
            return listen(host, port, self.settings.dimse.listen_backlog, reuse_port=self._worker is not None)
        except OSError as error:
            raise ConfigError(section, None, f"cannot listen on port {port}: {in_words(error)}") from error

    async def drain(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
        await asyncio.gather(self._keeper.drained(), *(door.drained() for door in self._messages.values()))
        shadows = [behind.shadow for behind in self._behind.values() if behind.shadow is not None]
        await asyncio.gather(*(shadow.drained() for shadow in shadows))

    async def close(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
        await asyncio.gather(self._keeper.close(), *(door.close() for door in self._messages.values()))
        for behind in self._behind.values():
            await behind.close()

    # ---- whose it is

    def _partition_of(self, request: AssociateRequest, origin: Origin, port: str) -> Behind | Astray:
        if not self._signs:
            return self._behind[""]
        called = Called(request.called_ae_title, origin.address, origin.certificate, port)
        named = of_association(self._signs, called)
        return named if isinstance(named, Astray) else self._behind[named]

    def _why_astray(self, partition: str, origin: Origin) -> str:
        """Why a sender at the port of a partition does not belong to it; "" if it does."""
        if not self._signs:
            return ""
        named = of_association(self._signs, Called("", origin.address, origin.certificate, partition))
        return named.why if isinstance(named, Astray) else ""

    async def _look_out(self) -> None:
        while True:
            await self.clock.sleep(self.settings.door.look_every)
            await self._look()

    async def _look(self) -> None:
        await asyncio.gather(*(behind.look() for behind in self._behind.values()))


def _refuse_tls_ports(settings: Settings) -> None:
    """Raises `ConfigError`."""
    if settings.dimse.tls_port is not None:
        raise ConfigError("dimse.tls_port", None, "needs tls.certificate and tls.key")
    for partition in settings.door.partitions:
        if partition.tls_port is not None or partition.certificates:
            raise ConfigError(f"door.partitions: {partition.name}", None, "TLS needs tls.certificate and tls.key")


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
