"""The stream of changes over real connections, from a real log."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.events import INDEXED
from gantry.common.ports.log import EventLog
from gantry.common.tasks import end_tasks
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.server import WebServer
from gantry.services.query import changes as changes_module
from gantry.services.query.app import build_web
from gantry.services.query.changes import ChangeListener, ChangeReader
from gantry.services.query.coalescing import StudyChange, cursor_text
from tests.support.facts import stored
from tests.support.following import indexed


@dataclass
class Stream:
    """What one listener has heard."""

    response: aiohttp.ClientResponse
    studies: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    last: str = ""
    comments: int = 0
    at: list[float] = field(default_factory=list)

    async def read(self) -> None:
        kind = ""
        async for raw in self.response.content:
            name, _, value = raw.decode().rstrip("\n").partition(":")
            if name == "id":
                self.last = value.strip()
            elif name == "event":
                kind = value.strip()
                self.kinds.append(kind)
            elif name == "data" and kind == "study":
                change: dict[str, Any] = json.loads(value)
                assert change["what"] == "stored"
                self.studies.append(change["StudyInstanceUID"])
                self.at.append(asyncio.get_running_loop().time())
            elif raw == b":\n":
                self.comments += 1

    async def heard(self, count: int) -> list[str]:
        async with asyncio.timeout(10):
            while len(self.studies) < count:
                await asyncio.sleep(0.01)
        return self.studies


@dataclass
class Site:
    client: aiohttp.ClientSession
    log: EventLog
    changes: ChangeReader
    server: WebServer

    async def store(self, *studies: str) -> None:
        """Append, and let the indexers pass it."""
        await self.log.append(*(stored(n, study) for n, study in enumerate(studies)))
        await self.index()

    async def index(self) -> None:
        async with self.log.consumer("indexer", list(INDEXED)) as consumer:
            while not await indexed(self.log):
                await consumer.commit(await consumer.poll())

    @asynccontextmanager
    async def listening(self, **headers: str) -> AsyncIterator[Stream]:
        async with self.client.get("/dicom-web/changes/studies", headers=headers) as response:
            assert response.status == 200, await response.text()
            assert response.content_type == "text/event-stream"
            stream = Stream(response)
            reading = asyncio.create_task(stream.read())
            async with asyncio.timeout(10):
                while not stream.last:
                    await asyncio.sleep(0.01)
            try:
                yield stream
            finally:
                await end_tasks(reading)
                response.close()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    log, index = await open_sqlite_log(tmp_path / "log.db", SystemClock()), await open_sqlite_index(tmp_path / "i.db")
    changes = ChangeReader(log, most=3)
    server = WebServer("127.0.0.1", 0, {}, AccessControl(Tokens(None)))
    server.serve(build_web(index, None, changes))
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
        yield Site(client, log, changes, server)
    await server.close()
    await changes.close()
    await index.close()
    await log.close()


async def test_a_study_is_told_once_it_is_searchable_and_not_before(site: Site) -> None:
    await site.store("1.1")
    async with site.listening() as stream:
        await site.log.append(stored(1, "1.2"))
        await asyncio.sleep(0.6)
        assert stream.studies == []
        begun = asyncio.get_running_loop().time()
        await site.index()
        assert await stream.heard(1) == ["1.2"]
        assert stream.at[0] - begun < 2.0


async def test_a_study_of_a_thousand_images_is_told_a_few_times(site: Site) -> None:
    async with site.listening() as stream:
        for _ in range(10):
            await site.store(*["1.2"] * 100, "1.3")
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.5)
        assert 2 <= stream.studies.count("1.2") <= 4
        moments = [at for at, study in zip(stream.at, stream.studies, strict=True) if study == "1.2"]
        assert all(later - earlier > 0.9 for earlier, later in itertools.pairwise(moments))


@pytest.mark.parametrize("how", ["header", "parameter"])
async def test_a_listener_that_comes_back_is_told_what_it_missed(site: Site, how: str) -> None:
    await site.store("1.0")
    async with site.listening() as stream:
        await site.store("1.1")
        await stream.heard(1)
        last = stream.last
    await site.store("1.2", "1.3", "1.2")
    if how == "header":
        async with site.listening(**{"Last-Event-ID": last}) as stream:
            await stream.heard(2)
            await site.store("1.4")
            assert await stream.heard(3) == ["1.2", "1.3", "1.4"]
    else:
        async with site.client.get("/dicom-web/changes/studies", params={"since": last}) as response:
            stream = Stream(response)
            reading = asyncio.create_task(stream.read())
            assert await stream.heard(2) == ["1.2", "1.3"]
            await end_tasks(reading)


async def test_whoever_missed_too_much_or_comes_from_another_log_is_told_to_begin_anew(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site.listening() as stream:
        last = stream.last
    await site.store("1.1", "1.2", "1.3")
    monkeypatch.setattr(changes_module, "MOST_MISSED", 2)
    for cursor in (last, cursor_text({0: 1_000_000})):
        async with site.listening(**{"Last-Event-ID": cursor}) as stream:
            await site.store("1.9")
            assert await stream.heard(1) == ["1.9"]
            assert stream.kinds == ["reset", "study"]


async def test_a_cursor_that_is_none_is_refused_in_words(site: Site) -> None:
    async with site.client.get("/dicom-web/changes/studies?since=nonsense") as response:
        assert (response.status, "cursor" in await response.text()) == (400, True)


async def test_no_more_listen_than_may(site: Site) -> None:
    async with site.listening(), site.listening(), site.listening() as third:
        async with site.client.get("/dicom-web/changes/studies") as response:
            assert (response.status, "Retry-After" in response.headers) == (503, True)
        await site.store("1.1")
        assert await third.heard(1) == ["1.1"]
    async with asyncio.timeout(10):
        while site.changes._tasks:  # nobody listens, nobody reads
            await asyncio.sleep(0.01)
    async with site.listening():
        pass


async def test_one_reader_feeds_all(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    followed = 0
    follow = type(site.log).follow

    def counted(self: Any, *arguments: Any) -> Any:
        nonlocal followed
        followed += 1
        return follow(self, *arguments)

    monkeypatch.setattr(type(site.log), "follow", counted)
    async with site.listening() as first, site.listening() as second:
        await site.store("1.1")
        assert await first.heard(1) == await second.heard(1) == ["1.1"]
    assert followed == 1


async def test_a_connection_in_silence_has_a_heartbeat(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.services.query.change_stream.HEARTBEAT_SECONDS", 0.05)
    async with site.listening() as stream:
        await asyncio.sleep(0.5)
        assert stream.comments >= 3


async def test_streams_end_when_the_process_drains(site: Site) -> None:
    async with site.client.get("/dicom-web/changes/studies") as response:
        async with asyncio.timeout(5):
            await response.content.readline()
            await site.server.drain()
            await response.read()  # to its end, not cut


async def test_a_listener_that_is_too_slow_is_dropped_and_the_others_are_not(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes_module, "MOST_WAITING", 2)
    dropped: list[bool] = []
    async with site.listening() as stream:
        site.changes._listeners.add(ChangeListener({0: 0}, lambda: dropped.append(True)))
        for number in range(4):
            site.changes._publish([StudyChange(f"1.{number}", {0: number})])
            await stream.heard(number + 1)
        assert stream.studies == ["1.0", "1.1", "1.2", "1.3"]
    assert dropped == [True]


async def test_however_many_studies_come_at_once_nobody_who_waits_is_dropped(site: Site) -> None:
    async with site.listening() as stream:
        await site.store(*[f"1.2.{number}" for number in range(2500)])
        assert sorted(await stream.heard(2500)) == sorted(f"1.2.{number}" for number in range(2500))


async def test_without_a_log_nobody_waits_for_ever(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_module, "_START_SECONDS", 0.2)

    async def nothing(*arguments: Any) -> AsyncIterator[Any]:
        await asyncio.sleep(3600)
        yield

    monkeypatch.setattr(type(site.log), "follow", nothing)
    async with site.client.get("/dicom-web/changes/studies") as response:
        assert response.status == 503
