"""One TCP or TLS connection under an association: an asyncio protocol around `UpperLayer`.

The kernel writes into one workspace that all connections of the process share; its fragments are consumed before the
next read.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from gantry.common.errors import AssociationAborted
from gantry.common.net.certificates import name_in
from gantry.common.net.proxy import Origin
from gantry.common.net.sockets import tune
from gantry.common.telemetry.logs import get_logger
from gantry.common.ul import Aborted, Fragment, Indication, PduLimits, UpperLayer
from gantry.common.ul.upper_layer import WORKSPACE

logger = get_logger("net")

_workspace = memoryview(bytearray(WORKSPACE))
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux


class Connection(asyncio.BufferedProtocol):
    """Moves bytes and runs ARTIM; the `listener` interprets the indications.

    `listener(fragments, other)` is called with the fragments of one read, or with one other indication.
    """

    def __init__(
        self,
        *,
        requestor: bool,
        limits: PduLimits,
        artim: float,
        on_fragments: Callable[[list[Fragment]], None],
        on_indication: Callable[[Indication], None],
        on_lost: Callable[[], None],
        on_connected: Callable[[], None] = lambda: None,
        origin: Origin | None = None,
    ) -> None:
        self.ul = UpperLayer(requestor=requestor, limits=limits, workspace=_workspace)
        self._requestor = requestor
        self._artim = artim
        self._artim_timer: asyncio.TimerHandle | None = None
        self._on_fragments = on_fragments
        self._on_indication = on_indication
        self._on_lost = on_lost
        self._on_connected = on_connected
        self._origin = origin
        self._peer_address = origin.address if origin is not None else ""
        self._transport: asyncio.Transport | None = None
        self._quickack: socket.socket | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._loop = asyncio.get_running_loop()
        self._paused_for: set[str] = set()
        self._unsent = 0
        self.bytes_read = self.bytes_written = 0
        self.last_active = self._loop.time()
        """When the peer last sent or accepted bytes, or we last worked on its request."""
        self.pdu_since: float | None = None
        """When the incomplete PDU began; None between PDUs and while reading is paused."""
        self.lost = asyncio.Event()

    # ---- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not a subclass of asyncio.Transport.
        self._transport = transport = cast(asyncio.Transport, transport)
        # Writes go to the kernel at once; a writer waits only while the kernel does not accept them.
        # TLS transports pause at `high`, not above it: at 0 they would pause for ever with an empty buffer.
        transport.set_write_buffer_limits(high=0 if transport.get_extra_info("sslcontext") is None else 1, low=0)
        peer = transport.get_extra_info("peername")
        if self._origin is None and isinstance(peer, tuple):
            self._peer_address = str(peer[0])
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != getattr(socket, "AF_UNIX", None):
            tune(sock)
        self._on_connected()
        if not self._requestor:
            self.ul.connected()
        self.flush()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.ul.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        if self._quickack is not None:
            self._quickack.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)  # type: ignore[arg-type]
        self.last_active = self._loop.time()
        self.bytes_read += nbytes
        try:
            self._deliver(self.ul.received(nbytes))
        except Exception:
            # No input of a peer leads here; a bug here must end only this connection.
            logger.exception("receiving failed", peer=self.peer_address)
            self.abort_transport()
        if not self.ul.mid_pdu or self._paused_for:
            self.pdu_since = None
        elif self.pdu_since is None:
            self.pdu_since = self.last_active

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_artim()
        if self._quickack is not None:
            self._quickack.close()
            self._quickack = None
        self._writable.set()
        indications = self.ul.connection_lost()
        if isinstance(exc, ssl.SSLError):  # TLS 1.3: a server refuses a client's certificate after the handshake
            why = tls_words(exc)
            indications = [replace(i, why=why) if isinstance(i, Aborted) else i for i in indications]
        self.lost.set()
        self._deliver(indications)
        self._on_lost()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # ---- the association's side

    @property
    def is_open(self) -> bool:
        return not self.lost.is_set() and not self.ul.closing

    @property
    def peer_address(self) -> str:
        """The address of the peer, not that of a proxy in front of us."""
        return self._peer_address

    @property
    def peer_speaks_tls(self) -> bool:
        """Whether the peer's own connection is TLS, to us or to a proxy in front of us."""
        return self.extra("sslcontext") is not None or (self._origin is not None and self._origin.tls)

    @property
    def peer_certificate(self) -> str:
        """The name in the peer's certificate, as we or a proxy in front of us verified it; "" without one."""
        if self.extra("sslcontext") is not None:
            return name_in(self.extra("peercert"))
        return self._origin.certificate if self._origin is not None else ""

    def extra(self, name: str) -> Any:
        """`asyncio.Transport.get_extra_info`."""
        return self._transport.get_extra_info(name) if self._transport is not None else None

    @property
    def is_paused(self) -> bool:
        """Whether reading from the peer is paused."""
        return bool(self._paused_for)

    def established(self) -> None:
        """The association is established: objects may arrive."""
        sock = self.extra("socket")
        if _QUICKACK is None or sock is None or sock.family == getattr(socket, "AF_UNIX", None):
            return
        # Senders with Nagle's algorithm hold back the tail of every object until the segment before it is acknowledged,
        # which Linux delays by 40 ms. QUICKACK must be set again and again, and uvloop hides its socket.
        with suppress(OSError):  # slower without, but served
            self._quickack = socket.socket(fileno=os.dup(sock.fileno()))

    def touch(self) -> None:
        """Record activity: idle time counts from now."""
        self.last_active = self._loop.time()

    def takes_nothing(self) -> bool:
        """Whether bytes wait for the peer, and the peer has accepted none of them since the last call."""
        if self._writable.is_set() or self._transport is None or self._transport.is_closing():
            return False
        before, self._unsent = self._unsent, self._transport.get_write_buffer_size()
        if self._unsent != before:
            self.touch()
            return False
        return True

    def send_preface(self, data: bytes) -> None:
        """Send bytes before the first PDU (a PROXY header)."""
        if data and self._transport is not None:
            self._transport.write(data)

    def flush(self) -> None:
        """Write the output of the state machine, start or stop ARTIM, and close if the state machine says so."""
        data = self.ul.take_output()
        transport = self._transport
        if transport is None:
            return
        if data and not transport.is_closing():
            transport.write(data)
        if self.ul.closing:
            self._stop_artim()
            transport.close()
        elif self.ul.artim and self._artim_timer is None:
            self._artim_timer = self._loop.call_later(self._artim, self._artim_expired)
        elif not self.ul.artim:
            self._stop_artim()

    async def write(self, data: bytes | memoryview) -> None:
        """Send PDUs; returns when the kernel has accepted all of them, so that the buffer may be reused. Raises
        `AssociationAborted`."""
        if not self.ul.may_send or self._transport is None or self._transport.is_closing():
            raise AssociationAborted("the association has ended")
        self._transport.write(data)
        self.bytes_written += len(data)
        if not self._writable.is_set():
            await self._writable.wait()
            if self.lost.is_set():
                raise AssociationAborted("the connection was lost")

    def pause(self, reason: str) -> None:
        """Stop reading until every reason to pause has ended; TCP passes the back-pressure on to the peer."""
        if not self._paused_for and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._paused_for.add(reason)
        self.pdu_since = None

    def resume(self, reason: str) -> None:
        """End one reason to pause."""
        if reason not in self._paused_for:
            return
        self._paused_for.discard(reason)
        if not self._paused_for and self._transport is not None and not self._transport.is_closing():
            self.touch()
            self._transport.resume_reading()

    def break_off(self) -> None:
        """Send A-ABORT, since a partly sent message cannot be completed; does nothing if the connection is ending."""
        if self.is_open:
            self.ul.abort()
            self.flush()

    def abort_transport(self) -> None:
        """Close at once, without waiting for the peer to accept written bytes."""
        if self._transport is not None:
            self._transport.abort()

    # ---- inside

    def _deliver(self, indications: list[Indication]) -> None:
        fragments: list[Fragment] = []
        for indication in indications:
            if type(indication) is Fragment:
                fragments.append(indication)
                continue
            if fragments:
                self._on_fragments(fragments)
                fragments = []
            self._on_indication(indication)
        if fragments:
            self._on_fragments(fragments)
        self.flush()

    def _artim_expired(self) -> None:
        self._artim_timer = None
        self._deliver(self.ul.artim_expired())
        self.abort_transport()

    def _stop_artim(self) -> None:
        if self._artim_timer is not None:
            self._artim_timer.cancel()
            self._artim_timer = None


def tls_words(error: ssl.SSLError) -> str:
    """Why TLS failed: what is wrong with a certificate, or the peer's alert."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: certificate refused: {error.verify_message}"
    reason = (error.reason or "handshake failed").lower().replace("_", " ")
    return f"TLS: {reason.removeprefix('tlsv13 alert ').removeprefix('tlsv1 alert ').removeprefix('sslv3 alert ')}"
