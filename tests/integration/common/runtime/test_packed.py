"""A store that packs: what is read is what was written, and it takes less room."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.files.store import FileStore
from gantry.common.dicom.packing.form import HEAD
from gantry.common.dicom.standard.transfer_syntaxes import JPEG_LS_LOSSLESS
from gantry.common.errors import Corrupt, DependencyUnavailable, NotFound
from gantry.common.ports.blobs import BlobStore, Part, read_whole
from gantry.common.runtime.packed.store import PackedStore
from tests.support.image_files import image_file, samples

KEY = "objects/default/ab/1.2.3/4.dcm"


@pytest.fixture
async def below(tmp_path: Path) -> FileStore:
    return await open_file_store(tmp_path / "objects", low_water=0)


@pytest.fixture
async def store(below: FileStore) -> AsyncIterator[PackedStore]:
    store = PackedStore(below)
    yield store
    await store.close()


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def taken(store: BlobStore) -> dict[str, int]:
    return {stat.key: stat.size async for stat in store.list()}


async def test_an_image_takes_less_room_and_is_read_as_it_was_written(store: PackedStore) -> None:
    content = image_file(rows=256, columns=256, frames=5)
    await store.put(KEY, [content])
    assert (await taken(store))[KEY] < len(content) * 0.6
    assert (await store.stat(KEY)).size == len(content)
    assert await read_whole(store, KEY) == content


@pytest.mark.parametrize("ahead", [True, False], ids=["its table is known", "it is opened for the first time"])
async def test_every_range_is_that_of_the_object(store: PackedStore, below: FileStore, ahead: bool) -> None:
    content = image_file(rows=700, columns=900, frames=2)
    await store.put(KEY, [content])
    source = random.Random(5)
    for _ in range(30):
        offset = source.randint(0, len(content) + 10)
        length = source.choice([None, 0, 1, source.randint(1, 100_000), len(content)])
        reader = await (store if ahead else PackedStore(below)).open(KEY, offset, length)
        buffer = bytearray(len(content) + 20)
        filled = await reader.readinto([memoryview(buffer)[:7], memoryview(buffer)[7:]])
        assert buffer[:filled] == content[offset:][:length]
        assert reader.size == len(content)
        await reader.close()


async def test_parts_of_many_objects_come_in_the_order_they_were_asked_for(store: PackedStore) -> None:
    contents = {
        "packed": image_file(rows=300, columns=300, frames=4),
        "large": image_file(rows=2000, columns=1500),
        "as it came": b"x" * 100,
    }
    for key, content in contents.items():
        await store.put(key.replace(" ", "-"), [content])
    source = random.Random(6)
    ranges = [(source.choice(list(contents)), source.randint(0, 400_000), source.randint(0, 50_000)) for _ in range(40)]
    parts = [Part(key.replace(" ", "-"), offset, length) for key, offset, length in ranges]
    assert await store.read(parts) == [contents[key][offset:][:length] for key, offset, length in ranges]
    with pytest.raises(NotFound):
        await store.read([*parts, Part("nowhere", 0, 1)])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no dicom",
        random.Random(2).randbytes(9 << 20),
        image_file(rows=100, columns=100, syntax=JPEG_LS_LOSSLESS, pixels=random.Random(3).randbytes(20_000)),
        image_file(rows=1200, columns=2400, frames=2, pixels=random.Random(3).randbytes(1200 * 2400 * 4)),
    ],
    ids=["nothing", "text", "noise", "compressed", "an image of noise"],
)
async def test_what_would_not_become_shorter_lies_as_it_came(
    store: PackedStore, below: FileStore, content: bytes
) -> None:
    writer, at, source = store.writer(KEY), 0, random.Random(1)
    while at < len(content):
        size = source.randint(1, 3 << 20)
        await writer.write(content[at : at + size])
        at += size
    await writer.commit()
    assert await read_whole(below, KEY) == content
    assert await read_whole(store, KEY) == content


async def test_an_object_that_begins_as_a_packed_one_is_told_from_it(store: PackedStore, below: FileStore) -> None:
    content = HEAD + random.Random(4).randbytes(10_000)
    await store.put(KEY, [content])
    assert await read_whole(below, KEY) != content
    assert await read_whole(PackedStore(below), KEY) == content


async def test_damage_is_told_wherever_it_is(store: PackedStore, below: FileStore, tmp_path: Path) -> None:
    content = image_file(rows=256, columns=256, frames=3)
    await store.put(KEY, [content])
    file = tmp_path / "objects" / KEY
    stored, source = file.read_bytes(), random.Random(8)
    for _ in range(40):
        damaged = bytearray(stored)
        damaged[source.randrange(len(HEAD), len(stored))] ^= 1 << source.randrange(8)
        file.chmod(0o600)
        file.write_bytes(damaged[: source.choice([len(stored), len(stored), source.randrange(len(stored))])])
        fresh = PackedStore(below)
        try:
            # A bit that says nothing, or so short that it is no packed object any more: the digest tells.
            read = await read_whole(fresh, KEY)
            assert read == content or not read.startswith(HEAD)
        except Corrupt:
            pass


async def test_a_reader_is_told_of_damage_as_often_as_it_asks(store: PackedStore, tmp_path: Path) -> None:
    content = image_file(rows=600, columns=800, frames=4)
    await store.put(KEY, [content])
    file = tmp_path / "objects" / KEY
    stored = bytearray(file.read_bytes())
    middle = len(stored) // 2
    stored[middle : middle + 40] = bytes(40)
    file.chmod(0o600)
    file.write_bytes(stored)
    reader = await store.open(KEY)
    buffer = memoryview(bytearray(len(content)))
    for _ in range(3):
        with pytest.raises(Corrupt):
            await reader.readinto([buffer])
    await reader.close()


async def test_a_worker_that_is_killed_costs_nobody_anything(store: PackedStore) -> None:
    content = image_file(rows=1024, columns=1024, frames=6)

    async def kill() -> None:
        for _ in range(4):
            await asyncio.sleep(0.15)
            for process in list(store._workers._busy)[:1]:
                os.kill(process.pid, signal.SIGKILL)
                return

    await store.put(KEY, [content])
    reading, killing = asyncio.ensure_future(read_whole(store, KEY)), asyncio.ensure_future(kill())
    assert await reading == content
    await killing
    assert await read_whole(store, KEY) == content


async def test_a_write_that_is_given_up_leaves_nothing(store: PackedStore, below: FileStore) -> None:
    writer = store.writer(KEY)
    await writer.write(image_file(rows=1000, columns=1000, frames=2))
    await writer.abort()
    assert await taken(below) == {}


async def test_a_closed_store_refuses(below: FileStore) -> None:
    store = PackedStore(below)
    await store.put(KEY, [image_file(rows=512, columns=512)])
    await store._workers.close()
    reader = await store.open(KEY)
    with pytest.raises(DependencyUnavailable):
        await reader.readinto([memoryview(bytearray(1 << 20))])
    await reader.close()


async def test_an_object_of_300_mb_passes_in_the_memory_of_a_small_one(store: PackedStore) -> None:
    rows, columns, frames = 1024, 1024, 150
    frame = samples(rows * columns, 2)
    head = image_file(rows=rows, columns=columns, frames=frames, pixels=b"")[:-4]
    head += (len(frame) * frames).to_bytes(4, "little")
    await store.put("objects/warm", [image_file(rows=rows, columns=columns)])
    before = resident()
    writer = store.writer(KEY)
    await writer.write(head)
    for _ in range(frames):
        await writer.write(frame)
    await writer.commit()
    reader, buffer, length = await store.open(KEY), memoryview(bytearray(1 << 20)), 0
    while count := await reader.readinto([buffer]):
        length += count
    await reader.close()
    assert length == len(head) + len(frame) * frames
    assert resident() - before < 48 << 20
