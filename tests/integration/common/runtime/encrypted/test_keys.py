"""The data keys of a store: when one is created, when it is read again, and how they are wrapped again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.files.store import FileStore
from gantry.common.adapters.key_file import KeyFile
from gantry.common.clock import ManualClock
from gantry.common.errors import DependencyUnavailable, KeyWithheld
from gantry.common.ports.blobs import read_whole
from gantry.common.ports.keys import NewKey
from gantry.common.runtime.encrypted.keys import DataKeys
from gantry.common.runtime.encrypted.store import EncryptedStore
from gantry.services.process.key_services import add_key

HOUR, DAY = 3600.0, 24 * 3600.0


class Counting:
    """A key service in front of a file of keys that counts what it is asked, and is away when it is told to."""

    def __init__(self, file: Path) -> None:
        self.file = KeyFile(file)
        self.opened = self.made = 0
        self.away: DependencyUnavailable | None = None

    async def new(self, purpose: str) -> NewKey:
        self._answer()
        self.made += 1
        return await self.file.new(purpose)

    async def open(self, wrapped: bytes, wrapping_key: str, purpose: str) -> bytes:
        self._answer()
        self.opened += 1
        return await self.file.open(wrapped, wrapping_key, purpose)

    async def wrap_anew(self, wrapped: bytes, wrapping_key: str, purpose: str) -> tuple[bytes, str]:
        self._answer()
        return await self.file.wrap_anew(wrapped, wrapping_key, purpose)

    async def current(self) -> str:
        return await self.file.current()

    async def close(self) -> None:
        await self.file.close()

    def _answer(self) -> None:
        if self.away is not None:
            raise self.away


@pytest.fixture
async def below(tmp_path: Path) -> FileStore:
    return await open_file_store(tmp_path / "objects", low_water=0)


@pytest.fixture
def service(tmp_path: Path) -> Counting:
    add_key(tmp_path / "keys", "first")
    return Counting(tmp_path / "keys")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(below: FileStore, service: Counting, clock: ManualClock) -> EncryptedStore:
    return EncryptedStore(below, DataKeys(below, service, clock))


async def places(below: FileStore) -> list[str]:
    return [stat.key async for stat in below.list("state/keys/")]


async def test_a_day_has_one_data_key_whoever_writes(
    store: EncryptedStore, below: FileStore, service: Counting, clock: ManualClock
) -> None:
    for hour in range(30):
        another = EncryptedStore(below, DataKeys(below, service, clock))
        for n, objects in enumerate((store, another)):
            await objects.put(f"a/{hour}/{n}", [b"x"])
        clock.advance(HOUR)
    assert service.made == len(await places(below)) == 2


async def test_a_key_is_asked_for_once_an_hour(store: EncryptedStore, service: Counting, clock: ManualClock) -> None:
    await store.put("a/b", [b"x"])
    for minutes in range(150):
        assert await read_whole(store, "a/b") == b"x"
        assert service.opened == minutes // 60
        clock.advance(60)


async def test_a_service_that_is_away_disturbs_nobody_for_a_day(
    store: EncryptedStore, service: Counting, clock: ManualClock
) -> None:
    await store.put("a/b", [b"x"])
    service.away = DependencyUnavailable("key service", "away")
    for hour in range(20):
        assert await read_whole(store, "a/b") == b"x"
        await store.put(f"a/{hour}", [b"x"])
        clock.advance(HOUR)
    clock.advance(DAY)
    with pytest.raises(DependencyUnavailable):
        await read_whole(store, "a/b")
    service.away = None
    assert await read_whole(store, "a/b") == b"x"


async def test_a_key_that_is_withheld_is_forgotten_within_an_hour(
    store: EncryptedStore, service: Counting, clock: ManualClock
) -> None:
    await store.put("a/b", [b"x"])
    service.away = KeyWithheld("disabled")
    clock.advance(HOUR + 1)
    for _ in range(2):
        with pytest.raises(KeyWithheld):
            await read_whole(store, "a/b")


async def test_what_is_written_does_not_wait_for_a_key_that_was_withdrawn(
    store: EncryptedStore, below: FileStore, service: Counting, clock: ManualClock, tmp_path: Path
) -> None:
    await store.put("a/b", [b"x"])
    add_key(tmp_path / "keys", "second")
    keys = tmp_path / "keys"
    keys.write_text("".join(line for line in keys.read_text().splitlines(True) if line.startswith("second ")))
    clock.advance(HOUR + 1)
    await asyncio.gather(*(store.put(f"a/{n}", [b"y"]) for n in range(5)))
    assert [await read_whole(store, f"a/{n}") for n in range(5)] == [b"y"] * 5
    assert len(await places(below)) == 2
    with pytest.raises(KeyWithheld):
        await read_whole(store, "a/b")


async def test_where_no_key_can_be_had_nothing_is_written(
    store: EncryptedStore, below: FileStore, service: Counting
) -> None:
    service.away = DependencyUnavailable("key service", "away")
    with pytest.raises(DependencyUnavailable):
        await store.put("a/b", [b"x"])
    writer = store.writer("a/c")
    with pytest.raises(DependencyUnavailable):
        await writer.write(b"x")
    await writer.abort()
    with pytest.raises(DependencyUnavailable):
        await store.check()
    assert [stat async for stat in below.list()] == []


async def test_keys_are_wrapped_anew_and_no_object_is_touched(
    store: EncryptedStore, below: FileStore, service: Counting, clock: ManualClock, tmp_path: Path
) -> None:
    for n in range(3):
        await store.put(f"a/{n}", [b"x"])
        clock.advance(DAY)
    before = {stat.key: await read_whole(below, stat.key) async for stat in below.list("a/")}
    add_key(tmp_path / "keys", "second")
    for key in [key async for key in store.keys.pages()]:
        assert key.wrapping_key == "first"
        await store.keys.wrap_anew(key)
    assert [(key.wrapping_key, key.generation) async for key in store.keys.pages()] == [("second", 1)] * 3
    assert len(await places(below)) == 3
    assert {stat.key: await read_whole(below, stat.key) async for stat in below.list("a/")} == before
    keys = tmp_path / "keys"
    keys.write_text("".join(line for line in keys.read_text().splitlines(True) if line.startswith("second ")))
    another = EncryptedStore(below, DataKeys(below, KeyFile(keys), clock))
    assert [await read_whole(another, f"a/{n}") for n in range(3)] == [b"x"] * 3


async def test_what_a_broken_off_run_left_is_read_and_taken_away(
    store: EncryptedStore, below: FileStore, service: Counting, tmp_path: Path, clock: ManualClock
) -> None:
    await store.put("a/b", [b"x"])
    (place,) = await places(below)
    wrapped = await read_whole(below, place)
    add_key(tmp_path / "keys", "second")
    (key,) = [key async for key in store.keys.pages()]
    anew = await store.keys.wrap_anew(key)
    await below.put(place, [wrapped])  # as if it had been killed before it removed this one
    assert await read_whole(EncryptedStore(below, DataKeys(below, service, clock)), "a/b") == b"x"
    assert [key.generation async for key in store.keys.pages()] == [1]
    assert await store.keys.remove_replaced(anew) == 1
    assert await places(below) == [anew.place]
