"""The MLLP port: who may connect, how long anything may take, and one message at a time on each connection."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gantry.common.clock import Clock
from gantry.common.config.shown_certificates import certificate_in
from gantry.common.hl7.acknowledgement import AcknowledgementCode, MessageAnswer, rejection
from gantry.common.hl7.mllp import Frame, MllpDecoder, MllpError, framed
from gantry.common.hl7.problems import ErrorCode, MessageProblem
from gantry.common.net.acceptor import Acceptor, HeaderCheck, listen
from gantry.common.net.incoming import handshake_words
from gantry.common.net.proxy import Network, Origin, is_trusted
from gantry.common.net.sockets import tune
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics

logger = get_logger("hl7")
_READ = 1 << 16
_WRITE_SECONDS = 30.0
_HANDSHAKE_SECONDS = 10.0
_PROXY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class MllpLimits:
    """Bytes, seconds and connections; `admit` are the networks whose connections are accepted."""

    admit: Sequence[Network]
    message: int
    message_deadline: float
    idle: float
    connections: int
    per_address: int
    proxies: Sequence[Network] = ()
    """The networks whose connections begin with a PROXY header."""
    needs_tls: bool = False
    """Whether senders must use TLS: to a proxy, if there is no TLS here."""


class _Closed(Exception):
    """The peer closed the connection between messages."""


class MllpListener:
    """Listens until it is drained. `tls` returns the context for the next connection; None: plain."""

    def __init__(
        self,
        handle: Callable[[bytes], Awaitable[bytes]],
        limits: MllpLimits,
        clock: Clock,
        metrics: Metrics,
        tls: Callable[[], ssl.SSLContext] | None = None,
        check: HeaderCheck | None = None,
    ) -> None:
        """`check` decides whether a proxy may name a sender."""
        self._handle = handle
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self._tls = tls
        self._check = check
        self._acceptor: Acceptor | None = None
        self._open: dict[asyncio.Task[None], str] = {}
        self._busy: set[asyncio.Task[None]] = set()
        self._draining = False

    def start(self, host: str, port: int, *, reuse_port: bool = False) -> int:
        """Listen. Returns the port. Raises `OSError`."""
        sock = listen(host, port, backlog=128, reuse_port=reuse_port)
        self._acceptor = Acceptor(
            sock, self._accepted, self._failed, trusted=self._limits.proxies, deadline=_PROXY_SECONDS, check=self._check
        )
        return int(sock.getsockname()[1])

    async def drain(self, seconds: float) -> None:
        """Accept no more messages; wait up to `seconds` for those under way to be answered; then close."""
        self._draining = True
        if self._acceptor is not None:
            self._acceptor.close()
        await end_tasks(*(task for task in self._open if task not in self._busy))
        if self._busy:
            await asyncio.wait(set(self._busy), timeout=seconds)
        await end_tasks(*self._open)

    def _failed(self, address: str, why: str) -> None:
        """A connection from a proxy had no valid PROXY header."""
        self._metrics.hl7_connections_refused.labels("proxy").inc()
        logger.warning("connection refused", peer=address, reason=why)

    def _accepted(self, sock: socket.socket, origin: Origin) -> None:
        if origin.local:  # a proxy looks whether we are here
            sock.close()
            return
        refusal = self._refusal(origin)
        if refusal:
            sock.close()
            self._metrics.hl7_connections_refused.labels(refusal).inc()
            logger.warning("connection refused", peer=origin.address, reason=refusal)
            return
        tune(sock)
        task = asyncio.get_running_loop().create_task(self._serve(sock, origin))
        self._open[task] = origin.address
        self._metrics.hl7_connections.set(len(self._open))
        task.add_done_callback(self._ended)

    def _refusal(self, origin: Origin) -> str:
        address = origin.address
        if not is_trusted(address, self._limits.admit):
            return "address"
        if self._limits.needs_tls and self._tls is None and not origin.tls:
            return "tls"
        if len(self._open) >= self._limits.connections:
            return "limit"
        return "limit per address" if Counter(self._open.values())[address] >= self._limits.per_address else ""

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._open.pop(task, None)
        self._busy.discard(task)
        self._metrics.hl7_connections.set(len(self._open))
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("connection ended by a mistake of ours", error=error)

    async def _serve(self, sock: socket.socket, origin: Origin) -> None:
        """One connection, to its end. It is plain if a proxy terminates TLS."""
        writer: asyncio.StreamWriter | None = None
        peer = origin.address
        context = None if self._tls is None or origin.tls else self._tls()
        shaking = context is not None
        try:
            reader, writer = await self._opened(sock, context)
            shaking = False
            await self._exchange(reader, writer)
        except _Closed:
            logger.debug("connection closed by its peer", peer=peer)
        except MllpError as error:
            logger.warning("connection closed", peer=peer, reason=str(error))
        except OSError as error:
            self._lost(peer, error, shaking=shaking)
        finally:
            if writer is None:
                sock.close()
            else:
                writer.close()

    def _lost(self, peer: str, error: OSError, *, shaking: bool) -> None:
        """Log why a connection ended: in its TLS handshake, or after it."""
        if shaking or isinstance(error, ssl.SSLError):
            self._metrics.hl7_connections_refused.labels("tls").inc()
            shown = certificate_in(error)
            fields = {"certificate": shown} if shown else {}
            logger.warning("connection refused", peer=peer, reason=handshake_words(error), **fields)
        elif isinstance(error, TimeoutError):
            logger.warning("connection closed", peer=peer, reason="a deadline passed")
        else:
            logger.info("connection lost", peer=peer)

    async def _opened(
        self, sock: socket.socket, tls: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_READ, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, sock, ssl=tls, ssl_handshake_timeout=None if tls is None else _HANDSHAKE_SECONDS
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = MllpDecoder(self._limits.message)
        task = asyncio.current_task()
        assert task is not None
        while not self._draining:
            try:
                frame = await self._next(reader, decoder)
            except MllpError as error:
                if decoder.inside:
                    # Without an answer, a sender would repeat a message that is too long for ever.
                    answer = MessageAnswer(
                        AcknowledgementCode.REJECT, (MessageProblem(ErrorCode.DATA_TYPE, str(error)),)
                    )
                    await self._write(writer, framed(rejection(answer, "0", "")))
                raise
            self._busy.add(task)
            try:
                await self._write(writer, await self._handle(frame.message))
            finally:
                self._busy.discard(task)

    async def _next(self, reader: asyncio.StreamReader, decoder: MllpDecoder) -> Frame:
        """The next message. Raises `MllpError`, `TimeoutError`, `_Closed`."""
        began: float | None = None
        while not isinstance(frame := decoder.next(), Frame):
            if decoder.inside and began is None:
                began = self._clock.monotonic()
            left = (
                self._limits.idle if began is None else began + self._limits.message_deadline - self._clock.monotonic()
            )
            async with asyncio.timeout(left):
                data = await reader.read(_READ)
            if not data:
                raise _Closed
            decoder.receive(data)
        return frame

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        async with asyncio.timeout(_WRITE_SECONDS):
            await writer.drain()
