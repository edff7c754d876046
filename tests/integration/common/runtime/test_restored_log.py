"""Whether the log was restored, on a real bucket, with time controlled by the test."""

from __future__ import annotations

from pathlib import Path

from gantry.common.adapters.files import open_file_store
from gantry.common.clock import ManualClock
from gantry.common.runtime.restored_log import RestoredLog


async def test_last_restore_counts_and_is_known_within_seconds_elsewhere(tmp_path: Path) -> None:
    objects, clock = await open_file_store(tmp_path), ManualClock()
    ours, other = RestoredLog(objects, clock), RestoredLog(objects, clock)
    await objects.put("state/restored/something", [b"x"])
    assert await other.last_ms() == 0
    await ours.note()
    clock.advance(5)
    assert await other.last_ms() == 0
    await ours.note()
    last = clock.now_us() // 1000
    clock.advance(6)
    assert await other.last_ms() == await ours.last_ms() == last
    await objects.close()


async def test_restore_that_began_and_did_not_end_was_broken_off(tmp_path: Path) -> None:
    objects, clock = await open_file_store(tmp_path), ManualClock()
    restored = RestoredLog(objects, clock)
    assert not await restored.broken_off()
    await restored.note(begun=True)
    # Sorts behind all of ours.
    await objects.put("state/restored/something", [b"x"])
    assert await restored.broken_off()
    clock.advance(1)
    begun = clock.now_us() // 1000
    await restored.note(begun=True)
    assert await RestoredLog(objects, clock).last_ms() == begun
    clock.advance(1)
    await restored.note()
    assert not await restored.broken_off()
    await objects.close()
