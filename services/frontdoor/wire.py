"""A socket that is read and written without blocking, with or without TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress

from gantry.common.net.acceptor import reset as reset_socket
from gantry.common.net.certificates import name_in
from gantry.common.net.sockets import tune

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux
_scratch = memoryview(bytearray(65536))
"""Shared by all connections of the process: a waiting connection holds no memory."""


class RawConnection:
    """`recv_into` and `send` raise `BlockingIOError` if the caller has to wait, another `OSError` if the connection is
    lost."""

    def __init__(self, sock: socket.socket, *, tls: ssl.SSLContext | None = None) -> None:
        tune(sock)
        self.is_tls = tls is not None
        self._sock = sock if tls is None else tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self.fd = self._sock.fileno()

    @property
    def certificate(self) -> str:
        """The name in the peer's verified certificate, after the handshake; "" without one."""
        return name_in(self._sock.getpeercert()) if isinstance(self._sock, ssl.SSLSocket) else ""

    async def handshake(self) -> None:
        """Perform the TLS handshake as server. Raises `OSError`."""
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
        """Receive into the view; returns the number of bytes, 0 at the end."""
        try:
            count = self._sock.recv_into(view)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except ssl.SSLEOFError:
            return 0  # peers close without close_notify; PS3.8 has its own release
        if _QUICKACK is not None:
            # Senders with Nagle's algorithm wait for our ACK before they send the tail of every object.
            with suppress(OSError):
                self._sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        return count

    @property
    def pending(self) -> bool:
        """Whether bytes wait in the TLS buffer, which the kernel does not see."""
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    def send(self, view: memoryview | bytes) -> int:
        """Returns the number of bytes sent."""
        try:
            return self._sock.send(view)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    async def send_all(self, data: bytes) -> None:
        """Send all of a short message. Raises `OSError`."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.send(view) :]
            except BlockingIOError:
                await ready(self.fd, to_write=True)

    async def receive(self) -> bytes:
        """The next bytes, empty at the end. Raises `OSError`."""
        while True:
            try:
                return bytes(_scratch[: self.recv_into(_scratch)])
            except BlockingIOError:
                await ready(self.fd)

    def shut(self) -> None:
        """End sending. Bytes are still received, except over TLS, where an end closes both directions."""
        with suppress(OSError, ValueError):
            if isinstance(self._sock, ssl.SSLSocket):
                self._sock.unwrap()  # sends close_notify without waiting for the answer
        with suppress(OSError):
            # After SSLSocket's own method, received bytes would not be decrypted.
            socket.socket.shutdown(self._sock, socket.SHUT_WR)

    def close(self, *, reset: bool = False) -> None:
        """Close the socket; with `reset` the peer gets RST."""
        if reset:
            reset_socket(self._sock)
        else:
            self._sock.close()


async def ready(fd: int, *, to_write: bool = False) -> None:
    """Wait until a socket is readable, or writable if `to_write`."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if to_write else (loop.add_reader, loop.remove_reader)
    add(fd, lambda: None if waiter.done() else waiter.set_result(None))
    try:
        await waiter
    finally:
        remove(fd)


async def connected(address: tuple[str, int], timeout: float) -> socket.socket:
    """A TCP connection to a backend. Raises `OSError` or `TimeoutError` (seconds)."""
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    sock.setblocking(False)
    try:
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
