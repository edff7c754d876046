"""A TCP proxy that adds latency: `python -m tests.support.delay PORT TARGET_HOST:PORT SECONDS`.

The client's bytes are forwarded later by the delay, whatever their number: every call takes longer by the delay, but
throughput stays the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

import uvloop

_READ = 1 << 18


class Delay:
    """A listener in front of one server."""

    def __init__(self, host: str, port: int, seconds: float) -> None:
        self._target = host, port
        self._seconds = seconds
        self._server: asyncio.Server | None = None
        self.connections: set[asyncio.StreamWriter] = set()
        self.most_at_once = 0
        """Connections of clients."""
        self.returned = 0
        """Bytes that were sent to clients."""

    async def start(self, port: int = 0) -> int:
        """Listen on the loopback interface; returns the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=_READ)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def cut(self) -> None:
        """End every connection now, and accept no more."""
        if self._server is not None:
            self._server.close()
        for writer in list(self.connections):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to, back = await asyncio.open_connection(*self._target, limit=_READ)
        except OSError:
            writer.close()
            return
        pair = {writer, back}
        self.connections |= pair
        self.most_at_once = max(self.most_at_once, len(self.connections) // 2)
        try:
            await asyncio.gather(self._later(reader, back), self._at_once(to, writer))
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            self.connections -= pair
            for end in pair:
                end.close()

    async def _later(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)

        async def pass_on() -> None:
            while True:
                due, data = await queue.get()
                await asyncio.sleep(due - loop.time())
                if not data:
                    writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()

        passing = asyncio.create_task(pass_on())
        try:
            while data := await reader.read(_READ):
                await queue.put((loop.time() + self._seconds, data))
            await queue.put((loop.time() + self._seconds, b""))
            await passing
        finally:
            passing.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await passing

    async def _at_once(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_READ):
            writer.write(data)
            await writer.drain()
            self.returned += len(data)
        writer.write_eof()


async def _run(port: int, target: str, seconds: float) -> None:
    host, _, number = target.rpartition(":")
    await Delay(host, int(number), seconds).start(port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_run(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
