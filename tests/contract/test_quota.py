"""What an archive holds, found out from every object store that there is."""

from __future__ import annotations

import pytest

from gantry.common.clock import ManualClock
from gantry.common.errors import QuotaReached
from gantry.common.ids import FOLDER_MS, Receipt
from gantry.common.ports.blobs import BlobStore
from gantry.common.runtime.quota.counts import bytes_by_folder, newest_count, write_count
from gantry.common.runtime.quota.sums import StoredCount, folder_of
from gantry.common.runtime.quota.watching import Quota
from gantry.common.telemetry.metrics import Metrics
from tests.contract.conftest import OpenBlobStore

LIMIT = 100_000
_SLACK = 400
"""A store that encrypts takes some bytes more."""


def quota(objects: BlobStore, clock: ManualClock, metrics: Metrics | None = None, limit: int = LIMIT) -> Quota:
    return Quota(objects, clock, metrics or Metrics(), "default", limit, 3600.0)


async def put(objects: BlobStore, clock: ManualClock, size: int) -> Receipt:
    receipt = Receipt.at(clock.now_us())
    await objects.put(receipt.object_key("default"), [_noise(size)])
    return receipt


def _noise(size: int) -> bytes:
    """What a store that compresses makes hardly smaller."""
    state, out = 1, bytearray()
    while len(out) < size:
        state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        out += (state >> 24).to_bytes(5, "little")
    return bytes(out[:size])


async def test_the_newest_count_is_the_one_that_began_last(open_blob_store: OpenBlobStore) -> None:
    objects = await open_blob_store()
    assert await newest_count(objects) is None
    early, late = StoredCount(1_700_000_000_000_000, 9, 5), StoredCount(1_700_000_100_000_000, 8, 6)
    await write_count(objects, late)
    await write_count(objects, early)
    assert await newest_count(objects) == late
    await write_count(objects, late)
    assert [stat.key async for stat in objects.list("state/quota/")] != []
    assert await newest_count(objects) == late
    await objects.put(f"state/quota/{Receipt.at(1_700_000_200_000_000).id}.json", [b'{"of": "a later release"}'])
    assert await newest_count(objects) == late
    await objects.close()


async def test_bytes_are_found_by_folder_without_what_lies_elsewhere(open_blob_store: OpenBlobStore) -> None:
    objects, clock = await open_blob_store(), ManualClock()
    first = folder_of(clock.now_us())
    await put(objects, clock, 1000)
    await put(objects, clock, 2000)
    await objects.put(Receipt.at(clock.now_us()).reference_key("default"), [bytes(300)])
    await objects.put("facts/default/x/y.seg", [bytes(300)])
    await objects.put("objects/default/foreign.bin", [bytes(300)])
    clock.advance(20 * FOLDER_MS / 1000)
    await put(objects, clock, 5000)
    sums = await bytes_by_folder(objects, "default", first, first + 19)
    assert list(sums) == [first]
    assert 3000 <= sums[first] <= 3000 + _SLACK
    sums = await bytes_by_folder(objects, "default", first + 1, first + 20)
    assert list(sums) == [first + 20]
    assert 5000 <= sums[first + 20] <= 5000 + _SLACK
    await objects.close()


async def test_processes_know_what_others_stored_and_forget_nothing_when_they_start_again(
    open_blob_store: OpenBlobStore,
) -> None:
    objects, clock, metrics = await open_blob_store(), ManualClock(), Metrics()
    await write_count(objects, StoredCount(clock.now_us(), clock.now_us(), 50_000))
    first, second = quota(objects, clock), quota(objects, clock, metrics)
    for process in (first, second):
        await process.look()
        assert process.refuses() is None
    ended = first.reserve(30_000)
    ended(await put(objects, clock, 30_000))
    assert first.stand().used == 80_000
    with pytest.raises(QuotaReached):
        first.reserve(20_001)
    assert second.stand().used == 50_000
    await second.look()
    assert 80_000 <= second.stand().used <= 80_000 + _SLACK
    assert metrics.quota_used_bytes._value.get() == second.stand().used
    clock.advance(3 * FOLDER_MS / 1000)
    await put(objects, clock, 20_000)  # by a process that is gone
    again = quota(objects, clock)
    await again.look()
    assert again.refuses() is not None
    # A count of less, which began long after what was stored.
    clock.advance(7200)
    await write_count(objects, StoredCount(clock.now_us(), clock.now_us(), 60_000))
    await again.look()
    assert (again.refuses(), again.stand().used) == (None, 60_000)
    await objects.close()


async def test_a_count_that_is_old_or_not_there_is_said(open_blob_store: OpenBlobStore) -> None:
    objects, clock = await open_blob_store(), ManualClock()
    process = quota(objects, clock)
    assert not process.stand().listed
    await put(objects, clock, 1000)
    await process.look()
    stand = process.stand()
    assert (stand.counted_at, stand.listed) == (0, True)
    assert stand.used >= 1000
    await write_count(objects, StoredCount(clock.now_us(), clock.now_us(), 7))
    await process.look()
    assert not process.stand().late
    clock.advance(2 * 3600 + 3601)
    assert process.stand().late
    await objects.close()
