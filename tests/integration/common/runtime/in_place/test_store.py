"""A store of references and objects: it reads the objects in place, and never writes there."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.files.foreign import ForeignFolder
from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.errors import Corrupt, DependencyUnavailable, NotFound
from gantry.common.ids import Receipt
from gantry.common.ports.blobs import BlobStore, Part, read_whole
from gantry.common.ports.foreign import ForeignStore
from gantry.common.runtime.in_place.reference import InPlaceReference, left_key
from gantry.common.runtime.in_place.store import ReferringStore

HEAD = file_meta("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1")
KEY = Receipt.at(1_700_000_000_000_000).reference_key("default")
THEIRS = random.Random(3).randbytes(300_000)
OFFSET = 700
OBJECT = HEAD + THEIRS[OFFSET:]


class Named:
    """The stores in the settings."""

    def __init__(self, root: Path) -> None:
        self._folder = ForeignFolder(root)

    async def get(self, name: str) -> ForeignStore:
        if name != "old":
            raise DependencyUnavailable(name, "it is not in the settings")
        return self._folder

    async def close(self) -> None:
        await self._folder.close()


@pytest.fixture
async def below(tmp_path: Path) -> BlobStore:
    return await open_file_store(tmp_path / "objects", low_water=0)


@pytest.fixture
async def store(tmp_path: Path, below: BlobStore) -> AsyncIterator[ReferringStore]:
    (tmp_path / "old").mkdir()
    store = ReferringStore(below, Named(tmp_path / "old"))
    yield store
    await store.close()


async def refer(store: ReferringStore, tmp_path: Path, key: str = KEY, named: str = "old") -> Path:
    """Their file, which is referred to."""
    path = tmp_path / "old" / "image.dcm"
    path.write_bytes(THEIRS)
    (stat,) = [stat async for stat in (await store.foreign.get("old")).list()]
    await store.refer(key, InPlaceReference(named, stat.key, stat.tag, stat.size, OFFSET, HEAD))
    return path


async def part(store: BlobStore, offset: int, length: int | None) -> bytes:
    reader = await store.open(KEY, offset, length)
    assert reader.size == len(OBJECT)
    out = b""
    buffer = bytearray(1 + len(OBJECT) // 3)
    while count := await reader.readinto([memoryview(buffer)[:7], memoryview(buffer)[7:]]):
        out += buffer[:count]
    await reader.close()
    return out


RANGES = [
    (0, None), (0, len(HEAD)), (0, len(HEAD) + 1), (len(HEAD) - 1, 2), (len(HEAD), 10), (10, 20),
    (len(HEAD) + 5, None), (len(OBJECT) - 3, 100), (len(OBJECT), None), (len(OBJECT) + 10, 5), (4, 0),
]  # fmt: skip


async def test_every_range_is_that_of_our_head_and_their_data_set(store: ReferringStore, tmp_path: Path) -> None:
    await refer(store, tmp_path)
    assert (await store.stat(KEY)).size == len(OBJECT)
    for offset, length in RANGES:
        end = None if length is None else offset + length
        assert await part(store, offset, length) == OBJECT[offset:end], (offset, length)
    parts = [Part(KEY, offset, length) for offset, length in RANGES if length is not None]
    assert await store.read(parts) == [OBJECT[span.offset : span.offset + span.length] for span in parts]


async def test_objects_and_references_are_read_together_in_their_order(store: ReferringStore, tmp_path: Path) -> None:
    await refer(store, tmp_path)
    await store.put("objects/default/a/b.dcm", [b"ours"])
    parts = [Part("objects/default/a/b.dcm", 1, 2), Part(KEY, 0, 4), Part("objects/default/a/b.dcm", 0, 9)]
    assert await store.read(parts) == [b"ur", OBJECT[:4], b"ours"]


async def test_what_was_changed_is_corrupt_and_what_was_removed_is_missing(
    store: ReferringStore, tmp_path: Path
) -> None:
    path = await refer(store, tmp_path)
    assert await part(store, 0, 5) == OBJECT[:5]
    path.write_bytes(THEIRS[::-1])
    for asking in (lambda: store.open(KEY), lambda: store.stat(KEY), lambda: store.read([Part(KEY, 400, 9)])):
        with pytest.raises(Corrupt):
            await asking()
    path.unlink()
    for asking in (lambda: store.open(KEY), lambda: store.stat(KEY), lambda: store.read([Part(KEY, 400, 9)])):
        with pytest.raises(NotFound):
            await asking()


async def test_a_folder_that_is_not_mounted_loses_nothing(store: ReferringStore, tmp_path: Path) -> None:
    await refer(store, tmp_path)
    (tmp_path / "old").rename(tmp_path / "elsewhere")
    with pytest.raises(DependencyUnavailable):
        await store.stat(KEY)
    (tmp_path / "elsewhere").rename(tmp_path / "old")
    assert await part(store, 0, 5) == OBJECT[:5]


async def test_a_store_that_the_settings_do_not_name_is_unavailable_for_its_objects_only(
    store: ReferringStore, tmp_path: Path
) -> None:
    await refer(store, tmp_path, named="other")
    await store.put("objects/default/a/b.dcm", [b"ours"])
    with pytest.raises(DependencyUnavailable, match="not in the settings"):
        await store.open(KEY)
    assert await read_whole(store, "objects/default/a/b.dcm") == b"ours"


async def test_deleting_removes_the_reference_and_notes_what_its_owner_may_remove(
    store: ReferringStore, below: BlobStore, tmp_path: Path
) -> None:
    path = await refer(store, tmp_path)
    await store.delete(KEY)
    await store.delete(KEY)
    with pytest.raises(NotFound):
        await store.stat(KEY)
    assert path.read_bytes() == THEIRS
    [(note, left)] = [leftover async for leftover in store.left()]
    assert (note, left.store, left.key) == (left_key(KEY), "old", "image.dcm")
    await store.forget(note)
    assert [leftover async for leftover in store.left()] == []
    assert [stat.key async for stat in below.list()] == []


async def test_bytes_that_were_copied_over_a_reference_are_read_by_whoever_remembers_it(
    store: ReferringStore, below: BlobStore, tmp_path: Path
) -> None:
    path = await refer(store, tmp_path)
    other = ReferringStore(below, Named(tmp_path / "old"))
    assert await part(other, 0, None) == OBJECT
    await store.put(KEY, [OBJECT])
    path.unlink()
    assert await part(other, 0, None) == OBJECT
    assert await store.reference(KEY) is None
    await store.delete(KEY)
    assert [leftover async for leftover in store.left()] == []


async def test_a_damaged_reference_is_corrupt(store: ReferringStore, below: BlobStore, tmp_path: Path) -> None:
    await refer(store, tmp_path)
    await below.put(KEY, [(await read_whole(below, KEY))[:30]])
    other = ReferringStore(below, Named(tmp_path / "old"))
    with pytest.raises(Corrupt):
        await other.open(KEY)
    await other.delete(KEY)


async def test_an_archive_of_somebody_else_is_not_asked_for_anything(store: ReferringStore, tmp_path: Path) -> None:
    await refer(store, tmp_path)
    await store.bring_back(KEY)  # a `ForeignStore` has nothing to ask with
    await store.put("objects/default/a/b.dcm", [b"ours"])
    await store.bring_back("objects/default/a/b.dcm")
