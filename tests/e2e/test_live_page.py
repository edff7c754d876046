"""What the page asks for, of a whole archive: on embedded stores, in the cluster, and through the front door with two
processes of each role behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.conftest import Site
from tests.e2e.test_door import opened
from tests.support import waiting as asking
from tests.support.objects import data_set, write
from tests.support.ports import free_port
from tests.support.receiver import Receiver


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    ports = {"MODALITY": free_port(), "DEST": free_port()}
    archive = opened(tmp_path_factory.mktemp("door"), ports, scale={"query": 2, "retrieve": 2})
    try:
        yield Site(archive, ports)
    finally:
        archive.stop()


def stored(site: Site, folder: Path, study: str, count: int, **more: object) -> None:
    objects = [
        data_set(study=study, series=f"{study}.1", instance=f"{study}.1.{n}", number=n, **more)  # type: ignore[arg-type]
        for n in range(count)
    ]
    asking.store(site.modality, [write(folder / f"{study}.{n}", dataset) for n, dataset in enumerate(objects)])


@asynccontextmanager
async def client_of(site: Site) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{site.archive.http_port}") as client:
        yield client


async def told(response: aiohttp.ClientResponse, study: str, seconds: float = 10.0) -> dict[str, Any]:
    """The next event of a study, with its id."""
    event: dict[str, Any] = {}
    async with asyncio.timeout(seconds):
        async for raw in response.content:
            name, _, value = raw.decode().strip().partition(":")
            if name in ("id", "event"):
                event[name] = value.strip()
            elif name == "data" and json.loads(value).get("StudyInstanceUID") == study:
                return {**event, **json.loads(value)}
    raise AssertionError("the stream ended")


async def count(client: aiohttp.ClientSession, query: str) -> int:
    async with client.get(f"/dicom-web/studies/count?{query}") as response:
        return int((await response.json())["count"])


async def scenario(site: Site, folder: Path) -> None:
    """Listen, store, hear of it, find it in its place, send it, come back and hear what was missed."""
    folder.mkdir()
    async with client_of(site) as client:
        async with client.get("/dicom-web/changes/studies", timeout=aiohttp.ClientTimeout(total=None)) as stream:
            assert (stream.status, stream.content_type) == (200, "text/event-stream")
            await asyncio.to_thread(stored, site, folder, "1.77.1", 3, name="Live^Page", StudyDate="20300101")
            event = await told(stream, "1.77.1")
            assert (event["event"], event["what"]) == ("study", "stored")
            # What was told can be found.
            assert await count(client, "StudyInstanceUID=1.77.1") == 1
        await asyncio.to_thread(stored, site, folder, "1.77.2", 1, name="Live^Page", StudyDate="20310101")
        await asyncio.to_thread(asking.wait_searchable, site.modality, "1.77.2", 1)
        async with client.get("/dicom-web/changes/studies", headers={"Last-Event-ID": event["id"]}) as stream:
            await told(stream, "1.77.2")
        query = "PatientName=page%20liv&fuzzymatching=true"
        async with client.get(f"/dicom-web/studies?{query}&orderby=-StudyDate,-StudyTime") as response:
            uids = [match["0020000D"]["Value"][0] for match in await response.json(content_type=None)]
        assert uids == ["1.77.2", "1.77.1"]
        assert await count(client, query) == 2
        await sent(site, client)


async def sent(site: Site, client: aiohttp.ClientSession) -> None:
    async with client.get("/dicom-web/destinations") as response:
        assert "DEST" in [peer["aeTitle"] for peer in await response.json()]
    receiver = Receiver()
    await receiver.server.start("127.0.0.1", site.ports["DEST"])
    try:
        async with client.post("/dicom-web/studies/1.77.1/send", json={"destination": "DEST"}) as response:
            assert response.status == 202, await response.text()
            location = response.headers["Location"]
        async with asyncio.timeout(20):
            for _ in range(1000):
                # Each time perhaps another process behind the door.
                async with client.get(location) as response:
                    assert response.status == 200, await response.text()
                    transfer = await response.json()
                if transfer["state"] != "running":
                    break
                await asyncio.sleep(0.02)
        assert (transfer["state"], transfer["completed"], transfer["remaining"]) == ("done", 3, 0)
        assert sorted(receiver.uids) == [f"1.77.1.1.{n}" for n in range(3)]
        for _ in range(4):
            async with client.delete(location) as response:
                assert (await response.json())["state"] == "done"
    finally:
        await receiver.server.drain(1.0)


async def test_the_page_is_served_live_in_both_topologies(site: Site, tmp_path: Path) -> None:
    await scenario(site, tmp_path / "files")


async def test_the_page_is_served_live_through_the_door(door: Site, tmp_path: Path) -> None:
    await scenario(door, tmp_path / "files")
