"""Pages of matches: what is far into a listing is not read from its beginning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Cursor, Document, Query
from gantry.common.ports.index import ReadIndex
from gantry.services.query.matches import FAR, page_of

COUNT = FAR + 50


class Listing:
    """An index with numbered documents; it knows places if `knows`."""

    def __init__(self, knows: bool) -> None:
        self.knows = knows
        self.read = 0

    async def place_behind(self, query: Query, count: int) -> Cursor | None:
        return (count,) if self.knows and count <= COUNT else None

    async def find(self, query: Query, after: Cursor = ()) -> AsyncIterator[list[Document]]:
        first = int(after[0]) if after else 0
        assert query.limit is not None
        numbers = range(first, min(COUNT, first + query.limit))
        self.read += len(numbers)
        for number in numbers:
            yield [Document(Level.STUDY, {}, (number + 1,))]


def numbers(documents: list[Document]) -> list[Any]:
    return [document.place[0] for document in documents]


@pytest.mark.parametrize("knows", [True, False])
async def test_a_page_far_into_a_listing_is_the_same_either_way(knows: bool) -> None:
    index = Listing(knows)
    page, more = await page_of(cast(ReadIndex, index), Query("p", Level.STUDY), 10, FAR + 20)
    assert numbers(page) == list(range(FAR + 21, FAR + 31))
    assert more
    assert index.read == (11 if knows else FAR + 31)


@pytest.mark.parametrize("knows", [True, False])
async def test_the_last_page_says_that_nothing_follows_it(knows: bool) -> None:
    page, more = await page_of(cast(ReadIndex, Listing(knows)), Query("p", Level.STUDY), 100, FAR + 20)
    assert numbers(page) == list(range(FAR + 21, COUNT + 1))
    assert not more
    assert await page_of(cast(ReadIndex, Listing(knows)), Query("p", Level.STUDY), 100, COUNT + 7) == ([], False)


async def test_a_cursor_goes_on_from_its_own_place() -> None:
    page, _ = await page_of(cast(ReadIndex, Listing(True)), Query("p", Level.STUDY), 3, FAR, after=(5,))
    assert numbers(page) == [FAR + 6, FAR + 7, FAR + 8]
