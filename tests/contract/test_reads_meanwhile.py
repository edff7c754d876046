"""Whoever reads while an indexer writes is answered by what was, or by what is: never by a fault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query
from gantry.common.ports.index import SearchIndex
from tests.contract.test_deletions import decided, deletion, key
from tests.support.entries import entry

STUDY = "1.2.3"
COUNT = 60
ENTRIES = [entry(number, f"1.2.3.1.{number}", STUDY) for number in range(1, COUNT + 1)]


@asynccontextmanager
async def reading(*reads: Callable[[], Awaitable[object]]) -> AsyncIterator[list[int]]:
    """Each of them again and again, meanwhile; how often in all."""
    counts, over = [0], asyncio.Event()

    async def again(read: Callable[[], Awaitable[object]]) -> None:
        while not over.is_set():
            await read()
            counts[0] += 1

    tasks = [asyncio.create_task(again(read)) for read in reads]
    try:
        yield counts
    finally:
        over.set()
        await asyncio.gather(*tasks)


async def test_a_study_is_read_while_its_instances_go_one_by_one(index: SearchIndex) -> None:
    """The first of them says what the study is: it is gone between two looks of whoever asks for that."""
    await index.apply(ENTRIES)

    async def find() -> list[object]:
        return [document async for page in index.find(Query("default", Level.IMAGE)) for document in page]

    reads = (
        *[lambda: index.corrected("default", STUDY)] * 3,
        lambda: index.receipts_of("default", [key(instance) for instance in ENTRIES]),
        lambda: index.count("default"),
        find,
    )
    async with reading(*reads) as counts:
        for instance in ENTRIES:
            await index.decide([decided(instance, deletion())])
    assert counts[0] > len(reads), "they were answered meanwhile"
    assert await index.corrected("default", STUDY) is None
