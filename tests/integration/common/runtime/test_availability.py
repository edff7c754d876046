"""Instance Availability is that of the farthest store with any object, according to the index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query
from gantry.common.lifecycle import HOT, Place
from gantry.common.ports.index import InstanceKey, Relocation, SearchIndex
from gantry.common.runtime.availability import Availability
from tests.support.entries import entry

STORES = {"cold": "nearline", "near": "online", "deep": "offline"}
LIES = {"1.1.1": "cold", "1.2.1": "deep", "2.1.1": "near", "2.1.2": "cold", "3.1.1": "near", "4.1.1": HOT}
"""By SOP Instance UID; the UIDs above are what it begins with."""


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[SearchIndex]:
    opened = await open_sqlite_index(tmp_path / "index.db")
    entries = [entry(number, uid, uid[:1], uid[:3], PatientID="P1") for number, uid in enumerate([*LIES, "5.1.1"], 1)]
    await opened.apply(entries)
    await opened.relocate(
        [
            Relocation(
                "default",
                InstanceKey(row.study_instance_uid, row.series_instance_uid, row.sop_instance_uid),
                row.receipt,
                Place(1, LIES[row.sop_instance_uid]),
            )
            for row in entries
            if row.sop_instance_uid in LIES
        ]
    )
    yield opened
    await opened.close()


async def words(index: SearchIndex, level: Level, stores: dict[str, str]) -> dict[str, str]:
    documents = [document async for page in index.find(Query("default", level)) for document in page]
    tag = {Level.PATIENT: 0x00100020, Level.STUDY: 0x0020000D, Level.SERIES: 0x0020000E, Level.IMAGE: 0x00080018}[level]
    availabilities = await Availability(index, stores).of(level, documents)
    return {str(document.attributes[tag][0]): word for document, word in zip(documents, availabilities, strict=True)}


async def test_it_is_the_worst_of_what_lies_below(index: SearchIndex) -> None:
    assert await words(index, Level.STUDY, STORES) == {
        "1": "OFFLINE",
        "2": "NEARLINE",
        "3": "ONLINE",
        "4": "ONLINE",
        "5": "ONLINE",
    }
    assert await words(index, Level.SERIES, STORES) == {
        "1.1": "NEARLINE",
        "1.2": "OFFLINE",
        "2.1": "NEARLINE",
        "3.1": "ONLINE",
        "4.1": "ONLINE",
        "5.1": "ONLINE",
    }
    of_store = {"cold": "NEARLINE", "near": "ONLINE", "deep": "OFFLINE", HOT: "ONLINE"}
    images = {uid: of_store[store] for uid, store in LIES.items()}
    assert await words(index, Level.IMAGE, STORES) == {**images, "5.1.1": "ONLINE"}


async def test_with_one_store_everything_is_online_and_of_patients_nothing_is_said(index: SearchIndex) -> None:
    assert set((await words(index, Level.STUDY, {})).values()) == {"ONLINE"}
    assert await words(index, Level.PATIENT, STORES) == {"P1": ""}
    assert await words(index, Level.PATIENT, {}) == {"P1": "ONLINE"}
