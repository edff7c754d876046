"""What holds patients' data is for its owner and group alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.services.process.stores import open_stores


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    paths = [folder, *folder.rglob("*")]
    return [str(path.relative_to(folder)) for path in paths if path.stat().st_mode & 0o027]


@pytest.mark.parametrize("existing", [False, True])
async def test_stores_are_not_open_to_others(tmp_path: Path, existing: bool) -> None:
    data = tmp_path / "data"
    if existing:  # made by an earlier release
        data.mkdir(0o750)
        for name in ("log.db", "index.db"):
            (data / name).touch(0o644)
    stores = await open_stores(Settings(data=data), SystemClock())
    try:
        await stores.objects.put("objects/1", [b"abc"])
        await stores.log.check()
        await stores.index.check()
        assert open_to_others(data) == []
    finally:
        await stores.close()
    assert open_to_others(data) == []
