"""The worklist at a hundred thousand open orders: how long a process reads them at its start, and how long a modality
waits for its answers."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from gantry.cli.identifiers import BOTH, encode
from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.dicom.standard.sop_classes import MODALITY_WORKLIST_FIND
from gantry.common.events import OrderPlaced
from gantry.common.ids import Receipt
from gantry.common.net import connect, scu
from gantry.common.orders import pack
from gantry.common.runtime.order_values import write_values
from tests.bench.rows import Figure
from tests.support.archive import RunningArchive
from tests.support.orders import PARTITION, order, step

_ORDERS, _STATIONS, _DAYS = 100_000, 40, 60
_ROUNDS = 100


def worklist(folder: Path, quick: bool) -> list[Figure]:
    """Embedded stores, one process that plays every role."""
    folder.mkdir(parents=True, exist_ok=True)
    count = _ORDERS // 5 if quick else _ORDERS
    archive = RunningArchive(folder)
    archive.write_policy([], "orders: {idle_days: 0}\n")
    (folder / "data").mkdir()
    asyncio.run(_fill(folder / "data", count))
    begun = time.monotonic()
    archive.start(ready=False)
    archive.wait_ready(300.0)
    contestant = f"gantry ({count:,} open orders)"
    figures = [Figure("until the process is ready", contestant, time.monotonic() - begun, "s")]
    try:
        for title, identifier in _QUESTIONS.items():
            times = asyncio.run(_asked(archive, identifier))
            figures.append(Figure(f"{title}: median", contestant, statistics.median(times) * 1000, "ms"))
            figures.append(Figure(f"{title}: p95", contestant, statistics.quantiles(times, n=20)[-1] * 1000, "ms"))
        figures.append(Figure("memory of the process", contestant, archive.rss() / 1e6, "MB"))
    finally:
        archive.stop()
    return figures


async def _fill(data: Path, count: int) -> None:
    """As the orders role writes them: what an order says lies in an object of its own."""
    clock = SystemClock()
    log, objects = await open_sqlite_log(data / "log.db", clock), await open_file_store(data / "objects", low_water=0)
    numbers = iter(range(count))
    while batch := list(islice(numbers, 500)):
        events = [write_values(objects, _placed(number), Receipt.at(clock.now_us())) for number in batch]
        await log.append(*await asyncio.gather(*events))
    await objects.close()
    await log.close()


def _placed(number: int) -> OrderPlaced:
    day = 1 + number // _STATIONS % _DAYS
    scheduled = step(
        ScheduledStationAETitle=f"CT{number % _STATIONS}",
        Modality=("CT", "MR", "US", "DX")[number % 4],
        ScheduledProcedureStepStartDate=f"2026{1 + day // 28:02}{1 + day % 28:02}",
        ScheduledProcedureStepStartTime=f"{7 + number % 11:02}{number % 60:02}",
    )
    attributes = order(
        scheduled,
        AccessionNumber=f"A{number}",
        PatientID=f"P{number // 2}",
        PatientName=f"Family{number % 5000}^Given{number}",
        StudyInstanceUID=f"1.2.840.99.{number}",
        RequestedProcedureID=f"R{number}",
        RequestedProcedureDescription="CT abdomen and pelvis with contrast",
        PatientBirthDate="19700101",
        PatientSex="O",
    )
    return OrderPlaced(PARTITION, "", f"A{number}", f"{number:032x}", "bench", "", number, pack(attributes))


def _question(order_keys: dict[str, str], **of_step: str) -> Dataset:
    query, scheduled = Dataset(), Dataset()
    for keyword in ("AccessionNumber", "PatientName", "PatientID", "StudyInstanceUID", "RequestedProcedureID"):
        setattr(query, keyword, order_keys.get(keyword, ""))
    for keyword in (
        *("ScheduledStationAETitle", "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"),
        *("Modality", "ScheduledProcedureStepID"),
    ):
        setattr(scheduled, keyword, of_step.get(keyword, ""))
    query.ScheduledProcedureStepSequence = Items([scheduled])
    return query


_TODAY = "20260210"
_QUESTIONS = {
    "a station's day": _question({}, ScheduledStationAETitle="CT8", ScheduledProcedureStepStartDate=_TODAY),
    "a modality's day": _question({}, Modality="CT", ScheduledProcedureStepStartDate=_TODAY),
    "an accession number": _question({"AccessionNumber": "A4711"}),
    "a patient": _question({"PatientID": "P4711"}),
    "the beginning of a name": _question({"PatientName": "Family471^*"}),
}


async def _asked(archive: RunningArchive, identifier: Dataset) -> Sequence[float]:
    times = []
    async with connect(archive.peer, [(MODALITY_WORKLIST_FIND, BOTH)]) as association:
        context = scu.need_context(association, MODALITY_WORKLIST_FIND)
        for _ in range(_ROUNDS):
            begun = time.perf_counter()
            query = encode(identifier, context)
            answers = [r async for r in scu.find(association, MODALITY_WORKLIST_FIND, query)]
            times.append(time.perf_counter() - begun)
            assert answers
    return times
