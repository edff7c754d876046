"""Writing one object: a single PUT if it is small, else parts in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from gantry.common.adapters.s3.control import Control
from gantry.common.adapters.s3.wire import SignedRequests
from gantry.common.errors import GantryError
from gantry.common.ports.blobs import Buffer
from gantry.common.tasks import end_tasks


class S3Writer:
    """`gantry.common.ports.blobs.BlobWriter`. Parts are uploaded while the rest is still being received."""

    def __init__(
        self, wire: SignedRequests, control: Control, key: str, put: Callable[[list[Buffer]], Awaitable[None]]
    ) -> None:
        self._wire = wire
        self._control = control
        self._key = key
        self._put = put
        self._size = wire.bucket.part_size
        self._slots = asyncio.Semaphore(wire.bucket.parts_in_flight)
        self._buffer = bytearray()
        self._upload: str | None = None
        self._parts: list[asyncio.Task[str]] = []
        self._failed: BaseException | None = None
        self._ended = False

    async def write(self, chunk: Buffer) -> None:
        view = memoryview(chunk).cast("B")
        while len(view):
            room = self._size - len(self._buffer)
            self._buffer += view[:room]
            view = view[room:]
            if len(self._buffer) >= self._size:
                await self._send()

    async def commit(self) -> None:
        if self._upload is None:
            await self._put([self._buffer])
        else:
            if self._buffer:
                await self._send()
            etags = list(await asyncio.gather(*self._parts))
            await self._control.complete(self._key, self._upload, etags)
        self._ended = True

    async def abort(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._buffer = bytearray()
        await end_tasks(*self._parts)
        if self._upload is not None:
            # An upload that cannot be aborted now is swept later (`S3Store.sweep_unfinished`).
            with suppress(GantryError):
                await self._control.abandon(self._key, self._upload)

    async def _send(self) -> None:
        """Upload the buffer as the next part; waits while the maximum number of uploads is running."""
        if self._failed is not None:
            raise self._failed
        if self._upload is None:
            self._upload = await self._control.begin(self._key)
        await self._slots.acquire()
        buffer, self._buffer = self._buffer, bytearray()
        query = {"partNumber": str(len(self._parts) + 1), "uploadId": self._upload}
        part = asyncio.create_task(self._wire.put(self._key, [buffer], query, {}))
        part.add_done_callback(self._sent)
        self._parts.append(part)

    def _sent(self, part: asyncio.Task[str]) -> None:
        self._slots.release()
        if not part.cancelled() and part.exception() is not None:
            self._failed = part.exception()
