"""Promise 1 for the file store: what was acknowledged is there and whole after `kill -9`, and nothing half is."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from tests.crash.survivors import acknowledged_before_a_kill, content_of


@pytest.mark.parametrize("seed", range(4))
async def test_acknowledged_objects_survive_a_kill(tmp_path: Path, seed: int) -> None:
    acknowledged: list[str] = []
    for n in range(2):
        seconds = random.Random(seed * 10 + n).uniform(0.0, 0.4)
        acknowledged += acknowledged_before_a_kill("tests.crash.files_child", tmp_path, seconds)
    store = await open_file_store(tmp_path, low_water=0)
    assert [p for p in (tmp_path / ".temp").rglob("*") if p.is_file()] == []
    keys = [stat.key async for stat in store.list()]
    assert set(acknowledged) <= set(keys)
    for key in keys:  # one that was not acknowledged may be there, but only whole
        assert (tmp_path / key).read_bytes() == content_of(key)
    await store.close()
