"""`gantry.services.process.http`: health, readiness and what is refused at the start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, DependencyUnavailable
from gantry.common.telemetry.metrics import Metrics
from gantry.services.process.http import HttpServer


class Store:
    """Counts how often it is asked; away while there is a reason."""

    def __init__(self) -> None:
        self.asked = 0
        self.at_once = self.most_at_once = 0
        self.reason = ""

    async def check(self) -> None:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.05)
        self.at_once -= 1
        if self.reason:
            raise DependencyUnavailable("index", self.reason)


@pytest.fixture
async def store() -> Store:
    return Store()


@pytest.fixture
async def client(store: Store) -> AsyncIterator[aiohttp.ClientSession]:
    settings = Settings.model_validate({"http": {"host": "127.0.0.1"}})
    server = HttpServer(settings, 0, Metrics(), lambda: "", {"index": store.check})
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        yield session
    await server.close()


async def ready(client: aiohttp.ClientSession) -> tuple[int, str]:
    async with client.get("/readyz") as response:
        return response.status, await response.text()


async def test_many_who_ask_at_once_cost_one_check(client: aiohttp.ClientSession, store: Store) -> None:
    answers = await asyncio.gather(*(ready(client) for _ in range(20)))
    assert set(answers) == {(200, "ready\n")}
    for _ in range(20):
        await ready(client)
    assert store.asked == 1


async def test_store_that_goes_away_is_told_within_about_a_second(client: aiohttp.ClientSession, store: Store) -> None:
    assert await ready(client) == (200, "ready\n")
    store.reason = "disk full"
    async with asyncio.timeout(10):
        while (answer := await ready(client))[0] == 200:
            await asyncio.sleep(0.05)
    assert answer == (503, "index: index unavailable: disk full\n")
    assert store.most_at_once == 1


async def test_store_that_somebody_found_away_is_asked_again_at_once(store: Store) -> None:
    server = HttpServer(Settings(), 0, Metrics(), lambda: "", {"index": store.check})
    assert await server._store_problems() == []
    store.reason = "disk full"
    assert await server._store_problems() == []
    server._count("store", 503, 0.1)
    assert await server._store_problems() == ["index: index unavailable: disk full"]


async def test_asker_who_goes_away_does_not_end_the_check_of_others(store: Store) -> None:
    server = HttpServer(Settings(), 0, Metrics(), lambda: "", {"index": store.check})
    first = asyncio.create_task(server._store_problems())
    second = asyncio.create_task(server._store_problems())
    await asyncio.sleep(0.01)
    first.cancel()
    assert await second == []
    assert store.asked == 1


@pytest.mark.parametrize("origin", ["*", "null"])
@pytest.mark.parametrize("lab", [False, True])
def test_every_web_page_may_ask_only_where_tokens_are_needed(tmp_path: Path, origin: str, lab: bool) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("viewer:0123456789abcdef0123\n")
    http = {"cors_origins": ["https://viewer.example", origin]}

    def server(**more: object) -> HttpServer:
        settings = Settings.model_validate({"lab": lab, "http": {**http, **more}})
        return HttpServer(settings, 0, Metrics(), lambda: "", {})

    with pytest.raises(ConfigError, match="every web page"):
        server()
    if lab:
        with pytest.raises(ConfigError, match="--lab"):
            server(tokens_file=str(tokens))
    else:
        server(tokens_file=str(tokens))


async def test_readiness_says_why_no_work_is_taken() -> None:
    settings = Settings.model_validate({"http": {"host": "127.0.0.1"}})
    server = HttpServer(settings, 0, Metrics(), lambda: "starting", {})
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        assert await ready(session) == (503, "not taking new work: starting\n")
    await server.close()


async def test_start_is_told_apart_from_stores_that_are_away(store: Store) -> None:
    why = "starting"
    settings = Settings.model_validate({"http": {"host": "127.0.0.1"}})
    server = HttpServer(settings, 0, Metrics(), lambda: why, {"index": store.check})
    store.reason = "disk full"
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:

            async def started() -> tuple[int, str]:
                async with session.get("/startz") as response:
                    return response.status, await response.text()

            assert await started() == (503, "not taking new work: starting\n")
            why = ""
            assert await started() == (200, "started\n")
            assert (await ready(session))[0] == 503
            why = "draining"
            assert await started() == (503, "not taking new work: draining\n")
            assert store.asked == 1
    finally:
        await server.close()
