"""HL7 messages over MLLP: a connection is forwarded as a whole to a process of the orders role, without reading it.

no process is reachable    the connection is closed: MLLP has no refusal, and senders connect again
the process ends           so does the connection; the sender repeats messages without an answer
the door ends              idle connections are closed at once, the others as soon as they have their answer
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from gantry.common.clock import Clock
from gantry.common.config.hl7_sections import Hl7Settings
from gantry.common.config.shown_certificates import certificate_in
from gantry.common.hl7.mllp import END
from gantry.common.net.incoming import handshake_words
from gantry.common.net.proxy import Origin
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.rate_limited import RateLimited
from gantry.services.frontdoor.backends import Backend
from gantry.services.frontdoor.behind import Behind
from gantry.services.frontdoor.pump import Pump
from gantry.services.frontdoor.reaching import Reacher
from gantry.services.frontdoor.routing import Pool
from gantry.services.frontdoor.wire import RawConnection

logger = get_logger("door")
_HANDSHAKE_SECONDS = 10.0
_HALF_CLOSED_SECONDS = 30.0
_LOOK_SECONDS = 0.05
_TAIL = END + b"\r"
"""The end of an answer."""


class _Exchange:
    """Detects from the forwarded bytes whether a sender waits for an answer."""

    def __init__(self) -> None:
        self.waits = False
        self._last = b""

    def observe_request_bytes(self, data: memoryview) -> None:
        """Bytes from the sender."""
        self.waits = True

    def observe_response_bytes(self, data: memoryview) -> None:
        """Bytes for the sender."""
        self._last = (self._last + bytes(data[-len(_TAIL) :]))[-len(_TAIL) :]
        self.waits = self._last != _TAIL


class MessageDoor:
    """The MLLP port of one archive behind the door."""

    def __init__(
        self,
        behind: Behind,
        settings: Hl7Settings,
        reacher: Reacher,
        clock: Clock,
        metrics: Metrics,
        astray: Callable[[Origin], str] = lambda _: "",
    ) -> None:
        """`settings` has the limits of connections; admission is decided behind the door. `astray` returns why a sender
        does not belong to this archive, "" if it does."""
        self._behind = behind
        self._settings = settings
        self._reacher = reacher
        self._astray = astray
        self._clock = clock
        self._metrics = metrics
        self._seldom = RateLimited()
        self._open: dict[asyncio.Task[None], str] = {}
        self._pumps: dict[Pump, _Exchange] = {}

    def take(self, sock: socket.socket, origin: Origin, tls: Callable[[], ssl.SSLContext] | None = None) -> None:
        """Serve an accepted connection; `tls`, if given, returns the current TLS context."""
        if origin.local:  # a load balancer's health check
            sock.close()
            return
        refusal = self._refusal(origin.address)
        if refusal:
            sock.close()
            self._refused(origin.address, refusal, refusal)
            return
        context = tls() if tls is not None and not origin.tls else None
        task = asyncio.get_running_loop().create_task(self._serve(sock, origin, context))
        self._open[task] = origin.address
        self._metrics.hl7_connections.inc()
        task.add_done_callback(self._ended)

    def failed(self, address: str, why: str) -> None:
        """A connection ended before its PROXY header named the peer."""
        self._refused(address, "proxy", why)

    async def drained(self) -> None:
        """Wait until every connection has ended: each ends when its sender has its answer."""
        while self._open:
            for pump, exchange in list(self._pumps.items()):
                if not exchange.waits and not pump.outwards.is_behind:
                    pump.end("the door is shutting down")
            await asyncio.wait(self._open, timeout=_LOOK_SECONDS)

    async def close(self) -> None:
        """End the remaining connections."""
        for pump in list(self._pumps):
            pump.cut("the door is shutting down")
        await end_tasks(*self._open)

    def _refusal(self, address: str) -> str:
        if len(self._open) >= self._settings.max_connections:
            return "limit"
        if Counter(self._open.values())[address] >= self._settings.max_connections_per_address:
            return "limit per address"
        return ""

    def _refused(self, address: str, reason: str, why: str, certificate: str = "") -> None:
        self._metrics.hl7_connections_refused.labels(reason).inc()
        times = self._seldom.times((address, reason, why), self._clock.monotonic())
        if times:
            shown = {"certificate": certificate} if certificate else {}
            about = {**self._behind.told, "peer": address, "reason": why, **shown}
            logger.warning("HL7 connection refused", **about, count=times)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._open[task]
        self._metrics.hl7_connections.dec()

    # ---- one connection

    async def _serve(self, sock: socket.socket, origin: Origin, tls: ssl.SSLContext | None) -> None:
        wire: RawConnection | None = None
        shaking = tls is not None
        try:
            wire = RawConnection(sock, tls=tls)
            if shaking:
                async with asyncio.timeout(_HANDSHAKE_SECONDS):
                    await wire.handshake()
                shaking = False
                origin = replace(origin, tls=True, certificate=wire.certificate)
            if why := self._astray(origin):
                self._refused(origin.address, "partition", why)
                return
            link = await self._reacher.reach(self._behind, [[Pool.HL7]], origin)
            if link is None:
                self._refused(origin.address, "unreachable", "no process behind the door accepts messages")
                return
            await self._pass(wire, origin, *link)
        except OSError as error:
            if shaking or isinstance(error, ssl.SSLError):
                self._refused(origin.address, "tls", handshake_words(error), certificate_in(error))
                return
            logger.info("HL7 connection lost", peer=origin.address)
        except Exception as error:
            # A bug here must end only this connection.
            logger.error("connection failed", error=error)
        finally:
            if wire is None:
                sock.close()
            else:
                wire.close()

    async def _pass(self, front: RawConnection, origin: Origin, backend: Backend, back: RawConnection) -> None:
        """Forward bytes until both sides have ended."""
        labels, started = (backend.pool, self._behind.partition), self._clock.monotonic()
        metrics = self._metrics
        metrics.door_associations.labels(*labels).inc()
        metrics.door_open.labels(*labels).inc()
        exchange = _Exchange()
        pump = Pump(front, back, _HALF_CLOSED_SECONDS, exchange)
        self._pumps[pump] = exchange
        try:
            pump.start()
            await pump.ended.wait()
        finally:
            pump.cut("the door is shutting down")
            del self._pumps[pump]
            backend.open -= 1
            metrics.door_open.labels(*labels).dec()
            metrics.door_bytes.labels("in").inc(pump.inwards.bytes)
            metrics.door_bytes.labels("out").inc(pump.outwards.bytes)
        logger.info(
            "HL7 connection passed on",
            **self._behind.told,
            backend=backend.name,
            peer=origin.address,
            outcome=pump.outcome,
            bytes_in=pump.inwards.bytes,
            bytes_out=pump.outwards.bytes,
            seconds=round(self._clock.monotonic() - started, 3),
        )
