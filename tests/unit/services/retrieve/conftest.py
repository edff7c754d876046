"""A server that plays query and retrieve, on real stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.retrieval import Stored, retrieval
from tests.support.web import WebSite, web_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[WebSite]:
    async with web_site(tmp_path) as one:
        yield one


@pytest.fixture
async def stored(tmp_path: Path) -> AsyncIterator[Stored]:
    async with retrieval(tmp_path) as one:
        yield one
