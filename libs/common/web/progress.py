"""Whether a client accepts the bytes sent to it: acknowledged bytes count, not those in the kernel's buffer."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from contextlib import suppress

SLOWEST = 1024
"""Bytes a second, on average: a client that accepts or sends a byte now and then cannot hold a connection for ever."""


class Progress:
    """While entered, ends the connection of a client that accepts no bytes for `stall` seconds, or fewer than `SLOWEST`
    bytes a second. Further writes meanwhile only make the client look slower: enter it for one write."""

    def __init__(self, transport: asyncio.Transport, stall: float) -> None:
        self._transport = transport
        self._stall = stall
        self._left = 0
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._restart_timer()

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _restart_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._stall, self._look)

    def _look(self) -> None:
        left = unsent(self._transport)
        # If nothing was left at the last check, the writer of the answer is slow, not the client.
        if self._left and self._left - left < min(self._left, SLOWEST * self._stall):
            self._transport.abort()
            return
        self._left = left
        self._restart_timer()


def unsent(transport: asyncio.Transport) -> int:
    """Bytes that the client has not acknowledged; 0 if the connection has ended."""
    if transport.is_closing():
        return 0
    left = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError, ValueError):
            (queued,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))
            left += queued
    return left
