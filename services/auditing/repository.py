"""The connection to an audit repository: syslog over TLS (RFC 5425), as PS3.15 A.6 has it.

RFC 5425 knows no acknowledgement. What was written counts as sent when the repository's machine has taken the bytes;
what it had taken, and not read, when it ended is lost with it. So what was written in the last `AGAIN_SECONDS` before a
connection ended is written again on the next one: a repository may see a record twice, and each is the same bytes.
"""

from __future__ import annotations

import asyncio
import fcntl
import ssl
import struct
import termios
from collections import deque
from collections.abc import Callable, Sequence

from gantry.common.clock import Clock

AGAIN_SECONDS = 30.0
_MOST_AGAIN = 5000
_LOOK_AGAIN = 0.005


class RepositoryAway(Exception):
    """It cannot be reached, or the connection ended; `reason` is "connect", "tls" or "write"."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(f"{reason}: {why}")
        self.reason = reason


class Repository:
    """One connection at a time."""

    def __init__(self, address: str, context: Callable[[], ssl.SSLContext], clock: Clock, timeout: float) -> None:
        """`address` is HOST:PORT; `context` makes what the next connection is made with; `timeout` in seconds."""
        host, _, port = address.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._context = context
        self._clock = clock
        self._timeout = timeout
        self._writer: asyncio.StreamWriter | None = None
        self._ending: asyncio.Task[bytes] | None = None
        self._written: deque[tuple[float, bytes]] = deque()

    async def send(self, frames: Sequence[bytes]) -> None:
        """Write frames; they are at the repository's machine when this returns. Raises `RepositoryAway`."""
        if self._writer is None or self._has_ended():
            await self._renew()
        try:
            async with asyncio.timeout(self._timeout):
                await self._write(frames)
        except (OSError, TimeoutError) as error:
            await self._end()
            raise RepositoryAway("write", _words(error)) from error
        now = self._clock.monotonic()
        self._written.extend((now, frame) for frame in frames)
        while self._written and (self._written[0][0] < now - AGAIN_SECONDS or len(self._written) > _MOST_AGAIN):
            self._written.popleft()

    async def close(self) -> None:
        """End the connection in order."""
        await self._end()

    async def _renew(self) -> None:
        """Connect, and write again what may have been lost with the connection before."""
        ended = self._writer is not None
        await self._end()
        try:
            async with asyncio.timeout(self._timeout):
                reader, self._writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._context(), server_hostname=self._host
                )
        except ssl.SSLError as error:
            raise RepositoryAway("tls", _words(error)) from error
        except (OSError, TimeoutError) as error:
            raise RepositoryAway("connect", _words(error)) from error
        # Nothing may wait here. With 0 uvloop's TLS takes an empty buffer for a full one, now and then for ever.
        self._writer.transport.set_write_buffer_limits(high=1, low=0)
        # It says nothing: what can be read is the end.
        self._ending = asyncio.get_running_loop().create_task(reader.read(1))
        if ended or self._written:
            await self._write_again()

    async def _write_again(self) -> None:
        frames = [frame for _, frame in self._written]
        if not frames:
            return
        try:
            async with asyncio.timeout(self._timeout):
                await self._write(frames)
        except (OSError, TimeoutError) as error:
            await self._end()
            raise RepositoryAway("write", _words(error)) from error

    async def _write(self, frames: Sequence[bytes]) -> None:
        assert self._writer is not None
        self._writer.write(b"".join(frames))
        await self._writer.drain()
        # SIOCOUTQ: bytes that the other machine has not acknowledged.
        sock = self._writer.get_extra_info("socket")
        while struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]:
            if self._has_ended():
                break
            await self._clock.sleep(_LOOK_AGAIN)
        if self._has_ended():
            raise ConnectionResetError("the repository ended the connection")

    def _has_ended(self) -> bool:
        return self._ending is not None and self._ending.done()

    async def _end(self) -> None:
        writer, self._writer = self._writer, None
        ending, self._ending = self._ending, None
        if ending is not None:
            ending.cancel()
            await asyncio.wait([ending])
            if not ending.cancelled():
                ending.exception()
        if writer is not None:
            writer.close()
            try:
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()
            except (OSError, TimeoutError):
                writer.transport.abort()


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
