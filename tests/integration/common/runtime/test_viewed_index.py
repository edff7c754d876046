"""`gantry.common.runtime.viewed_index` on a real index: for a view, an archive in which some rejections never happened.

tests/contract/test_views.py compares each view with an index of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from gantry.common.access.views import showing
from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.lifecycle import ALIVE, DeletionState
from gantry.common.runtime.viewed_index import ViewedIndex
from tests.support.views import PARTITION, QUALITY, SAFETY, VIEWS, decided, made, rejected


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[ViewedIndex]:
    opened = ViewedIndex(await open_sqlite_index(tmp_path / "index.db"), VIEWS)
    await opened.begin(PARTITION)
    yield opened
    await opened.close()


async def test_what_a_view_shows_nobody_else_sees_and_a_view_that_there_is_not_is_what_everybody_sees(
    index: ViewedIndex,
) -> None:
    entries = [made(1), made(6)]
    await index.apply(entries)
    await index.decide([decided(entries[0], rejected(QUALITY, "a")), decided(entries[1], rejected(SAFETY, "b"))])
    seen = {}
    for view in ("", "qa", "all", "nonsense"):
        with showing(view):
            seen[view] = sorted(await index.resolve(PARTITION, ["1.9.1", "1.9.6"]))
    assert seen == {"": [], "qa": ["1.9.1"], "all": ["1.9.1", "1.9.6"], "nonsense": []}


async def test_each_task_asks_for_its_own_view(index: ViewedIndex) -> None:
    await index.apply([made(1)])
    await index.decide([decided(made(1), rejected(QUALITY, "a"))])

    async def ask(view: str) -> int:
        with showing(view):
            total = 0
            for _ in range(20):
                total += (await index.count(PARTITION))["instances"]
                await asyncio.sleep(0)
            return total

    assert await asyncio.gather(ask("qa"), ask(""), ask("qa")) == [20, 0, 20]


async def test_a_view_that_came_later_is_what_everybody_sees_until_the_index_is_built_anew(tmp_path: Path) -> None:
    inner = await open_sqlite_index(tmp_path / "index.db")
    await inner.apply([made(1), made(2)])
    await inner.decide([decided(made(2), rejected(QUALITY, "a"))])
    index = ViewedIndex(inner, VIEWS)
    await index.begin(PARTITION)
    await index.apply([made(3)])
    with showing("qa"):
        assert (await index.count(PARTITION))["instances"] == 2
    built = await index.successor(await index.attributes())
    await built.apply([made(number) for number in (1, 2, 3)])
    await built.decide([decided(made(2), rejected(QUALITY, "a"))])
    await built.take_over()
    await built.discard()
    await built.close()
    with showing("qa"):
        assert (await index.count(PARTITION))["instances"] == 3
    assert (await index.count(PARTITION))["instances"] == 2
    await index.close()


async def test_a_view_that_was_away_for_a_while_is_not_whole(index: ViewedIndex, tmp_path: Path) -> None:
    await index.apply([made(1)])
    await index.close()
    without = ViewedIndex(await open_sqlite_index(tmp_path / "index.db"), {})
    await without.begin(PARTITION)
    await without.apply([made(2)])
    await without.close()
    again = ViewedIndex(await open_sqlite_index(tmp_path / "index.db"), VIEWS)
    await again.begin(PARTITION)
    with showing("qa"):
        assert (await again.count(PARTITION))["instances"] == 2
    with suppress(Exception):
        await again.close()


async def test_what_is_not_a_rejection_that_is_shown_is_the_same_in_all_views(index: ViewedIndex) -> None:
    await index.apply([made(1), made(2)])
    await index.decide([decided(made(1), DeletionState(collected=True)), decided(made(2), ALIVE)])
    with showing("all"):
        assert (await index.count(PARTITION))["instances"] == 1
