"""Object stores beside the first one are looked at: a metric says which could be reached, the log when that changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gantry.common.clock import ManualClock, SystemClock
from gantry.common.config.load import load_settings
from gantry.common.errors import DependencyUnavailable
from gantry.common.telemetry.metrics import Metrics
from gantry.services.process.other_stores import LOOK_SECONDS, OtherStores, other_stores
from gantry.services.process.stores import Stores, open_stores


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[tuple[Path, Stores]]:
    """An archive with a folder of old images in place, and a second store for what is old."""
    (tmp_path / "old").mkdir()
    settings = tmp_path / "gantry.yaml"
    settings.write_text(
        f"data: {tmp_path}/data\n"
        f"storage: {{in_place: [{{name: old, url: 'file://{tmp_path}/old'}}]}}\n"
        f"tiers: {{stores: [{{name: cold, url: 'file://{tmp_path}/cold'}}]}}\n"
    )
    opened = await open_stores(load_settings(settings, {}), SystemClock())
    yield tmp_path, opened
    await opened.close()


def reached(metrics: Metrics, store: str) -> float | None:
    return metrics.registry.get_sample_value("gantry_store_reached", {"store": store})


async def test_a_store_that_goes_and_comes_back_is_seen_and_said_once(
    stores: tuple[Path, Stores], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, opened = stores
    metrics, clock = Metrics(), ManualClock()
    checks = other_stores(load_settings(folder / "gantry.yaml", {}), opened)
    assert set(checks) == {"old", "cold"}
    looking = asyncio.create_task(OtherStores(checks, clock, metrics).run())

    async def look() -> tuple[float | None, float | None]:
        clock.advance(LOOK_SECONDS)
        await asyncio.sleep(0.2)
        return reached(metrics, "old"), reached(metrics, "cold")

    assert await look() == (1, 1)
    (folder / "old").rename(folder / "unmounted")
    assert await look() == (0, 1)
    assert await look() == (0, 1)
    (folder / "unmounted").rename(folder / "old")
    assert await look() == (1, 1)
    looking.cancel()
    output = capsys.readouterr()
    lines = [line for line in (output.out + output.err).splitlines() if "object store is" in line]
    assert ["away" in line for line in lines] == [True, False], lines


async def test_a_store_that_never_answers_is_away_and_holds_no_other_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.services.process.other_stores._ANSWER_SECONDS", 0.1)

    async def silent() -> None:
        await asyncio.sleep(60)

    async def refusing() -> None:
        raise DependencyUnavailable("bucket", "access denied")

    async def fine() -> None:
        pass

    metrics = Metrics()
    checks = {"silent": silent, "refusing": refusing, "fine": fine}
    looking = asyncio.create_task(OtherStores(checks, SystemClock(), metrics).run())
    await asyncio.sleep(0.4)
    looking.cancel()
    assert {name: reached(metrics, name) for name in checks} == {"silent": 0, "refusing": 0, "fine": 1}
