"""One connection, from its first byte to its end."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import dataclass, replace

from gantry.common.clock import Clock
from gantry.common.config.shown_certificates import certificate_in
from gantry.common.net.incoming import handshake_words
from gantry.common.net.proxy import Origin
from gantry.common.net.unassociated import Unassociated
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.rate_limited import RateLimited
from gantry.common.ul import AssociateReject, AssociateRequest, PduLimits
from gantry.services.frontdoor.backends import Backend
from gantry.services.frontdoor.behind import Behind
from gantry.services.frontdoor.opening import FirstPdu, called_as
from gantry.services.frontdoor.partitions import Astray
from gantry.services.frontdoor.pump import Pump
from gantry.services.frontdoor.reaching import Reacher
from gantry.services.frontdoor.routing import Pool, needed
from gantry.services.frontdoor.wire import RawConnection
from gantry.services.process.association_log import reason_of

# PS3.8 table 9-21.
CONGESTED = AssociateReject(2, 3, 1)
LIMIT_EXCEEDED = AssociateReject(2, 3, 2)
NOBODY_PLAYS_THESE_ROLES = AssociateReject(1, 2, 1)
NOBODY_IS_CALLED_SO = AssociateReject(1, 1, 7)

Whose = Callable[[AssociateRequest, Origin, str], Behind | Astray]
"""Finds the archive of an association. The text is the partition whose port was called, "" for the common port."""


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """Times in seconds, lengths in bytes."""

    artim: float
    associations: int
    associations_per_peer: int
    connect_timeout: float
    connect_deadline: float
    upper_layer: PduLimits
    unassociated_per_peer: int = 64


class _Waiting:
    """A connection without an association."""

    def __init__(self, keeper: DimseDoor, task: asyncio.Task[None], address: str) -> None:
        self._keeper = keeper
        self._task = task
        self.address = address

    def give_way(self) -> None:
        self._keeper.failed(self.address, "gave way to a newer connection")
        self._task.cancel()


class DimseDoor:
    """Accepts connections and passes them to backends."""

    def __init__(
        self,
        whose: Whose,
        storage: Container[str],
        limits: DoorLimits,
        tls: ssl.SSLContext | None,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._whose = whose
        self._storage = storage
        self._limits = limits
        self._tls = tls
        self._clock = clock
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[asyncio.Task[None], _Waiting] = {}
        self._reacher = Reacher(limits.connect_timeout, limits.connect_deadline, clock, metrics)
        self._unassociated = Unassociated(limits.associations, limits.unassociated_per_peer)
        self._seldom = RateLimited()
        self._pumps: set[Pump] = set()
        self._per_peer: Counter[str] = Counter()
        self._per_partition: Counter[str] = Counter()
        self._logger = get_logger("door")

    def take(
        self, sock: socket.socket, origin: Origin, tls: Callable[[], ssl.SSLContext] | None = None, port: str = ""
    ) -> None:
        """Serve an accepted connection; `tls`, if given, returns the current TLS context. `port` is the partition whose
        port was called."""
        context = tls() if tls is not None else self._tls
        task = asyncio.get_running_loop().create_task(self._serve(sock, origin, context, port))
        self._tasks.add(task)
        self._wait(task, origin.address)
        task.add_done_callback(self._ended)

    def _wait(self, task: asyncio.Task[None], address: str) -> None:
        """Enter a connection without an association: it does not count as one, but holds a descriptor, and is closed if
        there are too many."""
        self._waiting[task] = waiting = _Waiting(self, task, address)
        self._unassociated.enter(waiting, address)

    def _wait_no_more(self, task: asyncio.Task[None]) -> None:
        waiting = self._waiting.pop(task, None)
        if waiting is not None:
            self._unassociated.leave(waiting, waiting.address)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wait_no_more(task)

    def failed(self, address: str, why: str, certificate: str = "") -> None:
        """A connection ended without an association; `certificate` describes the peer's certificate in a TLS handshake
        that failed."""
        reason = reason_of(why)
        self._metrics.connections_failed.labels(reason).inc()
        times = self._times((address, "failed", why))
        if times:
            log = self._logger.warning if reason in ("tls", "gave_way") else self._logger.info
            shown = {"certificate": certificate} if certificate else {}
            log("connection without association", peer=address, why=why, **shown, count=times)

    def _times(self, kind: tuple[str, ...]) -> int:
        return self._seldom.times(kind, self._clock.monotonic())

    async def drained(self) -> None:
        """Wait until every connection has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """End the remaining connections."""
        for pump in list(self._pumps):
            pump.cut("the door is shutting down")
        await end_tasks(*self._tasks)

    # ---- one connection

    async def _serve(self, sock: socket.socket, origin: Origin, tls: ssl.SSLContext | None, port: str) -> None:
        opening = FirstPdu(self._limits.upper_layer)
        wire: RawConnection | None = None
        try:
            wire = RawConnection(sock, tls=tls)
            why, certificate = await self._open(wire, opening)
            request = opening.request
            if request is None:
                if opening.has_begun or not origin.local:  # a proxy's health check is not logged
                    self.failed(origin.address, why, certificate)
            elif await self._is_passed_on(wire, opening, request, _as_it_came(origin, wire), port):
                return
            await self._finish(wire, opening)
        except OSError:
            self.failed(origin.address, "the connection was lost")
        except Exception as error:
            # A bug here must end only this connection.
            self._logger.error("connection failed", error=error)
        finally:
            if wire is None:
                sock.close()
            else:
                wire.close()

    async def _open(self, wire: RawConnection, opening: FirstPdu) -> tuple[str, str]:
        """Read until the request is complete or there is a reason to end. Returns the reason, and the certificate that
        was refused. PS3.8 9.1.5: ARTIM runs meanwhile."""
        shaking = wire.is_tls
        try:
            async with asyncio.timeout(self._limits.artim):
                if shaking:
                    await wire.handshake()
                    shaking = False
                while opening.request is None and not opening.is_over:
                    data = await wire.receive()
                    if not data:
                        return "closed before an association", ""
                    opening.feed(data)
        except OSError as error:
            if shaking or isinstance(error, ssl.SSLError):
                return handshake_words(error), certificate_in(error)
            if not isinstance(error, TimeoutError):
                raise
            return "no association request in time", ""
        return opening.why, ""

    async def _finish(self, wire: RawConnection, opening: FirstPdu) -> None:
        """Send the remaining output, and wait for the peer to close (PS3.8 table 9-10, Sta13), no longer than ARTIM."""
        output = opening.take_output()
        if not output:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.artim):
                await wire.send_all(output)
                while await wire.receive():
                    pass

    async def _is_passed_on(
        self, wire: RawConnection, opening: FirstPdu, request: AssociateRequest, origin: Origin, port: str
    ) -> bool:
        """Forward the association to a backend until it ends; False if it was rejected instead."""
        whose = self._whose(request, origin, port)
        if isinstance(whose, Astray):
            self._reject(opening, request, origin, NOBODY_IS_CALLED_SO, whose.why)
            return False
        sets = whose.sets(request, self._storage)
        if self._is_full(origin.address, whose):
            self._reject(opening, request, origin, LIMIT_EXCEEDED)
            return False
        if not sets:
            self._reject(opening, request, origin, NOBODY_PLAYS_THESE_ROLES)
            return False
        self._per_peer[origin.address] += 1
        self._per_partition[whose.partition] += 1
        try:
            task = asyncio.current_task()
            assert task is not None
            self._wait_no_more(task)
            link = await self._reacher.reach(whose, sets, origin)
            if link is None:
                self._wait(task, origin.address)
                self._reject(opening, request, origin, CONGESTED)
                return False
            await self._pump(wire, opening, request, origin, whose, *link)
            return True
        finally:
            self._per_partition[whose.partition] -= 1
            self._per_peer[origin.address] -= 1
            if not self._per_peer[origin.address]:
                del self._per_peer[origin.address]

    def _is_full(self, address: str, whose: Behind) -> bool:
        """Whether the limit of associations is reached: of all, of a peer, or of an archive."""
        limits = self._limits
        return (
            self._per_peer.total() >= limits.associations
            or self._per_peer[address] >= limits.associations_per_peer
            or (whose.most is not None and self._per_partition[whose.partition] >= whose.most)
        )

    def _reject(
        self, opening: FirstPdu, request: AssociateRequest, origin: Origin, reject: AssociateReject, why: str = ""
    ) -> None:
        numbers = f"{reject.result}/{reject.source}/{reject.reason}"
        self._metrics.associations_rejected.labels(numbers).inc()
        opening.reject(reject)
        times = self._times((origin.address, "rejected", request.calling_ae_title, numbers))
        if not times:
            return
        self._logger.warning(
            "association rejected",
            count=times,
            reason=numbers,
            why=why or reject.words,
            needs=sorted(needed(request, self._storage)),
            calling=request.calling_ae_title,
            called=request.called_ae_title,
            peer=origin.address,
        )

    # ---- its backend

    async def _pump(
        self,
        front: RawConnection,
        opening: FirstPdu,
        request: AssociateRequest,
        origin: Origin,
        whose: Behind,
        backend: Backend,
        back: RawConnection,
    ) -> None:
        """Forward bytes until the association has ended."""
        metrics, started = self._metrics, self._clock.monotonic()
        metrics.door_associations.labels(backend.pool, whose.partition).inc()
        metrics.door_open.labels(backend.pool, whose.partition).inc()
        mirror = whose.shadow.mirror(request, origin) if whose.shadow is not None else None
        pump = Pump(front, back, self._limits.artim, mirror)
        self._pumps.add(pump)
        try:
            called = whose.called if backend.pool is Pool.OTHER else None
            pump.start(opening.raw if called is None else called_as(opening.raw, called))
            await pump.ended.wait()
        finally:
            pump.cut("the door is shutting down")
            self._pumps.discard(pump)
            if mirror is not None:
                mirror.ended()
            backend.open -= 1
            metrics.door_open.labels(backend.pool, whose.partition).dec()
            metrics.door_bytes.labels("in").inc(pump.inwards.bytes)
            metrics.door_bytes.labels("out").inc(pump.outwards.bytes)
        self._logger.info(
            "association passed on",
            **whose.told,
            pool=backend.pool,
            backend=backend.name,
            calling=request.calling_ae_title,
            peer=origin.address,
            outcome=pump.outcome,
            bytes_in=pump.inwards.bytes,
            bytes_out=pump.outwards.bytes,
            seconds=round(self._clock.monotonic() - started, 3),
        )


def _as_it_came(origin: Origin, wire: RawConnection) -> Origin:
    """The peer, with its TLS to us, or to a proxy in front of us."""
    return replace(origin, tls=True, certificate=wire.certificate) if wire.is_tls else origin
