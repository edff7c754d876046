"""Rows of the search index, SQLite and OpenSearch side by side: adding, rebuilding, and searching by a piece of a name
at many studies."""

from __future__ import annotations

import asyncio
import random
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.opensearch import OpenSearchCluster, open_opensearch_index
from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.clock import SystemClock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Fuzzy, Query, Wildcard
from gantry.common.ports.index import InstanceEntry, SearchIndex
from gantry.services.indexer.rebuild import Rebuild
from tests.bench.rows import Figure
from tests.support import servers
from tests.support.entries import entry
from tests.support.facts import stored

_NAME, _ID, _ACCESSION, _DESCRIPTION = 0x00100010, 0x00100020, 0x00080050, 0x00081030
_ROUNDS = 5
_HEADER = b"".join(
    tag + vr + len(value).to_bytes(2, "little") + value
    for tag, vr, value in (
        (b"\x08\x00\x20\x00", b"DA", b"20240131"),
        (b"\x08\x00\x50\x00", b"SH", b"A1234567"),
        (b"\x08\x00\x60\x00", b"CS", b"CT"),
        (b"\x08\x00\x30\x10", b"LO", b"CT ABDOMEN AND PELVIS "),
        (b"\x10\x00\x10\x00", b"PN", b"Doe^Jane^Of^The^Bench "),
        (b"\x10\x00\x20\x00", b"LO", b"P1234567"),
        (b"\x20\x00\x13\x00", b"IS", b"17"),
    )
)


async def indices(
    folder: Path, address: str, chosen: Sequence[str] = ("SQLite", "OpenSearch")
) -> dict[str, SearchIndex]:
    """Empty ones; `address` is that of OpenSearch."""
    backends: dict[str, SearchIndex] = {}
    if "SQLite" in chosen:
        backends["SQLite"] = await open_sqlite_index(folder / "index.db")
    if "OpenSearch" in chosen:
        cluster = OpenSearchCluster((urlsplit(address).netloc,), f"b{uuid4().hex[:10]}", replicas=0)
        backends["OpenSearch"] = await open_opensearch_index(cluster, SystemClock(), linger=0.0)
    return backends


def taking_in(folder: Path, quick: bool) -> list[Figure]:
    """Instances of large studies in batches of 500, as the indexer takes them under load; and facts in batches of
    2,000, header and all, as `gantry reindex` does."""
    servers.begin()
    try:
        return asyncio.run(_taking_in(folder, 4 if quick else 12, servers.server("opensearch").address))
    finally:
        servers.end()


async def _taking_in(folder: Path, batches: int, address: str) -> list[Figure]:
    figures = []
    objects = await open_file_store(folder / "objects", low_water=0)
    for backend, index in (await indices(folder, address)).items():
        begun = time.perf_counter()
        for batch in range(batches):
            await index.apply([_slice(batch, number) for number in range(500)])
        figures.append(Figure("indexing", backend, batches * 500 / (time.perf_counter() - begun), "instances/s"))
        rebuild = Rebuild(objects, index)
        facts = [replace(stored(n), header=_HEADER, study_instance_uid=f"1.8.{n // 400}") for n in range(batches * 500)]
        begun = time.perf_counter()
        for start in range(0, len(facts), 2000):
            await rebuild(facts[start : start + 2000])
        figures.append(Figure("rebuilding", backend, len(facts) / (time.perf_counter() - begun), "instances/s"))
        await index.close()
    await objects.close()
    return figures


def _slice(batch: int, number: int) -> InstanceEntry:
    study = f"1.7.{batch}.{number // 250}"
    return entry(
        batch * 500 + number,
        f"1.9.{batch}.{number}",
        study,
        f"{study}.{number // 125}",
        PatientID=f"P{batch}",
        PatientName={"Alphabetic": "Doe^Jane"},
        StudyDescription="CT ABDOMEN AND PELVIS",
        StudyDate="20240131",
        AccessionNumber=f"A{batch}",
        Modality="CT",
        InstanceNumber=number,
    )


def searching(folder: Path, quick: bool) -> list[Figure]:
    """A piece from the middle of a name, a patient ID, an accession number or a description, at 100,000 studies: the
    median and the 95th percentile until the last match is there."""
    servers.begin()
    try:
        address = servers.server("opensearch").address
        return asyncio.run(_searching(folder, 10_000 if quick else 100_000, address))
    finally:
        servers.end()
        shutil.rmtree(folder, ignore_errors=True)


async def _searching(folder: Path, count: int, address: str) -> list[Figure]:
    figures = []
    opened = await indices(folder, address)
    for backend, index in opened.items():
        begun = time.perf_counter()
        for start in range(0, count, 2000):
            await index.apply([study_entry(number) for number in range(start, start + 2000)])
        figures.append(
            Figure("taking in studies of one image", backend, count / (time.perf_counter() - begun), "studies/s")
        )
    # Filling takes minutes: all rounds ask what was filled once, the two in turn.
    for seed in range(_ROUNDS):
        for backend, index in opened.items():
            figures += await _round(backend, index, count, seed)
    for index in opened.values():
        await index.close()
    return figures


async def _round(backend: str, index: SearchIndex, count: int, seed: int) -> list[Figure]:
    figures = []
    for title, questions in (("a piece of a value", _pieces(count, seed)), ("a name, fuzzily", _names(count, seed))):
        times, counts = [], []
        for query in questions:
            begun = time.perf_counter()
            counts.append(sum([len(page) async for page in index.find(query)]))
            times.append((time.perf_counter() - begun) * 1000)
        assert min(counts) > 0
        times.sort()
        words = f"{title}, {count:,} studies"
        figures.append(Figure(f"{words}, median", backend, statistics.median(times), "ms"))
        figures.append(Figure(f"{words}, 95th percentile", backend, times[int(len(times) * 0.95)], "ms"))
    return figures


def study_entry(number: int) -> InstanceEntry:
    """A study of one image; of two with neighbouring numbers the patient is the same."""
    of_patient, dice = random.Random(number // 2), random.Random(-number)
    family, given_name = ("".join(of_patient.choices("abcdefghijklmnopqrstuvwxyz", k=k)) for k in (7, 6))
    word = "".join(dice.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=5))
    return entry(
        number,
        f"1.9.{number}",
        f"1.5.{number}",
        f"1.5.{number}.1",
        PatientID=f"P{number // 2:07}",
        PatientName={"Alphabetic": f"{family}^{given_name}"},
        AccessionNumber=f"A{number:08}",
        StudyDescription=f"CT {word} WITH CONTRAST",
        StudyDate=f"2024{1 + number % 12:02}{1 + number % 28:02}",
        Modality="CT",
    )


def _pieces(count: int, seed: int) -> Iterator[Query]:
    dice = random.Random(seed)
    for number in range(40):
        attributes = study_entry(dice.randrange(count)).attributes
        tag = (_NAME, _ID, _ACCESSION, _DESCRIPTION)[number % 4]
        value = attributes[tag][0]
        text = value["Alphabetic"] if isinstance(value, dict) else value
        piece = text[3:7] if tag == _NAME else text[-5:] if tag in (_ID, _ACCESSION) else text[3:7]
        yield Query("default", Level.STUDY, {tag: Wildcard((f"*{piece}*",))})


def _names(count: int, seed: int) -> Iterator[Query]:
    """Given name first, and the family name not to its end."""
    dice = random.Random(-seed)
    for _ in range(20):
        family, _, given_name = study_entry(dice.randrange(count)).attributes[_NAME][0]["Alphabetic"].partition("^")
        yield Query("default", Level.STUDY, {_NAME: Fuzzy((f"{given_name} {family[:5]}",))})
