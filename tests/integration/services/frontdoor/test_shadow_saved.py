"""Counts of shadow mode, as they are saved."""

from __future__ import annotations

from pathlib import Path

from gantry.common.adapters.files import open_file_store
from gantry.common.clock import ManualClock
from gantry.common.errors import DependencyUnavailable
from gantry.common.ports.blobs import BlobStore
from gantry.common.telemetry.metrics import Metrics
from gantry.services.frontdoor.shadow.keeping import Keeper, saved
from gantry.services.frontdoor.shadow.recording import Recorder
from gantry.services.frontdoor.shadow.tally import added_up
from tests.integration.common.net.conftest import FAST, Echo, eventually, start  # noqa: F401

# ---- what is saved


async def test_counts_are_saved_and_those_of_long_ago_removed(tmp_path: Path) -> None:
    store, clock = await open_file_store(tmp_path), ManualClock()
    await store.put("state/shadow/2020-01-01/old.json", [b"{}"])
    recorder = Recorder(clock, Metrics())

    async def opened() -> BlobStore:
        return store

    keeper = Keeper(opened, recorder, clock, 30)
    recorder.not_mirrored("C-MOVE")
    await keeper.save()
    clock.advance(24 * 3600)
    recorder.not_mirrored("C-MOVE")
    await keeper.save()
    await keeper.save()
    whole = added_up([record async for record in saved(store)])
    assert (whole.not_mirrored["C-MOVE"], len(whole.days)) == (2, 2)
    keys = [stat.key async for stat in store.list("state/shadow/")]
    assert len(keys) == 2
    assert len([record async for record in saved(store, max(whole.days))]) == 1
    assert len(recorder.days) == 1, "days that are over and saved are not held"
    await store.put("state/shadow/2020-01-03/later.json", [b'{"version": 2}'])
    assert len([record async for record in saved(store)]) == 2, "what another release wrote is passed over"
    await store.close()


async def test_counts_wait_for_a_store_that_is_away(tmp_path: Path) -> None:
    store, clock = await open_file_store(tmp_path), ManualClock()
    recorder, away = Recorder(clock, Metrics()), True

    async def opened() -> BlobStore:
        if away:
            raise DependencyUnavailable("away")
        return store

    keeper = Keeper(opened, recorder, clock, 30)
    recorder.not_mirrored("C-MOVE")
    await keeper.save()
    assert recorder.unsaved
    away = False

    async def full(*_: object) -> None:
        raise DependencyUnavailable("full")

    put, store.put = store.put, full  # type: ignore[method-assign,assignment]
    await keeper.save()
    assert recorder.unsaved
    store.put = put  # type: ignore[method-assign]
    await keeper.save()
    assert [record.not_mirrored["C-MOVE"] async for record in saved(store)] == [1]
    await store.close()
