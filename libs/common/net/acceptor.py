"""Accepts TCP connections and determines the origin of each, before anything else is read.

A connection from an address in `trusted` must begin with a header of the PROXY protocol, complete within the deadline;
exactly the header is read, so that TLS or a PDU may follow at once. With a `check`, each header that names a peer must
pass it; a LOCAL header names no peer and is not checked.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from gantry.common.errors import OriginRefused
from gantry.common.net.proxy import Network, Origin, ProxyError, decode, expected_length, is_trusted
from gantry.common.telemetry.logs import get_logger

logger = get_logger("net")

_AT_ONCE = 64
_OUT_OF_FILES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_AGAIN_SECONDS = 1.0


class HeaderCheck(Protocol):
    """Decides whether the sender of a PROXY header may name a peer."""

    def check_header(self, header: bytes, own_address: tuple[str, int]) -> None:
        """`own_address` is the local address of the connection. Raises `OriginRefused`."""


def listen(host: str, port: int, backlog: int, *, reuse_port: bool = False) -> socket.socket:
    """A listening socket. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        sock.listen(backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


class Acceptor:
    """Passes every connection to `accepted` with its origin; calls `failed` (address, why) if it ends before that.

    The callee closes the socket. `close` closes the listening socket.
    """

    def __init__(
        self,
        sock: socket.socket,
        accepted: Callable[[socket.socket, Origin], None],
        failed: Callable[[str, str], None],
        *,
        trusted: Sequence[Network] = (),
        deadline: float = 30.0,
        check: HeaderCheck | None = None,
    ) -> None:
        self._sock = sock
        self._accepted = accepted
        self._failed = failed
        self._trusted = trusted
        self._deadline = deadline
        self._check = check
        self._loop = asyncio.get_running_loop()
        self._reading: set[asyncio.Task[None]] = set()
        self._closed = False
        self._out_of_files = False
        self._loop.add_reader(sock.fileno(), self._on_readable)

    def close(self) -> None:
        """Stop accepting; close connections whose header is incomplete."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        for task in self._reading:
            task.cancel()

    def _on_readable(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, peer = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _OUT_OF_FILES:
                    raise
                # Connections in the backlog are served once others have closed; retrying at once would spin.
                if not self._out_of_files:
                    self._out_of_files = True
                    logger.error("connections wait: out of file descriptors", error=error)
                self._loop.remove_reader(self._sock.fileno())
                self._loop.call_later(_AGAIN_SECONDS, self._resume)
                return
            self._out_of_files = False
            sock.setblocking(False)
            self._begin(sock, Origin(peer[0], peer[1]))

    def _resume(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._sock.fileno(), self._on_readable)

    def _begin(self, sock: socket.socket, origin: Origin) -> None:
        if not is_trusted(origin.address, self._trusted):
            self._accepted(sock, origin)
            return
        task = self._loop.create_task(self._read(sock, origin))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, sock: socket.socket, proxy: Origin) -> None:
        why = ""
        try:
            async with asyncio.timeout(self._deadline):
                header = await self._header(sock)
            self._accepted(sock, self._origin(sock, header) or replace(proxy, local=True))
            return
        except TimeoutError:
            why = "no header of the PROXY protocol in time"
        except OriginRefused as refused:
            why = f"unproven PROXY header: {refused.reason}"
        except ProxyError as error:
            why = f"PROXY protocol: {error}"
        except OSError:
            why = "the connection was lost"
        except asyncio.CancelledError:
            sock.close()
            raise
        sock.close()
        self._failed(proxy.address, why)

    def _origin(self, sock: socket.socket, header: bytes) -> Origin | None:
        """The peer, once its header is verified. Raises `ProxyError`, `OriginRefused`."""
        origin = decode(header)
        if origin is not None and self._check is not None:
            self._check.check_header(header, sock.getsockname()[:2])
        return origin

    async def _header(self, sock: socket.socket) -> bytes:
        """Exactly the bytes of the header. Raises `ProxyError`."""
        header = b""
        while (wanted := expected_length(header)) > len(header):
            data = await self._loop.sock_recv(sock, wanted - len(header))
            if not data:
                raise ProxyError("closed before the header was complete" if header else "closed before a header")
            header += data
        return header


def reset(sock: socket.socket) -> None:
    """Close at once with RST: data in transit is lost, and the peer must not take it for complete."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()
