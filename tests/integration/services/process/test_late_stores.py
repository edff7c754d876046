"""`gantry.services.process.late_stores`: what can work works while a store is away at the start, and the store is used
when it comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.common.clock import ManualClock, SystemClock
from gantry.common.config.settings import Settings
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query
from gantry.common.errors import ConfigError, DependencyUnavailable
from gantry.common.events import TOPICS, InstanceStored
from gantry.services.process.late_stores import Late
from gantry.services.process.stores import open_stores

KEY = "objects/1"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def block(data: Path, name: str) -> Path:
    """Put something in the place of a store that it cannot be opened over."""
    path = data / name
    if name == "objects":
        path.write_text("not a folder")
    else:
        path.mkdir()
    return path


def unblock(path: Path) -> None:
    path.unlink() if path.is_file() else path.rmdir()


async def test_index_that_is_away_holds_off_questions_only(data: Path) -> None:
    blocked = block(data, "index.db")
    stores = await open_stores(Settings(data=data), SystemClock(), wait=True)
    try:
        assert [late.name for late in stores.late] == ["index"]
        await stores.objects.put(KEY, [b"abc"])
        assert (await stores.objects.stat(KEY)).size == 3
        for question in (stores.index.find, stores.index.locate):
            with pytest.raises(DependencyUnavailable, match="index unavailable"):
                async for _ in question(Query("default", Level.STUDY)):
                    pass
        with pytest.raises(DependencyUnavailable):
            await stores.index.check()
        unblock(blocked)
        await stores.late[0].keep_trying()
        await stores.index.check()
        assert [page async for page in stores.index.find(Query("default", Level.STUDY))] == []
    finally:
        await stores.close()


async def test_object_store_that_is_away_holds_off_objects_only(data: Path) -> None:
    blocked = block(data, "objects")
    stores = await open_stores(Settings(data=data), SystemClock(), wait=True)
    try:
        await stores.index.check()
        await stores.log.check()
        writer = stores.objects.writer(KEY)  # a service asks for one while bytes come in: it is told when it writes
        with pytest.raises(DependencyUnavailable, match="object store"):
            await writer.write(b"abc")
        await writer.abort()
        with pytest.raises(DependencyUnavailable):
            await stores.objects.open(KEY)
        unblock(blocked)
        await stores.late[0].keep_trying()
        await stores.objects.put(KEY, [b"abc"])
    finally:
        await stores.close()


async def test_consumer_that_was_made_before_its_log_works_with_it(data: Path) -> None:
    blocked = block(data, "log.db")
    stores = await open_stores(Settings(data=data), SystemClock(), wait=True)
    try:
        consumer = stores.log.consumer("group", [TOPICS[InstanceStored].name])
        with pytest.raises(DependencyUnavailable, match="event log"):
            await consumer.__aenter__()
        unblock(blocked)
        await stores.late[0].keep_trying()
        async with consumer:
            pass
        assert await stores.log.lag("group") is not None
    finally:
        await stores.close()


async def test_commands_do_not_wait(data: Path) -> None:
    block(data, "index.db")
    with pytest.raises(DependencyUnavailable, match="index"):
        await open_stores(Settings(data=data), SystemClock())


async def test_url_of_no_store_is_refused_whether_or_not_one_waits(data: Path) -> None:
    settings = Settings.model_validate({"data": data, "storage": {"index": "ftp://x"}})
    for wait in (False, True):
        with pytest.raises(ConfigError, match="opensearch://"):
            await open_stores(settings, SystemClock(), wait=wait)


async def test_tries_come_at_growing_distances() -> None:
    clock, tries = ManualClock(), []

    async def open_() -> object:
        tries.append(clock.monotonic())
        raise DependencyUnavailable("index", "away")

    late: Late = Late("index", open_, clock)
    assert await late.first_try() is None
    with pytest.raises(DependencyUnavailable, match="away"):
        late.get()
    assert len(tries) == 1
