"""What every store of somebody else promises (libs/common/ports/foreign.py). Each test quotes what it checks."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gantry.common.adapters.files.foreign import ForeignFolder
from gantry.common.adapters.s3 import S3Bucket
from gantry.common.adapters.s3.foreign import open_foreign_bucket
from gantry.common.clock import SystemClock
from gantry.common.errors import Corrupt, DependencyUnavailable, NotFound
from gantry.common.ports.blobs import BlobReader
from gantry.common.ports.foreign import ForeignObject, ForeignStore
from tests.support.foreign import Foreign
from tests.support.servers import required

KEYS = ["2019/ct ä+/0001 DOE^JOHN.dcm", "2019/ct/1.dcm", "a'b&c=d;e.dcm", "x/%41?#.dcm", "y" * 200 + "/" + "z" * 200]


class Topology:
    """What `Foreign` asks an archive for."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment


@pytest.fixture(params=["files", "s3"])
def theirs(request: pytest.FixtureRequest, tmp_path: Path) -> Foreign:
    environment = {}
    if request.param == "s3":
        endpoint, access_key, secret_key = required("s3").address.split()
        (tmp_path / "secret").write_text(secret_key)
        environment = {
            "GANTRY_STORAGE__OBJECTS": "s3://any",
            "GANTRY_S3__ENDPOINT": endpoint,
            "GANTRY_S3__ACCESS_KEY": access_key,
            "GANTRY_S3__SECRET_KEY_FILE": str(tmp_path / "secret"),
        }
    return Foreign(Topology(tmp_path, environment))  # type: ignore[arg-type]


@pytest.fixture
async def store(theirs: Foreign) -> AsyncIterator[ForeignStore]:
    store: ForeignStore
    if theirs.bucket is not None:
        store = await open_foreign_bucket(theirs.bucket, SystemClock())
    else:
        store = ForeignFolder(theirs.folder)
    yield store
    await store.close()


async def listed(store: ForeignStore, prefix: str = "") -> list[ForeignObject]:
    return [stat async for stat in store.list(prefix)]


async def content(reader: BlobReader) -> bytes:
    out, buffer = bytearray(), bytearray(70_001)
    try:
        while count := await reader.readinto([memoryview(buffer)]):
            out += buffer[:count]
    finally:
        await reader.close()
    return bytes(out)


async def test_keys_of_any_form_are_listed_and_read(theirs: Foreign, store: ForeignStore) -> None:
    """ "its key, of any form" """
    for key in KEYS:
        theirs.put(key, key.encode())
    theirs.put("2019/other", b"x")
    stats = await listed(store)
    assert sorted(stat.key for stat in stats) == sorted([*KEYS, "2019/other"])
    for stat in stats:
        expected = stat.key.encode() if stat.key in KEYS else b"x"
        assert await content(await store.open(stat.key, stat.tag)) == expected
        assert await store.stat(stat.key, stat.tag) == stat
    assert [file.key for file in await listed(store, "2019/ct/")] == ["2019/ct/1.dcm"]
    assert sorted(file.key for file in await listed(store, "2019/c")) == sorted(KEYS)[:2]


async def test_more_than_a_page_is_listed_once_each(theirs: Foreign, store: ForeignStore) -> None:
    """ "All objects whose key starts with `prefix`" """
    keys = sorted(f"many/{number % 7}/{number}" for number in range(1100))
    theirs.put_all(keys, b"x")
    assert sorted(stat.key for stat in await listed(store, "many/")) == keys


@pytest.mark.parametrize(("offset", "length"), [(0, None), (5, 10), (299_990, 100), (300_000, None), (7, 0)])
async def test_a_range_is_cut_to_the_object(
    theirs: Foreign, store: ForeignStore, offset: int, length: int | None
) -> None:
    """ "A range past the end is cut to the object." """
    whole = random.Random(1).randbytes(300_000)
    theirs.put("one", whole)
    (file,) = await listed(store)
    reader = await store.open("one", file.tag, offset, length)
    assert reader.size == 300_000
    assert await content(reader) == whole[offset:][:length]


async def test_an_object_that_was_removed_is_not_found(theirs: Foreign, store: ForeignStore) -> None:
    """ "A missing object is `NotFound`." """
    theirs.put("one", b"1")
    theirs.put("two", b"2")
    file, _ = await listed(store)
    theirs.remove("one")
    with pytest.raises(NotFound):
        await store.open("one", file.tag)
    with pytest.raises(NotFound):
        await store.stat("one", file.tag)


async def test_an_object_that_was_changed_is_corrupt(theirs: Foreign, store: ForeignStore) -> None:
    """ "An object whose tag differs from the requested one is `Corrupt`" """
    theirs.put("one", b"before")
    (file,) = await listed(store)
    theirs.put("one", b"behind")
    with pytest.raises(Corrupt):
        await store.open("one", file.tag)
    with pytest.raises(Corrupt):
        await store.stat("one", file.tag)


async def test_a_store_that_is_gone_loses_no_objects(theirs: Foreign, store: ForeignStore) -> None:
    """ "A store that is away or refuses, even for one object only, is `DependencyUnavailable`." """
    theirs.put("one", b"1")
    (file,) = await listed(store)
    theirs.remove("one")
    theirs.remove_store()
    with pytest.raises(DependencyUnavailable):
        await store.check()
    for asking in (store.open("one", file.tag), store.stat("one", file.tag)):
        with pytest.raises(DependencyUnavailable):
            await asking


async def test_links_out_of_a_folder_are_not_followed(tmp_path: Path) -> None:
    """ "A key is a path relative to it, links are not followed." """
    (tmp_path / "secret").write_text("x")
    (root := tmp_path / "root").mkdir()
    (root / "file").write_text("y")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    store = ForeignFolder(root)
    (file,) = await listed(store)
    assert file.key == "file"
    for key in ("link", "../secret", "/etc/passwd", "", "a/../file", "file/"):
        with pytest.raises((NotFound, DependencyUnavailable)):
            await store.open(key, file.tag)
    await store.close()


async def test_a_bucket_that_does_not_know_the_keys_is_unavailable(theirs: Foreign) -> None:
    """ "A store that is away or refuses" """
    if theirs.bucket is None:
        pytest.skip("folders have no keys")
    bucket = S3Bucket(theirs.bucket.name, endpoint=theirs.bucket.endpoint, access_key="nobody", secret_key="nothing")
    store = await open_foreign_bucket(bucket, SystemClock())
    with pytest.raises(DependencyUnavailable):
        await listed(store)
    await store.close()
