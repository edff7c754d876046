"""Rows of answers in an order, over QIDO-RS, SQLite and OpenSearch side by side: the first page of a list, pages behind
it, lists with conditions, and how many there are."""

from __future__ import annotations

import asyncio
import random
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp

from gantry.common.ports.index import InstanceEntry, SearchIndex
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.server import WebServer
from gantry.services.query.app import build_web
from tests.bench.rows import Figure
from tests.bench.searching import indices, study_entry
from tests.support import servers

_BATCH = 2000
_TIMES = 40
_NEWEST = "-StudyDate,-StudyTime"
_MODALITIES = ("CT", "CT", "CT", "MR", "MR", "CR", "DX", "US", "XA", "PT")
_ORDERS = ("PatientName", "-PatientID", "AccessionNumber", "StudyDescription", "ModalitiesInStudy", "-received")


def ordered(folder: Path, quick: bool) -> list[Figure]:
    """At 100,000 studies."""
    return _measured(folder, 10_000 if quick else 100_000, ("SQLite", "OpenSearch"))


def ordered_million(folder: Path, quick: bool) -> list[Figure]:
    """At 1,000,000 studies."""
    return _measured(folder, 100_000 if quick else 1_000_000, ("SQLite", "OpenSearch"))


def ordered_million_sqlite(folder: Path, quick: bool) -> list[Figure]:
    """The same of the embedded index alone, which is filled in a quarter of the time."""
    return _measured(folder, 100_000 if quick else 1_000_000, ("SQLite",))


def _measured(folder: Path, count: int, chosen: tuple[str, ...]) -> list[Figure]:
    servers.begin()
    try:
        address = servers.server("opensearch").address if "OpenSearch" in chosen else ""
        return asyncio.run(_all_of(folder, count, chosen, address))
    finally:
        servers.end()
        shutil.rmtree(folder, ignore_errors=True)


async def _all_of(folder: Path, count: int, chosen: tuple[str, ...], address: str) -> list[Figure]:
    figures = []
    for backend, index in (await indices(folder, address, chosen)).items():
        begun = time.perf_counter()
        for start in range(0, count, _BATCH):
            await index.apply([_dated(number) for number in range(start, min(count, start + _BATCH))])
        rate = count / (time.perf_counter() - begun)
        figures.append(Figure(f"taking in {count:,} studies of one image", backend, rate, "studies/s"))
        figures += await _asked(backend, index, count)
        await index.close()
    return figures


def _dated(number: int) -> InstanceEntry:
    """A study of ten years, at any time of any day, as they do not come in the order of their numbers."""
    dice = random.Random(number)
    instance = study_entry(number)
    day = f"{2015 + dice.randrange(10)}{1 + dice.randrange(12):02}{1 + dice.randrange(28):02}"
    moment = f"{dice.randrange(24):02}{dice.randrange(60):02}{dice.randrange(60):02}"
    more: dict[int, Any] = {0x00080020: [day], 0x00080030: [moment], 0x00080060: [dice.choice(_MODALITIES)]}
    return InstanceEntry(
        **{name: getattr(instance, name) for name in InstanceEntry.__slots__ if name != "attributes"},
        attributes={**instance.attributes, **more},
    )


async def _asked(backend: str, index: SearchIndex, count: int) -> list[Figure]:
    server = WebServer("127.0.0.1", 0, {}, AccessControl(Tokens(None)))
    server.serve(build_web(index, None))
    await server.start()
    figures = []
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}/dicom-web/") as client:
        for title, questions in _questions().items():
            times = sorted([await _timed(client, question) for question in questions(random.Random(7))])
            words = f"{title}, {count:,} studies"
            figures.append(Figure(f"{words}, median", backend, statistics.median(times), "ms"))
            figures.append(Figure(f"{words}, 95th percentile", backend, times[int(len(times) * 0.95)], "ms"))
        figures += await _deep(client, backend, count)
    await server.close()
    return figures


async def _timed(client: aiohttp.ClientSession, question: str) -> float:
    begun = time.perf_counter()
    async with client.get(question) as response:
        await response.read()
        assert response.status == 200, question
    return (time.perf_counter() - begun) * 1000


async def _deep(client: aiohttp.ClientSession, backend: str, count: int) -> list[Figure]:
    """Pages by the cursor, one behind the other."""
    times, url = [], f"studies?{urlencode({'orderby': _NEWEST, 'limit': '100'})}"
    for _ in range(_TIMES):
        begun = time.perf_counter()
        async with client.get(url) as response:
            await response.read()
            url = str(response.links["next"]["url"])
        times.append((time.perf_counter() - begun) * 1000)
    words = f"the next page of 100 by its cursor, {count:,} studies"
    return [Figure(f"{words}, median", backend, statistics.median(times), "ms")]


def _list(**parameters: str) -> str:
    return f"studies?{urlencode({'limit': '100', **parameters})}"


def _count(**parameters: str) -> str:
    return f"studies/count?{urlencode(parameters)}"


def _questions() -> dict[str, Callable[[random.Random], Iterator[str]]]:
    """What is asked, by what it is called."""

    def conditions(dice: random.Random) -> Iterator[dict[str, str]]:
        for number in range(_TIMES):
            month = f"{2015 + dice.randrange(10)}{1 + dice.randrange(12):02}"
            yield (
                {"StudyDate": f"{month}01-{month}31"},
                {"ModalitiesInStudy": dice.choice(_MODALITIES)},
                {"PatientName": f"{chr(97 + dice.randrange(26))}{chr(97 + dice.randrange(26))}*"},
                {"ModalitiesInStudy": "US", "StudyDate": f"{month[:4]}0101-{month[:4]}1231"},
            )[number % 4]

    return {
        "newest first, a page of 100": lambda dice: (_list(orderby=_NEWEST) for _ in range(_TIMES)),
        "by another column, a page of 100": lambda dice: (_list(orderby=dice.choice(_ORDERS)) for _ in range(_TIMES)),
        "newest first with a condition": lambda dice: (
            _list(orderby=_NEWEST, **condition) for condition in conditions(dice)
        ),
        "newest first of a piece of a name": lambda dice: (
            _list(orderby=_NEWEST, PatientName=f"*{''.join(dice.choices('abcdefghijklmnopqrstuvwxyz', k=3))}*")
            for _ in range(_TIMES)
        ),
        "the count of all": lambda dice: (_count() for _ in range(_TIMES)),
        "the count of a condition": lambda dice: (_count(**condition) for condition in conditions(dice)),
    }
