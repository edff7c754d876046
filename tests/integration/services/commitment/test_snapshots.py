"""Snapshots of transactions: durable, checked, and any of them will do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gantry.common.adapters.files import FileStore, open_file_store
from gantry.common.clock import ManualClock
from gantry.common.errors import Corrupt
from gantry.services.commitment.snapshots import ROOT, Snapshots, pack, unpack
from gantry.services.commitment.transactions import Snapshot

ONE = Snapshot(1_700_000_000_000_000, frozenset({b"\x00" * 8, b"\xff" * 8}), {b"reported": 1_700_000_000_000_001})


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FileStore]:
    opened = await open_file_store(tmp_path / "objects", low_water=0)
    yield opened
    await opened.close()


async def keys(store: FileStore) -> list[str]:
    return [stat.key async for stat in store.list(ROOT)]


def test_snapshot_is_read_as_it_was_written() -> None:
    assert unpack(pack(ONE)) == ONE
    assert unpack(pack(Snapshot(0))) == Snapshot(0)


def test_every_damaged_byte_is_noticed() -> None:
    whole = pack(ONE)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        with pytest.raises(Corrupt):
            unpack(bytes(damaged))
    for length in (0, 5, 74, 75, len(whole) - 1):
        with pytest.raises(Corrupt):
            unpack(whole[:length])


async def test_newest_snapshot_is_the_one_that_is_read_and_few_are_kept(store: FileStore) -> None:
    clock = ManualClock()
    snapshots = Snapshots(store, clock)
    assert await snapshots.latest() is None
    for number in range(6):
        clock.advance(1)
        await snapshots.write(Snapshot(number))
        assert await Snapshots(store, clock).latest() == Snapshot(number)
    assert len(await keys(store)) == 3


async def test_older_snapshot_is_read_where_the_newest_is_damaged(store: FileStore, tmp_path: Path) -> None:
    clock = ManualClock()
    snapshots = Snapshots(store, clock)
    for number in (1, 2):
        clock.advance(1)
        await snapshots.write(Snapshot(number))
    older, newest = await keys(store)
    for key in (newest, older):
        path = tmp_path / "objects" / key
        path.write_bytes(path.read_bytes()[:-1])
        assert await snapshots.latest() == (Snapshot(1) if key == newest else None)
