"""A socket that is read and written without blocking, whether it speaks TLS or not."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress

from gantry.common.net.acceptor import reset as reset_socket
from gantry.common.net.sockets import tune

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux
_scratch = memoryview(bytearray(65536))
"""Shared by all wires of the process: one that waits holds no memory."""


class RawConnection:
    """`recv_into` and `send` raise `BlockingIOError` where the caller has to wait, another `OSError` where the
    connection is lost."""

    def __init__(self, sock: socket.socket, *, tls: ssl.SSLContext | None = None) -> None:
        tune(sock)
        self.is_tls = tls is not None
        self._sock = sock if tls is None else tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self.fd = self._sock.fileno()

    async def handshake(self) -> None:
        """TLS, as server. Raises `OSError`."""
        assert isinstance(self._sock, ssl.SSLSocket)
        while True:
            try:
                self._sock.do_handshake()
                return
            except ssl.SSLWantReadError:
                await ready(self.fd)
            except ssl.SSLWantWriteError:
                await ready(self.fd, to_write=True)

    def recv_into(self, view: memoryview) -> int:
        """Bytes received; 0 at the end."""
        try:
            count = self._sock.recv_into(view)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except ssl.SSLEOFError:
            return 0  # peers close without TLS's good-bye; PS3.8 has its own
        if _QUICKACK is not None:
            # Senders that leave Nagle's algorithm on wait for our ACK with the tail of every object.
            with suppress(OSError):
                self._sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        return count

    @property
    def pending(self) -> bool:
        """Whether bytes wait in TLS's buffer, of which the kernel knows nothing."""
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    def send(self, view: memoryview | bytes) -> int:
        """Bytes taken."""
        try:
            return self._sock.send(view)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    async def send_all(self, data: bytes) -> None:
        """Send a little. Raises `OSError`."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.send(view) :]
            except BlockingIOError:
                await ready(self.fd, to_write=True)

    async def receive(self) -> bytes:
        """Some bytes, empty at the end. Raises `OSError`."""
        while True:
            try:
                return bytes(_scratch[: self.recv_into(_scratch)])
            except BlockingIOError:
                await ready(self.fd)

    def shut(self) -> None:
        """Nothing more will be sent. What comes is still received, but over TLS, where an end is one of both sides."""
        with suppress(OSError, ValueError):
            if isinstance(self._sock, ssl.SSLSocket):
                self._sock.unwrap()  # sends close_notify; the answer is not waited for
        with suppress(OSError):
            # Not SSLSocket's own, which forgets that what still comes is encrypted.
            socket.socket.shutdown(self._sock, socket.SHUT_WR)

    def close(self, *, reset: bool = False) -> None:
        """Give the socket back; with `reset` the peer sees that the end was not a good one."""
        if reset:
            reset_socket(self._sock)
        else:
            self._sock.close()


async def ready(fd: int, *, to_write: bool = False) -> None:
    """Return when a socket can be read from, or written to."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if to_write else (loop.add_reader, loop.remove_reader)
    add(fd, lambda: None if waiter.done() else waiter.set_result(None))
    try:
        await waiter
    finally:
        remove(fd)
