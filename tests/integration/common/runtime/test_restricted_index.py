"""`gantry.common.runtime.restricted_index` on a real index: an archive that is smaller for those who see less of it.

The oracle is another index, in which only what is seen was stored.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from gantry.common.access import EVERYTHING, NOTHING, Alternative, Sight, restricted
from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.dicom.query.matching import Condition, Level, Query, Single, UidList, Wildcard
from gantry.common.dicom.query.ordering import Order, OrderKey
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import IdentifierError
from gantry.common.ports.index import InstanceEntry, InstanceKey, SearchIndex
from gantry.common.runtime import restricted_index
from gantry.common.runtime.restricted_index import RestrictedIndex
from tests.support.entries import entry

PATIENT_ID, REFERRER, STUDY = TAGS["PatientID"], TAGS["ReferringPhysicianName"], TAGS["StudyInstanceUID"]
ENTRIES = [
    entry(
        n,
        f"1.9.{n}",
        f"1.{n % 12}",
        f"1.{n % 12}.{n % 2}",
        PatientID=f"P{n % 12 % 4}",
        PatientName={"Alphabetic": f"NAME^{n % 12 % 4}"},
        ReferringPhysicianName={"Alphabetic": ["Doe^Jane", "Roe^Max", "Doe^Janet"][n % 12 % 3]},
        StudyDate=f"202401{10 + n % 12}",
        Modality=["CT", "MR"][n % 2 if n % 12 % 6 == 1 else n % 12 % 2],
        InstitutionName=["North", "South", ""][n % 12 // 4],
        InstitutionalDepartmentName="Cardiology" if n % 24 == 5 or n % 12 == 8 else "Radiology",
        InstanceNumber=n,
    )
    for n in range(1, 61)
]
_number = {one.study_instance_uid: int(one.study_instance_uid.split(".")[1]) for one in ENTRIES}
OWN: Alternative = {PATIENT_ID: Single(("P1",))}
REFERRED: Alternative = {REFERRER: Single(("Doe^Jane",))}
NORTH: Alternative = {TAGS["InstitutionName"]: Single(("North",))}
MODALITY: Alternative = {TAGS["ModalitiesInStudy"]: Single(("CT",))}
DEPARTMENT: Alternative = {TAGS["InstitutionalDepartmentName"]: Single(("Cardiology",))}


def _modalities(study: int) -> set[str]:
    return {str(one.attributes[TAGS["Modality"]][0]) for one in ENTRIES if _number[one.study_instance_uid] == study}


SIGHTS = {
    "everything": (EVERYTHING, lambda study: True),
    "nothing": (NOTHING, lambda study: False),
    "record": (Sight((OWN,)), lambda study: study % 4 == 1),
    "referrals": (Sight((REFERRED,)), lambda study: study % 3 == 0),
    "either": (Sight((OWN, REFERRED)), lambda study: study % 4 == 1 or study % 3 == 0),
    "institution": (Sight((NORTH,)), lambda study: study < 4),
    "modality": (Sight((MODALITY,)), lambda study: "CT" in _modalities(study)),
    "department": (Sight((DEPARTMENT,)), lambda study: study in (5, 8)),
    "institution and modality": (Sight((NORTH | MODALITY,)), lambda study: study < 4 and "CT" in _modalities(study)),
    "department or record": (Sight((DEPARTMENT, OWN)), lambda study: study in (5, 8) or study % 4 == 1),
}
CONDITIONS: dict[str, Mapping[int, Condition]] = {
    "all": {},
    "own patient": {PATIENT_ID: Single(("P1",))},
    "another patient": {PATIENT_ID: Single(("P2",))},
    "some patients": {PATIENT_ID: Wildcard(("P*",))},
    "a referrer": {REFERRER: Wildcard(("Doe^J*",))},
    "studies": {STUDY: UidList(("1.0", "1.1", "1.2", "1.3"))},
    "days": {TAGS["StudyDate"]: Single(("20240113", "20240115", "20240119"))},
    "a series": {TAGS["SeriesInstanceUID"]: Single(("1.3.1",))},
    "a modality": {TAGS["ModalitiesInStudy"]: Single(("MR",))},
    "an institution": {TAGS["InstitutionName"]: Wildcard(("*o*",))},
}


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
    index = await filled(tmp_path / "seen.db", [one for one in ENTRIES if sees(_number[one.study_instance_uid])])
    yield sight, index
    await index.close()


def query(level: Level, conditions: Mapping[int, Condition], limit: int | None = None, order: Order = ()) -> Query:
    return Query("default", level, conditions, limit, order=order)


QUESTIONS = [(level, name) for level in (Level.STUDY, Level.SERIES, Level.IMAGE) for name in CONDITIONS]


async def test_archive_is_as_small_as_what_is_seen(whole: SearchIndex, seen: tuple[Sight, SearchIndex]) -> None:
    (sight, smaller), index = seen, RestrictedIndex(whole)
    for level, name in QUESTIONS:
        if (level, name) == (Level.STUDY, "a series"):
            continue  # no key of that level (PS3.4 C.4.1.2.1)
        asked = query(level, CONDITIONS[name])
        with restricted(sight):
            found = [one.attributes for page in [p async for p in index.find(asked)] for one in page]
            total = await index.total(asked)
            located = [one.sop_instance_uid async for page in index.locate(asked) for one in page]
        expected = [one.attributes for page in [p async for p in smaller.find(asked)] for one in page]
        assert _sorted(found) == _sorted(expected), (level, name)
        assert total == await smaller.total(asked) == len(expected), (level, name)
        there = [one.sop_instance_uid async for page in smaller.locate(asked) for one in page]
        assert sorted(located) == sorted(there), (level, name)


COUNTS = {TAGS[f"NumberOfPatientRelated{what}"] for what in ("Studies", "Series", "Instances")}


def _sorted(documents: list[Mapping[int, object]]) -> list[str]:
    return sorted(repr(sorted((t, v) for t, v in one.items() if t not in COUNTS)) for one in documents)


async def test_studies_of_a_patient_that_are_not_seen_are_not_counted(whole: SearchIndex) -> None:
    index = RestrictedIndex(whole)
    for sight, told in ((Sight((REFERRED,)), False), (Sight((OWN, REFERRED)), False), (Sight((OWN,)), True)):
        with restricted(sight):
            found = [one.attributes for page in [p async for p in index.find(query(Level.STUDY, {}))] for one in page]
            by_number = await index.total(query(Level.STUDY, {min(COUNTS): Single(("3",))}))
        assert found
        assert all((one.keys() >= COUNTS, bool(one.keys() & COUNTS)) == (told, told) for one in found)
        assert bool(by_number) is told


async def test_pages_and_orders_are_those_of_the_smaller_archive(
    whole: SearchIndex, seen: tuple[Sight, SearchIndex]
) -> None:
    (sight, smaller), order = seen, (OrderKey(TAGS["StudyDate"], True),)
    listings = []
    for index, how in ((RestrictedIndex(whole), sight), (RestrictedIndex(smaller), EVERYTHING)):
        with restricted(how):
            uids, after = [], ()
            while True:
                asked = query(Level.STUDY, {}, 2, order)
                page = [one for some in [p async for p in index.find(asked, after)] for one in some]
                if not page:
                    break
                uids += [one.attributes[STUDY][0] for one in page]
                after = page[-1].place
        listings.append(uids)
    assert listings[0] == listings[1]


async def test_patients_are_those_of_the_studies_that_are_seen(
    whole: SearchIndex, seen: tuple[Sight, SearchIndex]
) -> None:
    (sight, smaller), index = seen, RestrictedIndex(whole)
    for name in ("all", "own patient", "another patient", "some patients"):
        asked = query(Level.PATIENT, CONDITIONS[name])
        with restricted(sight):
            pages = [page async for page in index.find(asked)]
            total = await index.total(asked)
            few = [one for page in [p async for p in index.find(query(Level.PATIENT, {}, 2))] for one in page]
            first = [one.place for page in pages for one in page][:1]
            rest = [one for page in [p async for p in index.find(asked, first[0])] for one in page] if first else []
        expected = [one.attributes for page in [p async for p in smaller.find(asked)] for one in page]
        found = [one.attributes for page in pages for one in page]
        assert _sorted(found) == _sorted(expected), name
        assert total == len(expected) == len(rest) + len(first), name
        assert len(few) == min(2, await smaller.total(query(Level.PATIENT, {})))


async def test_objects_of_a_patient_are_those_of_the_studies_that_are_seen(whole: SearchIndex) -> None:
    """C-MOVE of a patient: the restriction is about studies."""
    index, asked = RestrictedIndex(whole), query(Level.PATIENT, {PATIENT_ID: Single(("P1",))})
    with restricted(Sight((REFERRED,))):
        studies = {one.study_instance_uid async for page in index.locate(asked) for one in page}
    assert studies == {"1.9"}


async def test_what_is_named_by_uids_is_there_if_its_study_is_seen(
    whole: SearchIndex, seen: tuple[Sight, SearchIndex]
) -> None:
    (sight, smaller), index = seen, RestrictedIndex(whole)
    keys = [InstanceKey(one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid) for one in ENTRIES]
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
    with restricted(SIGHTS["either"][0]), pytest.raises(IdentifierError, match="narrow the search"):
        await index.total(query(Level.STUDY, {}))
    with restricted(SIGHTS["either"][0]):
        assert await index.total(query(Level.STUDY, {PATIENT_ID: Single(("P1",))})) == 3
