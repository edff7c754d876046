"""`gantry.common.runtime.restricted_index` on a real index: an archive that is smaller for those who see less of it.

The oracle is another index, in which only what is seen was stored.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gantry.common.access import EVERYTHING, Sight, restricted
from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.dicom.query.matching import Level, Single
from gantry.common.dicom.query.ordering import SortKey
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import IdentifierError
from gantry.common.ports.index import InstanceEntry, InstanceKey, SearchIndex
from gantry.common.runtime import restricted_index
from gantry.common.runtime.restricted_index import RestrictedIndex
from tests.support.sights import (
    CONDITIONS,
    COUNTS,
    ENTRIES,
    NUMBER,
    OWN,
    PATIENT_ID,
    QUESTIONS,
    REFERRED,
    SIGHTS,
    STUDY,
    query,
    texts,
)


async def filled(path: Path, entries: list[InstanceEntry]) -> SearchIndex:
    index = await open_sqlite_index(path)
    if entries:
        await index.apply(entries)
    return index


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[SearchIndex]:
    index = await filled(tmp_path / "whole.db", ENTRIES)
    yield index
    await index.close()


@pytest.fixture(params=SIGHTS)
async def seen(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Sight, SearchIndex]]:
    sight, sees = SIGHTS[request.param]
    index = await filled(tmp_path / "seen.db", [entry for entry in ENTRIES if sees(NUMBER[entry.study_instance_uid])])
    yield sight, index
    await index.close()


async def test_archive_is_as_small_as_what_is_seen(whole: SearchIndex, seen: tuple[Sight, SearchIndex]) -> None:
    (sight, smaller), index = seen, RestrictedIndex(whole)
    for level, name in QUESTIONS:
        if (level, name) == (Level.STUDY, "a series"):
            continue  # no key of that level (PS3.4 C.4.1.2.1)
        question = query(level, CONDITIONS[name])
        with restricted(sight):
            answers = [document.attributes for page in [p async for p in index.find(question)] for document in page]
            total = await index.total(question)
            located = [location.sop_instance_uid async for page in index.locate(question) for location in page]
        expected = [document.attributes for page in [p async for p in smaller.find(question)] for document in page]
        assert texts(answers) == texts(expected), (level, name)
        assert total == await smaller.total(question) == len(expected), (level, name)
        uids = [location.sop_instance_uid async for page in smaller.locate(question) for location in page]
        assert sorted(located) == sorted(uids), (level, name)


async def test_studies_of_a_patient_that_are_not_seen_are_not_counted(whole: SearchIndex) -> None:
    index = RestrictedIndex(whole)
    for sight, has_counts in ((Sight((REFERRED,)), False), (Sight((OWN, REFERRED)), False), (Sight((OWN,)), True)):
        with restricted(sight):
            answers = [
                document.attributes
                for page in [p async for p in index.find(query(Level.STUDY, {}))]
                for document in page
            ]
            by_number = await index.total(query(Level.STUDY, {min(COUNTS): Single(("3",))}))
        assert answers
        assert all(
            (answer.keys() >= COUNTS, bool(answer.keys() & COUNTS)) == (has_counts, has_counts) for answer in answers
        )
        assert bool(by_number) is has_counts


async def test_pages_and_orders_are_those_of_the_smaller_archive(
    whole: SearchIndex, seen: tuple[Sight, SearchIndex]
) -> None:
    (sight, smaller), order = seen, (SortKey(TAGS["StudyDate"], True),)
    listings = []
    for index, how in ((RestrictedIndex(whole), sight), (RestrictedIndex(smaller), EVERYTHING)):
        with restricted(how):
            uids, after = [], ()
            while True:
                question = query(Level.STUDY, {}, 2, order)
                page = [document for batch in [p async for p in index.find(question, after)] for document in batch]
                if not page:
                    break
                uids += [document.attributes[STUDY][0] for document in page]
                after = page[-1].place
        listings.append(uids)
    assert listings[0] == listings[1]


async def test_patients_are_those_of_the_studies_that_are_seen(
    whole: SearchIndex, seen: tuple[Sight, SearchIndex]
) -> None:
    (sight, smaller), index = seen, RestrictedIndex(whole)
    for name in ("all", "own patient", "another patient", "some patients"):
        question = query(Level.PATIENT, CONDITIONS[name])
        with restricted(sight):
            pages = [page async for page in index.find(question)]
            total = await index.total(question)
            few = [document for page in [p async for p in index.find(query(Level.PATIENT, {}, 2))] for document in page]
            first = [document.place for page in pages for document in page][:1]
            rest = (
                [document for page in [p async for p in index.find(question, first[0])] for document in page]
                if first
                else []
            )
        expected = [document.attributes for page in [p async for p in smaller.find(question)] for document in page]
        answers = [document.attributes for page in pages for document in page]
        assert texts(answers) == texts(expected), name
        assert total == len(expected) == len(rest) + len(first), name
        assert len(few) == min(2, await smaller.total(query(Level.PATIENT, {})))


async def test_objects_of_a_patient_are_those_of_the_studies_that_are_seen(whole: SearchIndex) -> None:
    """C-MOVE of a patient: the restriction is about studies."""
    index, question = RestrictedIndex(whole), query(Level.PATIENT, {PATIENT_ID: Single(("P1",))})
    with restricted(Sight((REFERRED,))):
        studies = {location.study_instance_uid async for page in index.locate(question) for location in page}
    assert studies == {"1.9"}


async def test_what_is_named_by_uids_is_there_if_its_study_is_seen(
    whole: SearchIndex, seen: tuple[Sight, SearchIndex]
) -> None:
    (sight, smaller), index = seen, RestrictedIndex(whole)
    keys = [
        InstanceKey(entry.study_instance_uid, entry.series_instance_uid, entry.sop_instance_uid) for entry in ENTRIES
    ]
    uids = [key.sop_instance_uid for key in keys]
    with restricted(sight):
        assert await index.current("default", keys) == await smaller.current("default", keys)
        assert await index.resolve("default", uids) == await smaller.resolve("default", uids)
        assert await index.receipts_of("default", keys) == await smaller.receipts_of("default", keys)
        assert await index.receipts("default", keys[0]) == await smaller.receipts("default", keys[0])
        for study in ("1.0", "1.1", "1.2", "1.404"):
            assert (await index.corrected("default", study) is None) == (
                await smaller.corrected("default", study) is None
            )


async def test_more_studies_than_can_be_looked_up_are_refused(
    whole: SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restricted_index, "MOST_STUDIES", 3)
    index = RestrictedIndex(whole)
    with restricted(SIGHTS["department or record"][0]), pytest.raises(IdentifierError, match="narrow the search"):
        await index.total(query(Level.STUDY, {}))
    with restricted(SIGHTS["department or record"][0]):
        assert await index.total(query(Level.STUDY, {PATIENT_ID: Single(("P1",))})) == 3
    with restricted(SIGHTS["either of many"][0]):
        assert await index.total(query(Level.STUDY, {})) > 3
