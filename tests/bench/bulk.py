"""The row of a bulk deletion: 100,000 instances go while others search and store; what these notice of it."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from pathlib import Path

import aiohttp
import pydicom

from gantry.cli.files import DicomFile, Skipped, look
from gantry.cli.store import send_files
from gantry.common.net import Peer
from tests.bench import contestants as field
from tests.bench import corpus
from tests.bench.asking import percentile
from tests.bench.contestants import ROOT, Contestant
from tests.bench.rows import Figure, running
from tests.bench.senders import lean

_INSTANCES, _SIDE = 100_000, 16
_BEFORE_SECONDS = 30.0
_FULL_RATE = 100_000.0
Files = Iterator[DicomFile | Skipped]
_SEARCH = "/dicom-web/studies?limit=25&orderby=-StudyDate&includefield=NumberOfStudyRelatedInstances"


def bulk(folder: Path, quick: bool) -> list[Figure]:
    """Half of the archive goes at the usual rate, then the other half as fast as it can; each beside searches and a
    modality that stores one image after the other."""
    count = _INSTANCES // (10 if quick else 1)
    halves = [corpus.make(folder / name, count // 2, _SIDE) for name in ("first", "second")]
    new = iter([look(path) for path in sorted(corpus.make(folder / "new", max(5000, count // 10), _SIDE).iterdir())])
    with running(field.gantry(folder / "gantry")) as server:
        for number, half in enumerate(halves, 1):
            lean(server.port, [half])
            _wait_for(server, count // 2 * number)
        return asyncio.run(_beside(server, new, halves, count // 2))


def _wait_for(server: Contestant, count: int) -> None:
    deadline = time.monotonic() + 600
    while server.told(f"/dicom-web/instances?limit=1&offset={count - 1}") in ("", "[]"):
        if time.monotonic() > deadline:
            raise RuntimeError(f"not {count} instances after ten minutes")
        time.sleep(1)


async def _beside(server: Contestant, new: Files, halves: list[Path], half: int) -> list[Figure]:
    figures = await _noticed(server, new, "before", asyncio.sleep(_BEFORE_SECONDS))
    for words, folder, rate in (
        ("while half of them go, 500/s", halves[0], 500.0),
        ("while the others go, as fast as it can", halves[1], _FULL_RATE),
    ):
        begun = time.perf_counter()
        figures += await _noticed(server, new, words, _deleted(server, _studies(folder), rate))
        figures.append(Figure(words, "instances deleted", half / (time.perf_counter() - begun), "/s"))
    return figures


def _studies(folder: Path) -> list[str]:
    """The studies of a corpus: one of two series of a hundred after the other."""
    files = sorted(folder.iterdir())
    return [str(pydicom.dcmread(file, specific_tags=["StudyInstanceUID"]).StudyInstanceUID) for file in files[::200]]


async def _get(session: aiohttp.ClientSession, path: str) -> list[dict[str, dict[str, list[str]]]]:
    async with session.get(path) as response:
        answers: list[dict[str, dict[str, list[str]]]] = (
            [] if response.status == 204 else await response.json(content_type=None)
        )
        return answers


async def _deleted(server: Contestant, studies: list[str], rate: float) -> None:
    """`gantry delete` of these studies, as somebody types it: a rule with a list of UIDs."""
    command = [
        *(sys.executable, "-m", "gantry", "delete", "--config", str(server.folder / "gantry.yaml")),
        *("--data", str(server.folder / "data"), "--reason", "bench", "--yes", "--rate", str(rate)),
        *("--where", "StudyInstanceUID=" + "\\".join(studies)),
    ]
    done = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=os.environ.copy(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, errors = await done.communicate()
    if done.returncode:
        raise RuntimeError(f"gantry delete failed: {errors.decode()[-300:]}")


async def _noticed(server: Contestant, new: Files, words: str, work: Awaitable[None]) -> list[Figure]:
    """Times of searches and of stores that were asked for, one after the other, until `work` is done."""
    searches: list[float] = []
    stores: list[float] = []
    peer = Peer("127.0.0.1", server.port, "GANTRY", "BENCH")

    async def searching() -> None:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.http_port}") as session:
            while True:
                searches.append(await _timed(lambda: _get(session, _SEARCH)))
                await asyncio.sleep(0.05)

    async def storing() -> None:
        while batch := [file for file in islice(new, 10) if isinstance(file, DicomFile)]:
            await _send(peer, batch, stores)
            await asyncio.sleep(0.3)

    others = [asyncio.create_task(searching()), asyncio.create_task(storing())]
    try:
        await work
    finally:
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
    return [
        Figure(words, "a search, median", statistics.median(searches) * 1000, "ms"),
        Figure(words, "a search, 95 %", percentile(sorted(searches), 95) * 1000, "ms"),
        Figure(words, "a store, median", statistics.median(stores) * 1000, "ms"),
        Figure(words, "a store, 95 %", percentile(sorted(stores), 95) * 1000, "ms"),
    ]


async def _send(peer: Peer, files: list[DicomFile], seconds: list[float]) -> None:
    """Store these, one after the other, on one association."""
    last = time.perf_counter()

    def done(_: DicomFile, __: int | None) -> None:
        nonlocal last
        now = time.perf_counter()
        seconds.append(now - last)
        last = now

    await send_files(peer, files, done=done)


async def _timed(ask: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await ask()
    return time.perf_counter() - begun
