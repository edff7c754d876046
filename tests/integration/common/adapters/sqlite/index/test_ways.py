"""Which way the embedded index takes to studies in an order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.adapters.sqlite.database import Readers
from gantry.common.adapters.sqlite.index.ordered import Way, walk_of
from gantry.common.adapters.sqlite.index.paths import path_of_studies
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Condition, Cursor, Fuzzy, Query, Wildcard
from gantry.common.dicom.query.ordering import SortKey, signature
from gantry.common.dicom.standard.tags import PATIENT_ID, PATIENT_NAME, STUDY_DATE, STUDY_TIME
from tests.support.entries import entry

NEWEST = (SortKey(STUDY_DATE, True), SortKey(STUDY_TIME, True))
WORD = Fuzzy(("new*",))


@pytest.fixture
async def readers(tmp_path: Path) -> AsyncIterator[Readers]:
    """300 studies: the 100 newest are of patients called Old New, those before of Old Only."""
    index = await open_sqlite_index(tmp_path / "index.db")
    names = ["Old^New" if n >= 200 else "Old^Only" for n in range(300)]
    await index.apply(
        [
            entry(
                n,
                f"1.9.{n}",
                f"1.{n}",
                f"1.{n}.1",
                PatientID=f"P{n}",
                PatientName={"Alphabetic": names[n]},
                StudyDate=f"{2000 + n // 12}{1 + n % 12:02}01",
            )
            for n in range(300)
        ]
    )
    readers = Readers(tmp_path / "index.db", "index")
    yield readers
    readers.close()
    await index.close()


async def way(readers: Readers, tag: int, condition: Condition, limit: int | None, after: Cursor = ()) -> Way:
    query = Query("default", Level.STUDY, {tag: condition}, limit=limit, order=NEWEST)
    return (await readers.run(partial(walk_of, query=query, path=path_of_studies(query), after=after))).way


async def test_what_the_next_studies_hold_is_not_looked_for_in_all(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gantry.common.adapters.sqlite.index.ordered.NEXT", 150)
    assert await way(readers, PATIENT_NAME, WORD, 100) is Way.BY_THE_ORDER
    assert await way(readers, PATIENT_NAME, WORD, 101) is Way.OF_A_LIST
    assert await way(readers, PATIENT_NAME, WORD, None) is Way.OF_A_LIST


async def test_from_a_place_on_it_is_the_next_ones_behind_it_that_count(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gantry.common.adapters.sqlite.index.ordered.NEXT", 50)
    behind = (signature(NEWEST), f"{2000 + 220 // 12}{1 + 220 % 12:02}01", "", "1.220")
    assert await way(readers, PATIENT_NAME, WORD, 40) is Way.BY_THE_ORDER
    assert await way(readers, PATIENT_NAME, WORD, 40, behind) is Way.OF_A_LIST


async def test_few_on_a_path_are_sorted(readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await way(readers, PATIENT_ID, Wildcard(("P*",)), 1) is Way.ALONG_THE_PATH
    monkeypatch.setattr("gantry.common.adapters.sqlite.index.ordered.NEXT", 150)
    assert await way(readers, PATIENT_ID, Wildcard(("P*",)), 10) is Way.BY_THE_ORDER
    assert await way(readers, PATIENT_ID, Wildcard(("P1*",)), 10) is Way.ALONG_THE_PATH


async def test_an_order_without_an_index_of_its_own_is_not_tried(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gantry.common.adapters.sqlite.index.ordered.NEXT", 150)
    order = (SortKey(PATIENT_NAME), SortKey(STUDY_DATE))
    query = Query("default", Level.STUDY, {PATIENT_NAME: WORD}, limit=1, order=order)
    assert (await readers.run(partial(walk_of, query=query, path=path_of_studies(query)))).way is Way.OF_A_LIST
