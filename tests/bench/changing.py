"""Rows of what changes studies after they arrived, SQLite and OpenSearch side by side: deletions, restorations,
corrections and merges per second at a full index; and what the folds of all this cost each instance taken in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from gantry.common.adapters.election import key_of
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query
from gantry.common.events import InstanceStored
from gantry.common.lifecycle import (
    Correction,
    Corrections,
    Deletion,
    DeletionState,
    StudyState,
    Values,
    Withdrawal,
    apply,
    patient_key,
)
from gantry.common.ports.index import CorrectionChange, Decision, InstanceEntry, SearchIndex
from gantry.common.runtime.viewed_index import ViewedIndex
from tests.bench.rows import Figure
from tests.bench.searching import indices
from tests.support import servers
from tests.support.entries import entry
from tests.support.facts import stored

_STUDIES, _INSTANCES = 300, 20
_AT_ONCE = 500


def changing(folder: Path, quick: bool) -> list[Figure]:
    """A full index of small studies; each change by itself, as a person makes them, and visible when it returned."""
    servers.begin()
    try:
        return asyncio.run(_changing(folder, 60 if quick else _STUDIES, servers.server("opensearch").address))
    finally:
        servers.end()


async def _changing(folder: Path, studies: int, address: str) -> list[Figure]:
    figures: list[Figure] = []
    for backend, index in (await indices(folder, address)).items():
        entries = [_entry(study, number) for study in range(studies) for number in range(_INSTANCES)]
        for start in range(0, len(entries), _AT_ONCE):
            await index.apply(entries[start : start + _AT_ONCE])
        sample = range(0, studies, max(1, studies // 30))
        deleting = [lambda s=s: index.decide(_decisions(entries, s, _DELETED)) for s in sample]
        restoring = [lambda s=s: index.decide(_decisions(entries, s, _RESTORED)) for s in sample]
        correcting = [lambda s=s: index.correct([_correction(s)]) for s in sample]
        merging = [lambda s=s: index.correct([_merge(s)]) for s in sample]
        parting = [lambda s=s: index.correct([_withdrawal(s)]) for s in sample]
        for words, works in (
            ("studies deleted (20 instances)", deleting),
            ("studies restored", restoring),
            ("studies corrected", correcting),
            ("patients merged (1 study)", merging),
            ("patients parted again", parting),
        ):
            figures.append(Figure(words, backend, await _per_second(works), "/s"))
        figures.append(Figure("locating 100 studies, a tenth corrected", backend, await _located(index), "instances/s"))
        await index.close()
    return figures


def folding(folder: Path, quick: bool) -> list[Figure]:
    """Taking in instances that nothing was decided about, beside studies of which much was, and with a view of rejected
    instances; and the pure fold alone."""
    servers.begin()
    try:
        return asyncio.run(_folding(folder, 4 if quick else 12, servers.server("opensearch").address))
    finally:
        servers.end()


async def _folding(folder: Path, batches: int, address: str) -> list[Figure]:
    figures = []
    for backend, index in (await indices(folder, address)).items():
        for words, changed in (("taking in", False), ("taking in, all patients corrected and merged", True)):
            if changed:
                await index.correct([_merge(study) for study in range(batches * 10)])
            begun = time.perf_counter()
            for batch in range(batches):
                first = batch * 25 + (10_000 if changed else 0)
                await index.apply([_entry(first + n // 20, n % 20, n // 20 + batch * 10) for n in range(_AT_ONCE)])
            figures.append(Figure(words, backend, batches * _AT_ONCE / (time.perf_counter() - begun), "instances/s"))
        await index.close()
    for backend, index in (await indices(folder / "viewed", address)).items():
        viewed = ViewedIndex(index, {"qa": frozenset(["113001"])})
        begun = time.perf_counter()
        for batch in range(batches):
            await viewed.apply([_entry(batch * 25 + n // 20, n % 20) for n in range(_AT_ONCE)])
        each = batches * _AT_ONCE / (time.perf_counter() - begun)
        figures.append(Figure("taking in, with one view of rejected instances", backend, each, "instances/s"))
        await index.close()
    events: list[InstanceStored] = [replace(stored(n), study_instance_uid="1.2") for n in range(1000)]
    begun = time.perf_counter()
    state = StudyState()
    for event in events:
        state = apply(state, event)
    figures.append(Figure("the pure fold of one study", "events", len(events) / (time.perf_counter() - begun), "/s"))
    return figures


async def _per_second(works: Sequence[Callable[[], Awaitable[None]]]) -> float:
    begun = time.perf_counter()
    for work in works:
        await work()
    return len(works) / (time.perf_counter() - begun)


async def _located(index: SearchIndex) -> float:
    begun, count = time.perf_counter(), 0
    async for page in index.locate(Query("default", Level.STUDY, limit=100)):
        count += len(page)
    return count / (time.perf_counter() - begun)


_DELETED = DeletionState(frozenset([Deletion("d", 1)]))
_RESTORED = DeletionState(withdrawn=frozenset(["d"]))


def _entry(study: int, number: int, patient: int | None = None) -> InstanceEntry:
    uid = f"1.9.{study}"
    return entry(
        study * 100 + number + 1,
        f"{uid}.{number // 10}.{number}",
        uid,
        f"{uid}.{number // 10}",
        PatientID=f"P{study if patient is None else patient}",
        PatientName={"Alphabetic": f"Doe^{study}"},
        StudyDate="20240131",
        Modality="CT",
    )


def _decisions(entries: Sequence[InstanceEntry], study: int, deletion_state: DeletionState) -> list[Decision]:
    return [
        Decision(e.partition, key_of(e), e.receipt, deletion_state)
        for e in entries[study * _INSTANCES : (study + 1) * _INSTANCES]
    ]


def _correction(study: int) -> CorrectionChange:
    values: Values = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Poe^Jane"}]}}
    return CorrectionChange("default", f"1.9.{study}", "", _made("a", values))


def _merge(study: int) -> CorrectionChange:
    values: Values = {"00100020": {"vr": "LO", "Value": [f"M{study}"]}, "00100021": {"vr": "LO"}}
    return CorrectionChange("default", "", _key(f"P{study}"), _made("m", values, _key(f"M{study}")))


def _withdrawal(study: int) -> CorrectionChange:
    return CorrectionChange("default", "", _key(f"P{study}"), Corrections(withdrawn={"m": Withdrawal(2, "bench", "")}))


def _made(name: str, values: Values, into: str = "") -> Corrections:
    return Corrections({name: Correction(name, 1, "bench", "", values, into=into)})


def _key(patient: str) -> str:
    return patient_key({0x00100020: [patient]}, "")
