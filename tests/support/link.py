"""A link to one server that a test can cut, and that can answer in place of the server."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

_READ = 1 << 18
_WHO_ARE_YOU = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Link:
    """Forwards bytes between its port and a server on the loopback interface; a test can disturb it at any time."""

    def __init__(self, target: int, tls: ssl.SSLContext | None = None, expected: bytes = b"") -> None:
        """`target` is the server's port. With `tls` the link speaks TLS to clients, but not to the server. A connection
        whose first bytes do not contain `expected` is ended, as by a server that needs a password."""
        self.target = target
        self._tls = tls
        self._expected = expected
        self._server: asyncio.Server | None = None
        self._passing = asyncio.Event()
        self._passing.set()
        self._answer: bytes | None = None
        self._delay = 0.0
        self._connections: set[asyncio.StreamWriter] = set()

    async def start(self, port: int) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=_READ, ssl=self._tls)

    async def close(self) -> None:
        """End the link and all connections."""
        if self._server is not None:
            self._server.close()
        self._drop()

    def expect(self, request: bytes) -> None:
        """Require another password from now on; open connections are ended."""
        self._expected = request
        self._drop()

    def cut(self) -> None:
        """Forward nothing any more, without closing connections, as if a cable were pulled."""
        self._passing.clear()

    def mend(self) -> None:
        """Restore the initial state."""
        self._answer, self._delay = None, 0.0
        self._passing.set()
        self._drop()

    def slow_down(self, seconds: float) -> None:
        """Delay every piece by so many seconds, in both directions."""
        self._delay = seconds

    def answer(self, response: bytes) -> None:
        """Answer every request with this response; open connections are ended."""
        self._answer = response
        self._drop()

    def _drop(self) -> None:
        for writer in list(self._connections):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            await self._passing.wait()
            if self._answer is not None:
                await self._instead(reader, writer, self._answer)
                return
            first = await reader.read(_READ) if self._expected else b""
            if self._expected not in first:
                writer.write(_WHO_ARE_YOU)
                return
            target_reader, back = await asyncio.open_connection("127.0.0.1", self.target, limit=_READ)
            self._connections.add(back)
            back.write(first)
            try:
                await asyncio.gather(self._pass(reader, back), self._pass(target_reader, writer))
            finally:
                self._connections.discard(back)
                back.close()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the test has ended, or a side closed the connection
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _instead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes) -> None:
        with suppress(TimeoutError):
            while await asyncio.wait_for(reader.read(_READ), 0.1):
                pass
        writer.write(answer)
        await writer.drain()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_READ):
            await self._passing.wait()
            if self._delay:
                await asyncio.sleep(self._delay)
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
