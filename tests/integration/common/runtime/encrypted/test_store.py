"""A store that encrypts: what is read is what was written, and nobody reads it who has not the keys."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.files.store import FileStore
from gantry.common.adapters.key_file import KeyFile
from gantry.common.clock import ManualClock
from gantry.common.encryption.form import HEAD, SEGMENT, TAG
from gantry.common.errors import Corrupt, KeyWithheld, NotFound
from gantry.common.ports.blobs import BlobStore, Part, read_whole
from gantry.common.runtime.encrypted.keys import DataKeys
from gantry.common.runtime.encrypted.store import EncryptedStore
from gantry.services.process.key_services import add_key

KEY, OTHER = "objects/default/01a2222/a.dcm", "objects/default/01a2222/b.dcm"
MARKED = b"MARKED^PATIENT"
OpenAgain = Callable[[], Awaitable[EncryptedStore]]


@pytest.fixture
async def below(tmp_path: Path) -> FileStore:
    return await open_file_store(tmp_path / "objects", low_water=0)


@pytest.fixture
async def open_again(tmp_path: Path, below: FileStore) -> AsyncIterator[OpenAgain]:
    """Opens the store as another process does, which knows nothing of it."""
    if not (tmp_path / "keys").exists():
        add_key(tmp_path / "keys", "first")
    clock = ManualClock()

    async def again() -> EncryptedStore:
        return EncryptedStore(below, DataKeys(below, KeyFile(tmp_path / "keys"), clock))

    yield again
    await below.close()


async def changed(below: BlobStore, key: str, change: Callable[[bytearray], object]) -> None:
    content = bytearray(await read_whole(below, key))
    change(content)
    await below.put(key, [content])


def content_of(size: int) -> bytes:
    return (MARKED + random.Random(size).randbytes(size))[:size]


@pytest.mark.parametrize("size", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 5 * SEGMENT, 20 * SEGMENT + 7])
async def test_an_object_is_read_as_it_was_written_and_lies_in_another_form(
    open_again: OpenAgain, below: FileStore, size: int
) -> None:
    content = content_of(size)
    writer = (await open_again()).writer(KEY)
    for at in range(0, size, 50_000):
        await writer.write(content[at : at + 50_000])
    await writer.commit()
    await (await open_again()).put(OTHER, [content[:10], content[10:]])
    for key in (KEY, OTHER):
        assert await read_whole(await open_again(), key) == content
        assert (await (await open_again()).stat(key)).size == size
        lying = await read_whole(below, key)
        assert len(lying) == HEAD + size + TAG * max(1, -(-size // SEGMENT))
        assert MARKED not in lying


async def test_objects_whose_parts_meet_anywhere_are_written_side_by_side(open_again: OpenAgain) -> None:
    store, source = await open_again(), random.Random(11)

    async def put(number: int) -> None:
        ends = sorted(source.choice([0, SEGMENT, 2 * SEGMENT]) + source.randint(0, 3) for _ in range(4))
        content = content_of(source.choice([ends[-1], 17 * SEGMENT + source.randint(-2, 2)]))
        parts = [content[begin:end] for begin, end in zip([0, *ends], [*ends, len(content)], strict=True)]
        for _ in range(3):
            await store.put(f"{KEY}{number}", parts)
            assert await read_whole(store, f"{KEY}{number}") == content

    await asyncio.gather(*map(put, range(40)))


@pytest.mark.parametrize("known", [True, False], ids=["known", "opened for the first time"])
async def test_every_range_is_that_of_the_object(open_again: OpenAgain, known: bool) -> None:
    content = content_of(5 * SEGMENT + 100)
    store = await open_again()
    await store.put(KEY, [content])
    source = random.Random(7)
    for _ in range(60):
        if not known:
            store = await open_again()
        edge = source.choice([0, SEGMENT, 3 * SEGMENT, 5 * SEGMENT, len(content)])
        offset = max(0, min(len(content) + 5, edge + source.randint(-3, 3)))
        length = source.choice([None, 0, 1, SEGMENT, source.randint(0, len(content))])
        end = len(content) if length is None else offset + length
        reader = await store.open(KEY, offset, length)
        assert reader.size == len(content)
        buffer = bytearray(len(content) + 1)
        filled = await reader.readinto([memoryview(buffer)[:11], memoryview(buffer)[11:]])
        await reader.close()
        assert buffer[:filled] == content[offset:end]
        if length is not None:
            assert await store.read([Part(KEY, offset, length)]) == [content[offset:end]]


async def test_what_lay_there_before_is_read_as_it_came(open_again: OpenAgain, below: FileStore) -> None:
    content = content_of(300_000)
    await below.put(KEY, [content])
    for offset, length in ((0, None), (0, 100), (0, 200_000), (7, None), (100_000, 50)):
        store = await open_again()
        reader = await store.open(KEY, offset, length)
        assert reader.size == len(content)
        buffer = bytearray(400_000)
        filled = 0
        while count := await reader.readinto([memoryview(buffer)[filled : filled + 100_001]]):
            filled += count
        assert buffer[:filled] == content[offset : None if length is None else offset + length]
        assert (await store.stat(KEY)).size == len(content)
        await reader.close()
    store = await open_again()
    await store.put(OTHER, [content])
    assert await store.read([Part(KEY, 5, 9), Part(OTHER, 5, 9)]) == [content[5:14], content[5:14]]


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.__setitem__(HEAD + 5, content[HEAD + 5] ^ 1),
        lambda content: content.__setitem__(40, content[40] ^ 1),
        lambda content: content.__delitem__(slice(HEAD + 2 * (SEGMENT + TAG), None)),
        lambda content: content.__delitem__(slice(HEAD, HEAD + SEGMENT + TAG)),
        lambda content: content.__delitem__(slice(-5, None)),
        lambda content: content.extend(bytes(100)),
    ],
    ids=["a byte", "its salt", "cut between segments", "the first segment taken out", "cut off", "something added"],
)
async def test_an_object_that_was_changed_where_it_lies_is_corrupt(
    open_again: OpenAgain, below: FileStore, change: Callable[[bytearray], object]
) -> None:
    await (await open_again()).put(KEY, [content_of(3 * SEGMENT)])
    await changed(below, KEY, change)
    with pytest.raises(Corrupt):
        await read_whole(await open_again(), KEY)


async def test_an_object_in_the_place_of_another_is_corrupt(open_again: OpenAgain, below: FileStore) -> None:
    store = await open_again()
    await store.put(KEY, [b"of one patient"])
    await store.put(OTHER, [b"of the other one"])
    await below.put(KEY, [await read_whole(below, OTHER)])
    with pytest.raises(Corrupt):
        await read_whole(await open_again(), KEY)


async def test_without_the_key_nothing_is_read_and_nothing_is_called_lost_or_damaged(
    open_again: OpenAgain, tmp_path: Path
) -> None:
    await (await open_again()).put(KEY, [MARKED])
    text = (tmp_path / "keys").read_text()
    (tmp_path / "keys").unlink()
    add_key(tmp_path / "keys", "another")
    for name in ("another", "first"):
        (tmp_path / "keys").write_text((tmp_path / "keys").read_text().replace("another", name))
        with pytest.raises(KeyWithheld):
            await read_whole(await open_again(), KEY)
    (tmp_path / "keys").write_text(text)
    assert await read_whole(await open_again(), KEY) == MARKED


async def test_a_data_key_that_is_gone_is_withheld_too(open_again: OpenAgain, below: FileStore) -> None:
    await (await open_again()).put(KEY, [MARKED])
    (place,) = [stat.key async for stat in below.list("state/keys/")]
    wrapped = await read_whole(below, place)
    await below.delete(place)
    with pytest.raises(KeyWithheld, match="is not in the object store"):
        await read_whole(await open_again(), KEY)
    await below.put(place, [wrapped])
    assert await read_whole(await open_again(), KEY) == MARKED


async def test_data_keys_are_no_objects_of_the_store_and_go_with_what_is_deleted_to_nobody(
    open_again: OpenAgain, below: FileStore
) -> None:
    store = await open_again()
    await store.put(KEY, [MARKED])
    assert [stat.key async for stat in store.list()] == [KEY]
    await store.delete(KEY)
    with pytest.raises(NotFound):
        await store.open(KEY)
    await store.put(KEY, [b"anew"])
    assert await read_whole(store, KEY) == b"anew"


async def test_many_at_once_share_one_data_key(open_again: OpenAgain, below: FileStore) -> None:
    store = await open_again()
    await asyncio.gather(*(store.put(f"a/{n}", [MARKED]) for n in range(50)))
    assert len([stat async for stat in below.list("state/keys/")]) == 1
