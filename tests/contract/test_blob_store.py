"""What every object store promises (libs/common/ports/blobs.py). Each test quotes the sentence that it checks."""

from __future__ import annotations

import asyncio
import random

import pytest

from gantry.common.encryption.form import HEAD, TAG
from gantry.common.errors import NotFound
from gantry.common.ports.blobs import BlobStore, Part
from gantry.common.runtime.encrypted.store import EncryptedStore
from tests.contract.conftest import OpenBlobStore

MIB = 1024 * 1024


async def read(store: BlobStore, key: str, offset: int = 0, length: int | None = None) -> bytes:
    reader = await store.open(key, offset, length)
    out = bytearray()
    buffer = bytearray(70_001)
    while count := await reader.readinto([memoryview(buffer)]):
        out += buffer[:count]
    await reader.close()
    return bytes(out)


async def keys(store: BlobStore, prefix: str = "") -> list[str]:
    return [stat.key async for stat in store.list(prefix)]


@pytest.mark.parametrize("size", [0, 1, 10_000, 525_000, 3 * MIB + 1])
async def test_put_is_read_back_bit_for_bit(store: BlobStore, size: int) -> None:
    """ "Store one object from parts in memory, in order." """
    content = random.Random(size).randbytes(size)
    view = memoryview(content)
    await store.put("a/b.dcm", [content[:7], bytearray(content[7:100]), view[100:]])
    assert await read(store, "a/b.dcm") == content
    assert (await store.stat("a/b.dcm")).size == size


async def test_put_takes_thousands_of_parts(store: BlobStore) -> None:
    """ "Store one object from parts in memory, in order." """
    parts = [bytes([n % 251]) * (n % 3) for n in range(5000)]
    await store.put("parts", parts)
    assert await read(store, "parts") == b"".join(parts)


async def test_many_puts_at_once_all_arrive(store: BlobStore) -> None:
    """ "Concurrent calls share their cost." """
    contents = {f"d{n % 5}/o{n}": random.Random(n).randbytes(n * 37) for n in range(200)}
    await asyncio.gather(*(store.put(key, [content]) for key, content in contents.items()))
    for key, content in contents.items():
        assert await read(store, key) == content


@pytest.mark.parametrize("size", [0, 5, 300_000, 5 * MIB + 3])
async def test_writer_takes_chunks_of_any_size(store: BlobStore, size: int) -> None:
    """ "The chunk may be reused as soon as this returns." """
    content = random.Random(size).randbytes(size)
    writer = store.writer("w/x")
    at, chunk = 0, bytearray(200_000)
    while at < size:
        count = min(size - at, random.Random(at).randint(1, len(chunk)))
        chunk[:count] = content[at : at + count]
        await writer.write(memoryview(chunk)[:count])
        chunk[:] = bytes(len(chunk))
        at += count
    await writer.commit()
    assert await read(store, "w/x") == content


async def test_writer_shows_nothing_before_commit(store: BlobStore) -> None:
    """ "Make the object durable and visible under its key; nothing of it is visible before." """
    writer = store.writer("w/x")
    for _ in range(5):
        await writer.write(bytes(MIB))
    assert await keys(store) == []
    with pytest.raises(NotFound):
        await store.stat("w/x")
    with pytest.raises(NotFound):
        await store.open("w/x")
    await writer.commit()
    assert await keys(store) == ["w/x"]


@pytest.mark.parametrize("size", [0, 10, 3 * MIB])
async def test_aborted_object_leaves_nothing(open_blob_store: OpenBlobStore, size: int) -> None:
    """ "Discard the object. Nothing of it remains, now or after the store's next start." """
    store = await open_blob_store()
    writer = store.writer("w/x")
    await writer.write(bytes(size))
    await writer.abort()
    assert await keys(store) == []
    await store.close()
    assert await keys(await open_blob_store()) == []


async def test_objects_are_there_after_a_restart(open_blob_store: OpenBlobStore) -> None:
    """ "An object is durable when `put` or `commit` returns"."""
    store = await open_blob_store()
    await store.put("a/1", [b"one"])
    writer = store.writer("a/2")
    await writer.write(b"two")
    await writer.commit()
    await store.close()
    again = await open_blob_store()
    assert await read(again, "a/1") == b"one"
    assert await read(again, "a/2") == b"two"


async def test_two_openings_see_each_other(open_blob_store: OpenBlobStore) -> None:
    """ "Make the object durable and visible under its key" (to every process on the same store)."""
    first, other = await open_blob_store(), await open_blob_store()
    writer = first.writer("long")
    await writer.write(bytes(2 * MIB))
    third = await open_blob_store()  # a start while an object is on its way in elsewhere
    await other.put("short", [b"s"])
    await writer.commit()
    assert await keys(third) == ["long", "short"]
    assert (await third.stat("long")).size == 2 * MIB


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, None, b"0123456789"),
        (3, None, b"3456789"),
        (3, 4, b"3456"),
        (8, 5, b"89"),
        (10, 1, b""),
        (99, None, b""),
        (4, 0, b""),
    ],
)
async def test_range(store: BlobStore, offset: int, length: int | None, expected: bytes) -> None:
    """ "Read `length` bytes from `offset` (to the end where None). A range past the end is cut to the object." """
    await store.put("k", [b"0123456789"])
    reader = await store.open("k", offset, length)
    assert reader.size == 10
    await reader.close()
    assert await read(store, "k", offset, length) == expected


async def test_readinto_fills_all_buffers_unless_the_range_ends(store: BlobStore) -> None:
    """ "Fill the buffers in order with the next bytes and return how many; 0 only at the end of the range." """
    content = random.Random(1).randbytes(2 * MIB + 11)
    await store.put("k", [content])
    reader = await store.open("k")
    first, second = bytearray(MIB), bytearray(10)
    assert await reader.readinto([memoryview(first), memoryview(b""), memoryview(second)][::2]) == MIB + 10
    assert first == content[:MIB]
    assert second == content[MIB : MIB + 10]
    rest = bytearray(2 * MIB)
    assert await reader.readinto([memoryview(rest)]) == MIB + 1
    assert rest[: MIB + 1] == content[MIB + 10 :]
    assert await reader.readinto([memoryview(rest)]) == 0
    await reader.close()
    await reader.close()


async def test_missing_object_is_not_found(store: BlobStore) -> None:
    """ "A missing object is `NotFound`, except for `delete`, which succeeds." """
    await store.put("folder/object", [b"x"])
    for key in ("nothing", "folder/nothing", "folder", "folder/object/below"):
        with pytest.raises(NotFound):
            await store.open(key)
        with pytest.raises(NotFound):
            await store.stat(key)
        await store.delete(key)
    assert await keys(store) == ["folder/object"]


async def test_deleted_object_is_gone(store: BlobStore) -> None:
    """ "Remove an object; succeeds if there is none." """
    await store.put("a/k", [b"x"])
    await store.delete("a/k")
    await store.delete("a/k")
    assert await keys(store) == []
    with pytest.raises(NotFound):
        await store.stat("a/k")


async def test_object_that_is_being_read_outlives_its_deletion_or_fails(store: BlobStore) -> None:
    """ "An object is visible whole or not at all"."""
    content = random.Random(2).randbytes(MIB)
    await store.put("k", [content])
    reader = await store.open("k")
    await store.delete("k")
    buffer = bytearray(MIB)
    try:
        count = await reader.readinto([memoryview(buffer)])
    except NotFound:
        return
    finally:
        await reader.close()
    assert bytes(buffer[:count]) == content


async def test_second_put_replaces_the_object_whole(store: BlobStore) -> None:
    """ "Writing to an existing key replaces the whole object"."""
    await store.put("k", [b"long first content"])
    await store.put("k", [b"second"])
    assert await read(store, "k") == b"second"
    assert await keys(store) == ["k"]


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/../b",
        "../a",
        ".a",
        "a/.b",
        "a b",
        "ä",
        "a\\b",
        "a\x00b",
        "a\n",
        "a" * 1025,
    ],
)
async def test_key_from_outside_is_refused(store: BlobStore, key: str) -> None:
    """ "A key is relative, of [A-Za-z0-9._-] segments separated by "/", none empty or starting with "."; others are a
    ValueError." """
    with pytest.raises(ValueError):
        await store.put(key, [b"x"])
    with pytest.raises(ValueError):
        store.writer(key)
    with pytest.raises(ValueError):
        await store.open(key)
    with pytest.raises(ValueError):
        await store.read([Part(key, 0, 1)])
    with pytest.raises(ValueError):
        await store.stat(key)
    with pytest.raises(ValueError):
        await store.delete(key)
    assert await keys(store) == []


async def test_parts_come_in_the_order_they_are_asked_for(store: BlobStore) -> None:
    """ "Read small parts of objects, in order; a part past the end of its object is cut." """
    contents = {f"p/{n:03}": random.Random(n).randbytes(500 + n) for n in range(150)}
    await asyncio.gather(*(store.put(key, [content]) for key, content in contents.items()))
    parts = [Part(f"p/{n * 7 % 150:03}", n % 600, n * 3 % 400) for n in range(300)]
    assert await store.read(parts) == [contents[key][at : at + length] for key, at, length in parts]
    assert await store.read([Part("p/000", 0, 10_000), Part("p/000", 499, 1)]) == [
        contents["p/000"],
        contents["p/000"][-1:],
    ]
    assert await store.read([]) == []


async def test_part_of_a_missing_object_fails_them_all(store: BlobStore) -> None:
    """ "If one object is missing, the whole call fails." """
    await store.put("p/there", [b"x"])
    with pytest.raises(NotFound):
        await store.read([Part("p/there", 0, 1), Part("p/not", 0, 1), Part("p/there", 0, 1)])
    assert await store.read([Part("p/there", 0, 1)]) == [b"x"]


async def test_list_is_in_order_of_keys(store: BlobStore) -> None:
    """ "All objects whose key starts with `prefix`, in the order of keys." """
    names = ["a/b", "a-b", "a.b", "a/b.c/d", "a/b0", "ab", "a/B", "z/1/2/3", "z/1/20", "z/1.x"]
    for name in names:
        await store.put(name, [name.encode()])
    assert await keys(store) == sorted(names)
    for prefix in ("a", "a/", "a/b", "z/1/2", "z/1/2/3", "nothing", "a/b.c/d/e"):
        assert await keys(store, prefix) == sorted(n for n in names if n.startswith(prefix)), prefix


async def test_list_tells_sizes_of_thousands(store: BlobStore) -> None:
    """ "All objects whose key starts with `prefix`"; "In a listing the size is that on the store"."""
    await asyncio.gather(*(store.put(f"n/{n:05}", [bytes(n % 7)]) for n in range(2300)))
    stats = [(stat.key, stat.size) async for stat in store.list("n/")]
    more = HEAD + TAG if isinstance(store, EncryptedStore) else 0
    assert stats == [(f"n/{n:05}", n % 7 + more) for n in range(2300)]


async def test_check_returns_when_objects_can_be_stored(store: BlobStore) -> None:
    """ "Return if an object could be stored now"."""
    await store.check()
    assert await keys(store) == []
