"""The matches of a search over HTTP, a page at a time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from gantry.common.dicom.query.matching import Cursor, Document, Query
from gantry.common.ports.index import ReadIndex
from gantry.common.web.errors import RETRY_AFTER_SECONDS, HttpProblem
from gantry.services.query.federation.asking import Asking, elsewhere

COUNT_SECONDS = 20.0
"""If the index cannot count by itself, matches are counted one by one for at most this time."""

FAR = 500
"""More matches than this before a page are skipped by the index rather than read."""


async def page_of(
    index: ReadIndex, query: Query, limit: int, offset: int = 0, after: Cursor = ()
) -> tuple[list[Document], bool]:
    """At most `limit` matches, and whether there are more after them. Raises `NotUnderstood` for a position of another
    query."""
    documents: list[Document] = []
    skip = offset
    if offset >= FAR and not after and (place := await index.place_behind(query, offset)) is not None:
        skip, after = 0, place
    async for page in index.find(replace(query, limit=skip + limit + 1), after):
        documents += page[skip:]
        skip = max(0, skip - len(page))
    return documents[:limit], len(documents) > limit


async def federated_page(
    index: ReadIndex, query: Query, limit: int, offset: int, others: Asking
) -> tuple[list[Document], bool]:
    """The same for one list: our matches, followed by those that only other archives have."""
    ours, more = await page_of(index, query, limit, offset)
    foreign = await others.foreign()
    documents = others.joined(foreign, ours)
    if more:
        return documents, True
    before = offset + len(ours) if ours or not offset else await count_of(index, query)
    skip, room = max(0, offset - before), limit - len(ours)
    rest = await elsewhere(foreign, index, query)
    return documents + rest[skip : skip + room], len(rest) > skip + room


async def count_of(index: ReadIndex, query: Query) -> int:
    """The number of matches. Raises `HttpProblem` 503 if counting takes too long."""
    try:
        async with asyncio.timeout(COUNT_SECONDS):
            return await index.total(query)
    except TimeoutError:
        line = f"there is too much to look at to count it in {COUNT_SECONDS:g} s: narrow the search"
        raise HttpProblem(503, line, {"Retry-After": str(RETRY_AFTER_SECONDS)}) from None
