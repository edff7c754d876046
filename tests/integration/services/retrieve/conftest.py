"""A server that plays query and retrieve, on real stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.receiver import Receive, Receiver
from tests.support.retrieval import Stored, retrieval
from tests.support.web import WebSite, web_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[WebSite]:
    async with web_site(tmp_path) as fixture:
        yield fixture


@pytest.fixture
async def stored(tmp_path: Path) -> AsyncIterator[Stored]:
    async with retrieval(tmp_path) as fixture:
        yield fixture


@pytest.fixture
async def receiver() -> AsyncIterator[Receive]:
    started: list[Receiver] = []

    async def start() -> Receiver:
        fixture = Receiver()
        fixture.port = await fixture.server.start("127.0.0.1", 0)
        started.append(fixture)
        return fixture

    yield start
    for fixture in started:
        fixture.service.gate.set()
        await fixture.server.drain(1.0)
