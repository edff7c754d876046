"""One object on its way into the store. A small one stays in memory until it is whole; a larger one streams on.

The event loop copies fragments into a reusable chunk. An object of one chunk, as nearly all are, is digested and
scanned on the event loop: 0.25 ms for a CT slice, while its bytes are in the processor's cache; a change of threads and
back costs as much, and holds up every other thread that needs the interpreter. A larger object is digested
and scanned chunk by chunk in worker threads, and stored through a writer, with at most `_AHEAD` chunks waiting: beyond
that the association stops reading until the store has caught up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from blake3 import blake3

from gantry.common.dicom.scan.scanner import Scan, Scanner
from gantry.common.errors import GantryError, TooLarge
from gantry.common.ports.blobs import BlobStore, BlobWriter
from gantry.common.tasks import end_tasks

T = TypeVar("T")
CHUNK = 1 << 20
_AHEAD = 3
_MOST_HELD = 4
_KEPT_FREE = 32
_SLACK = 64 << 20
"""Bytes that a peer may send beyond the limit before its association is aborted."""


@dataclass(frozen=True, slots=True)
class Receipted:
    """An object whose bytes are durable."""

    scan: Scan
    digest: str
    data_set_offset: int
    data_set_length: int


class Chunks:
    """Reused buffers of `CHUNK` bytes: memory fresh from the kernel costs more than the copy into it."""

    def __init__(self) -> None:
        self._free: list[memoryview] = []

    def take(self) -> memoryview:
        return self._free.pop() if self._free else memoryview(bytearray(CHUNK))

    def give_back(self, chunk: memoryview) -> None:
        if len(self._free) < _KEPT_FREE:
            self._free.append(chunk)


class ObjectSink:
    """A `Sink` for the data set of one C-STORE request.

    A fault in the data set does not end the transfer: the remaining bytes are read and dropped, then `finish` raises
    the fault. So the peer gets a status, and can continue with its next object.
    """

    def __init__(
        self,
        store: BlobStore,
        workers: Executor,
        chunks: Chunks,
        key: str,
        transfer_syntax_uid: str,
        *,
        max_size: int,
        refused: GantryError | None = None,
    ) -> None:
        self._store = store
        self._workers = workers
        self._chunks = chunks
        self._key = key
        self._head = b""
        self._max_size = max_size
        self._error: GantryError | None = refused
        self._scanner = Scanner(transfer_syntax_uid)
        self._digest = blake3()
        self._chunk: memoryview | None = None
        self._filled = 0
        self._held: list[tuple[memoryview, int]] = []
        """Chunks that arrived before the bytes before them could be written."""
        self.length = 0
        self._queue: asyncio.Queue[tuple[memoryview, int]] | None = None
        self._spilling: asyncio.Task[None] | None = None
        self._writer: BlobWriter | None = None

    # ---- the association's side

    def write(self, views: Sequence[memoryview]) -> bool:
        for view in views:
            self.length += len(view)
            if self._error is None:
                self._keep(view)
        if self.length > self._max_size:
            self._too_large()
        return self._queue is None or self._queue.qsize() < _AHEAD

    def _keep(self, view: memoryview) -> None:
        while view:
            chunk = self._chunk
            if chunk is None:
                chunk = self._chunk = self._chunks.take()
            elif self._filled == CHUNK:
                self._spill(chunk)
                continue
            start = self._filled
            count = min(len(view), CHUNK - start)
            chunk[start : start + count] = view[:count]
            self._filled = start + count
            view = view[count:]

    async def ready(self) -> None:
        queue = self._queue
        if queue is not None:
            await queue.join()

    @property
    def failed(self) -> bool:
        """Whether the object is refused already, whatever follows."""
        return self._error is not None

    def refuse(self, error: GantryError) -> None:
        """Do not store it: `finish` raises `error`, or the reason for which it was refused before."""
        self._error = self._error or error

    async def discard(self) -> None:
        self._error = self._error or TooLarge("discarded")
        await self._stop_spilling()

    # ---- the handler's side

    async def finish(self) -> Receipted:
        """Everything has arrived: returns when the object is durable. Raises the reason for which it is refused, or
        `DependencyUnavailable`; then nothing of the object is left in the store."""
        try:
            if self._spilling is None:
                await self._finish_small()
            else:
                await self._finish_large()
            if self._error is not None:
                raise self._error
            return self._receipted
        finally:
            await self._stop_spilling()

    reads_beginning = False
    """Whether `head` and `needs_more` read `beginning`: then they are called in a worker thread, else on the loop."""

    async def prepare(self, beginning: Sequence[memoryview]) -> None:
        """Called once, on the loop, before `head` if that reads the beginning: for work that has to be awaited."""

    def head(self, names: tuple[str, str] | None, beginning: Sequence[memoryview]) -> bytes:
        """The bytes before the data set. Called once, when they are needed: `names` are the SOP class and instance UID
        of the data set, None if either has not arrived by then or is invalid; `beginning` is what has arrived."""
        raise NotImplementedError

    def needs_more(self, beginning: Sequence[memoryview]) -> bool:
        """Whether `head` needs more of the data set than this beginning of it. It may get less: at most `_MOST_HELD`
        chunks wait in memory."""
        return False

    def check(self, scan: Scan) -> None:
        """Called with the scan before the object becomes visible; raises `RefusedDataSet` if it must not."""

    # ---- inside

    def _too_large(self) -> None:
        self._error = self._error or TooLarge(f"object larger than {self._max_size} bytes")
        if self.length > self._max_size + _SLACK:
            raise TooLarge("object without end")

    async def _finish_small(self) -> None:
        if self._error is not None:
            return
        chunk = self._chunk if self._chunk is not None else memoryview(b"")
        data = chunk[: self._filled]
        self._absorb(data)
        self._head = await self._head_of((data,))
        self._conclude()
        await self._store.put(self._key, (self._head, data))

    async def _finish_large(self) -> None:
        assert self._queue is not None
        if self._chunk is not None and self._error is None:
            self._spill(self._chunk)
        await self._queue.join()
        if self._error is None and self._held:
            self._release(await self._begin())
        if self._error is None and self._writer is not None:
            self._conclude()
            await self._writer.commit()
            self._writer = None

    def _conclude(self) -> None:
        """The scan is complete: its UIDs must pass `check` before the object becomes visible."""
        scan = self._scanner.finish()
        self.check(scan)
        self._receipted = Receipted(scan, f"blake3:{self._digest.hexdigest()}", len(self._head), self.length)

    def _absorb(self, data: memoryview) -> None:
        self._digest.update(data)
        self._scanner.feed(data)

    def _spill(self, chunk: memoryview) -> None:
        if self._queue is None:
            self._queue = asyncio.Queue()
            self._spilling = asyncio.get_running_loop().create_task(self._spill_chunks(self._queue))
        self._queue.put_nowait((chunk, self._filled))
        self._chunk, self._filled = None, 0

    async def _spill_chunks(self, queue: asyncio.Queue[tuple[memoryview, int]]) -> None:
        while True:
            chunk, filled = await queue.get()
            # After a failure the chunk is not reused: a thread may still read it, or it is among those held.
            free = []
            try:
                free = await self._store_chunk(chunk, filled) if self._error is None else [chunk]
            except GantryError as error:
                self._error = error
            except Exception as error:
                self._error = GantryError(f"internal error while storing: {type(error).__name__}")
            finally:
                self._release(free)
                queue.task_done()

    async def _store_chunk(self, chunk: memoryview, filled: int) -> list[memoryview]:
        """Store a chunk, or hold it until the bytes before it can be written. Returns the chunks that are free then."""
        data = chunk[:filled]
        await self.in_worker(self._absorb, data)
        if self._writer is not None:
            await self._writer.write(data)
            return [chunk]
        self._held.append((chunk, filled))
        if len(self._held) < _MOST_HELD and await self._needs_more():
            return []
        return await self._begin()

    async def _begin(self) -> list[memoryview]:
        """Write the beginning of the object. Returns the chunks that were held."""
        beginning = self._beginning()
        self._head = await self._head_of(beginning)
        held, self._held = self._held, []
        self._writer = self._store.writer(self._key)
        await self._writer.write(self._head)
        for data in beginning:
            await self._writer.write(data)
        return [chunk for chunk, _ in held]

    async def _head_of(self, beginning: Sequence[memoryview]) -> bytes:
        if not self.reads_beginning:
            return self.head(self._scanner.names, beginning)
        await self.prepare(beginning)
        return await self.in_worker(self.head, self._scanner.names, beginning)

    async def _needs_more(self) -> bool:
        return self.reads_beginning and await self.in_worker(self.needs_more, self._beginning())

    async def in_worker(self, function: Callable[..., T], *arguments: object) -> T:
        """The result of a function that runs in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, function, *arguments)

    def _beginning(self) -> list[memoryview]:
        return [chunk[:filled] for chunk, filled in self._held]

    def _release(self, chunks: Sequence[memoryview]) -> None:
        for chunk in chunks:
            self._chunks.give_back(chunk)

    async def _stop_spilling(self) -> None:
        if self._spilling is not None:
            await end_tasks(self._spilling)
        if self._writer is not None:
            writer, self._writer = self._writer, None
            await writer.abort()
        self._release([chunk for chunk, _ in self._held])
        self._held = []
        if self._chunk is not None:
            self._chunks.give_back(self._chunk)
            self._chunk = None
