"""One object on its way into a real store, with a head that reads the beginning of the object."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.services.ingest.object_sink import Chunks, ObjectSink
from tests.support.dicom import EXPLICIT, to_bytes
from tests.support.objects import data_set

KEY = "default/objects/one"


class Reading(ObjectSink):
    """Needs all that has come before it knows its head, and says on which threads it was asked."""

    reads_beginning = True

    def __init__(self, *stores: object, hook: Callable[[], None] = lambda: None) -> None:
        super().__init__(*stores, KEY, EXPLICIT, max_size=1 << 30)  # type: ignore[arg-type]
        self.threads: set[threading.Thread] = set()
        self._hook = hook

    def head(self, names: tuple[str, str] | None, beginning: Sequence[memoryview]) -> bytes:
        self.threads.add(threading.current_thread())
        return b"HEAD"

    def needs_more(self, beginning: Sequence[memoryview]) -> bool:
        self.threads.add(threading.current_thread())
        self._hook()
        return True


@asynccontextmanager
async def stores(folder: Path) -> AsyncIterator[tuple[BlobStore, ThreadPoolExecutor, Chunks]]:
    store = await open_file_store(folder / "objects")
    with ThreadPoolExecutor(1) as workers:
        yield store, workers, Chunks()
    await store.close()


@pytest.mark.parametrize("size", [16, 1400])
async def test_a_head_that_reads_the_object_is_made_in_a_worker(size: int, tmp_path: Path) -> None:
    data = to_bytes(data_set(size=size), EXPLICIT)
    async with stores(tmp_path) as pair:
        sink = Reading(*pair)
        sink.write([memoryview(data)])
        await sink.finish()
        assert sink.threads
        assert threading.main_thread() not in sink.threads
        assert await read_whole(pair[0], KEY) == b"HEAD" + data


async def test_what_is_broken_off_while_its_beginning_is_read_gives_each_buffer_back_once(tmp_path: Path) -> None:
    """Two objects would share a buffer else, and one be stored with the other's bytes."""
    data = to_bytes(data_set(size=1400), EXPLICIT)
    arrival, going_on = threading.Event(), threading.Event()

    def wait() -> None:
        arrival.set()
        going_on.wait(20)

    async with stores(tmp_path) as (store, workers, chunks):
        sink = Reading(store, workers, chunks, hook=wait)
        sink.write([memoryview(data)])
        await asyncio.to_thread(arrival.wait, 20)
        discarding = asyncio.create_task(sink.discard())
        await asyncio.sleep(0)
        going_on.set()
        await discarding
        taken = [chunks.take() for _ in range(8)]
        assert len({id(chunk) for chunk in taken}) == len(taken)
        assert [blob.key async for blob in store.list()] == []
