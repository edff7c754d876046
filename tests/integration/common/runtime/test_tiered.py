"""An object is read where it is: several real stores as one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.errors import NotFound
from gantry.common.ports.blobs import BlobStat, BlobStore, Part, read_whole
from gantry.common.runtime.tiered import TieredStore


def key(number: int) -> str:
    return f"objects/default/0000000/{number:032x}.dcm"


@pytest.fixture
async def tiers(tmp_path: Path) -> AsyncIterator[TieredStore]:
    hot, cold, deep = [await open_file_store(tmp_path / name, low_water=0) for name in ("hot", "cold", "deep")]
    store = TieredStore(hot, {"cold": cold, "deep": deep})
    yield store
    await store.close()


async def laid(tiers: TieredStore) -> None:
    """Objects 1 to 6, in turn in one store each; 7 in two."""
    for number in range(1, 7):
        store = list(tiers.stores.values())[number % 3]
        await store.put(key(number), [bytes([number]) * 10])
    for store in (tiers.stores["cold"], tiers.stores["deep"]):
        await store.put(key(7), [bytes([7]) * 10])


async def test_what_arrives_goes_to_the_first_store(tiers: TieredStore) -> None:
    await tiers.put(key(1), [b"one"])
    writer = tiers.writer(key(2))
    await writer.write(b"two")
    await writer.commit()
    assert [stat async for stat in tiers.hot.list("objects/")] == [BlobStat(key(1), 3), BlobStat(key(2), 3)]
    assert await tiers.where(key(1)) == {"hot": BlobStat(key(1), 3)}


async def test_an_object_is_read_wherever_it_lies(tiers: TieredStore) -> None:
    await laid(tiers)
    for number in range(1, 8):
        assert await read_whole(tiers, key(number)) == bytes([number]) * 10
        assert await tiers.stat(key(number)) == BlobStat(key(number), 10)
        reader = await tiers.open(key(number), 4, 3)
        buffer = memoryview(bytearray(3))
        assert (await reader.readinto([buffer]), bytes(buffer)) == (3, bytes([number]) * 3)
        await reader.close()
    parts = [Part(key(number), 2, 20 if number == 4 else 3) for number in (6, 1, 7, 4, 1)]
    assert await tiers.read(parts) == [bytes([n]) * (8 if n == 4 else 3) for n in (6, 1, 7, 4, 1)]
    assert await tiers.read([]) == []


async def test_what_is_nowhere_is_missing(tiers: TieredStore) -> None:
    await laid(tiers)
    with pytest.raises(NotFound):
        await tiers.open(key(9))
    with pytest.raises(NotFound):
        await tiers.stat(key(9))
    with pytest.raises(NotFound):
        await tiers.read([Part(key(1), 0, 1), Part(key(9), 0, 1)])
    assert await tiers.where(key(9)) == {}


async def test_only_objects_are_looked_for_elsewhere(tiers: TieredStore) -> None:
    await tiers.stores["cold"].put("facts/default/1.seg", [b"no"])
    with pytest.raises(NotFound):
        await tiers.open("facts/default/1.seg")
    assert [stat async for stat in tiers.list("facts/")] == []
    assert await tiers.where("facts/default/1.seg") != {}


async def test_all_are_listed_once_in_order_with_all_their_copies(tiers: TieredStore) -> None:
    await laid(tiers)
    await tiers.put("facts/default/1.seg", [b"yes"])
    assert [stat.key async for stat in tiers.list("objects/")] == [key(number) for number in range(1, 8)]
    assert [stat.key async for stat in tiers.list()] == ["facts/default/1.seg", *map(key, range(1, 8))]
    assert [stat.key async for stat in tiers.list(key(3))] == [key(3)]
    copies = [sorted(group) async for group in tiers.copies()]
    assert copies == [["cold"], ["deep"], ["hot"], ["cold"], ["deep"], ["hot"], ["cold", "deep"]]


async def test_what_is_deleted_is_deleted_everywhere(tiers: TieredStore) -> None:
    await laid(tiers)
    for number in range(1, 9):
        await tiers.delete(key(number))
    assert [stat async for stat in tiers.copies()] == []


@pytest.mark.parametrize(("source", "target"), [("hot", "cold"), ("cold", "hot"), ("deep", "cold"), ("cold", "deep")])
async def test_a_copy_that_is_made_while_its_object_is_deleted_does_not_stay(
    tmp_path: Path, source: str, target: str
) -> None:
    """Whoever copies looks for the original afterwards: either it is gone, or the deletion still comes to the copy,
    at whatever moment of the deletion the copy is made."""
    opened = {name: await open_file_store(tmp_path / name, low_water=0) for name in ("hot", "cold", "deep")}
    for moment in range(6):
        deleted = 0
        tiers = TieredStore(opened["hot"], {"cold": opened["cold"], "deep": opened["deep"]})

        async def copied(tiers: TieredStore = tiers) -> None:
            await tiers.stores[target].put(key(1), [b"one"])
            try:
                await tiers.stores[source].stat(key(1))
            except NotFound:
                await tiers.stores[target].delete(key(1))

        async def deleting(name: str, store: BlobStore, now: int = moment) -> None:
            nonlocal deleted
            if deleted == now:
                await copied()
            deleted += 1
            await store.delete(key(1))

        await opened[source].put(key(1), [b"one"])
        await _delete_with(tiers, deleting)
        if moment >= deleted:
            await copied()
        assert await tiers.where(key(1)) == {}, moment
    for store in opened.values():
        await store.close()


async def _delete_with(tiers: TieredStore, deleting: object) -> None:
    """`tiers.delete`, with `deleting` in the place of the deletion from each store."""

    class Watched:
        def __init__(self, name: str, store: BlobStore) -> None:
            self.name, self.store = name, store

        async def delete(self, _: str) -> None:
            await deleting(self.name, self.store)  # type: ignore[operator]

    hot, *others = [Watched(name, store) for name, store in tiers.stores.items()]
    watched = TieredStore(hot, {store.name: store for store in others})  # type: ignore[arg-type, misc]
    await watched.delete(key(1))
