"""An embedded search index that an earlier release left is taken on as it is: `indexes` holds one of each version, as
that release's own code wrote it (`sqlite3`'s dump)."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.adapters.sqlite.index.aggregates import fill_orders
from gantry.common.adapters.sqlite.index.schema import VERSION, create
from gantry.common.dicom.query.attributes import STANDARD, Level
from gantry.common.dicom.query.matching import Document, Query, Wildcard
from gantry.common.dicom.query.ordering import SortKey
from gantry.common.dicom.standard.tags import PATIENT_ID
from gantry.common.errors import DependencyUnavailable
from gantry.common.lifecycle import Correction, Corrections, Deletion, DeletionState, Withdrawal, patient_key
from gantry.common.ports.index import CorrectionChange, Decision, InstanceEntry, InstanceKey, Outcome, SearchIndex
from tests.support.entries import documents, entry

INDEXES = Path(__file__).parent / "indexes"
VERSIONS = sorted(int(path.stem.removeprefix("index.v")) for path in INDEXES.glob("index.v*.sql"))
_MUELLER = {"PatientID": "P1", "PatientName": {"Alphabetic": "Müller^Jörg"}, "Modality": "CT"}
APPLIED = [
    entry(1, "1.1.1.1", "1.1", "1.1.1", **_MUELLER),
    entry(2, "1.1.1.2", "1.1", "1.1.1", **_MUELLER),
    entry(3, "1.2.1.1", "1.2", "1.2.1", PatientID="P2", Modality="MR"),
    entry(4, "1.1.1.1", "1.1", "1.1.1", **_MUELLER),
    entry(5, "1.2.1.1", "1.2", "1.2.1", digest="blake3:ff", PatientID="P2", Modality="MR"),
]


def left_behind(version: int, folder: Path) -> Path:
    path = folder / "index.db"
    connection = sqlite3.connect(path)
    connection.executescript((INDEXES / f"index.v{version}.sql").read_text(encoding="utf-8"))
    connection.close()
    return path


def shape(path: Path) -> set[tuple[str, str, str]]:
    """Tables with their columns in order, less their defaults, and indices with theirs."""
    connection = sqlite3.connect(path)
    try:
        names = connection.execute("SELECT type, name, tbl_name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
        return {
            (kind, name, str([(*row[:4], *row[5:]) for row in connection.execute(f"PRAGMA {kind}_info({name})")]))
            for kind, name, _ in names.fetchall()
        }
    finally:
        connection.close()


async def all_of(index: SearchIndex, level: Level) -> list[Document]:
    return [document async for page in index.find(Query("default", level, {})) for document in page]


def by_uids(index_documents: list[Document]) -> list[str]:
    return sorted(repr(sorted(document.attributes.items())) for document in index_documents)


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_index_of_before_answers_and_takes_more(version: int, tmp_path: Path) -> None:
    path = left_behind(version, tmp_path)
    index = await open_sqlite_index(path)
    expected = documents(APPLIED)
    for level in Level:
        assert by_uids(await all_of(index, level)) == by_uids(expected[level])
    name = Query("default", Level.STUDY, {0x00100010: Wildcard(("muller*",))})
    assert len([document async for page in index.find(name) for document in page]) == 1
    assert (await index.count("default"))["aside"] == 1
    by_name = Query("default", Level.STUDY, order=(SortKey(0x00100010, descending=True),))
    ordered = [document async for page in index.find(by_name) for document in page]
    assert [document.attributes[0x0020000D] for document in ordered] == [["1.1"], ["1.2"]]
    # What was applied is known; what was not is new; where things lie is known of the new alone.
    more = entry(9, "1.1.1.3", "1.1", "1.1.1", **_MUELLER)
    outcomes = [applied.outcome for applied in await index.apply([*APPLIED, more])]
    assert outcomes == [*[Outcome.REDELIVERED] * len(APPLIED), Outcome.ADDED]
    known = await index.resolve("default", ["1.1.1.2", "1.1.1.3"])
    assert known["1.1.1.3"][0].layout == more.layout
    assert known["1.1.1.2"][0].layout == (APPLIED[1].layout if version > 1 else b"")
    await index.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_index_of_before_is_like_a_new_one_and_can_be_built_anew(version: int, tmp_path: Path) -> None:
    path = left_behind(version, tmp_path)
    index = await open_sqlite_index(path)
    fresh = tmp_path / "fresh.db"
    connection = sqlite3.connect(fresh)
    create(connection, STANDARD, fill_orders)
    connection.commit()
    connection.close()
    assert shape(path) == shape(fresh)
    successor = await index.successor(STANDARD)
    await successor.apply(APPLIED)
    await successor.take_over()
    assert {uid: at.layout for uid, (at,) in (await index.resolve("default", _uids(APPLIED))).items()} == {
        instance.sop_instance_uid: instance.layout for instance in APPLIED[:3]
    }
    await successor.close()
    # And opened again it is one of ours.
    await index.close()
    again = await open_sqlite_index(path)
    assert (await again.count("default"))["instances"] == 3
    await again.close()


def _uids(entries: list[InstanceEntry]) -> list[str]:
    return [instance.sop_instance_uid for instance in entries]


def test_there_is_an_index_of_every_version_that_was_released() -> None:
    assert set(VERSIONS) >= set(range(1, VERSION))


@pytest.mark.parametrize("version", VERSIONS)
async def test_in_an_index_of_before_instances_are_deleted_and_restored(version: int, tmp_path: Path) -> None:
    index = await open_sqlite_index(left_behind(version, tmp_path))
    second = APPLIED[1]
    instance = InstanceKey(second.study_instance_uid, second.series_instance_uid, second.sop_instance_uid)
    deleted = DeletionState(frozenset([Deletion("d", 1)]))
    await index.decide([Decision("default", instance, second.receipt, deleted)])
    assert (await index.count("default"))["instances"] == 2
    await index.decide([Decision("default", instance, second.receipt, DeletionState(withdrawn=frozenset(["d"])))])
    assert (await index.count("default"))["instances"] == 3
    assert (await index.resolve("default", [second.sop_instance_uid]))[second.sop_instance_uid][
        0
    ].digest == second.digest
    await index.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_in_an_index_of_before_patients_are_merged_and_parted_again(version: int, tmp_path: Path) -> None:
    index = await open_sqlite_index(left_behind(version, tmp_path))
    key, other = (patient_key({PATIENT_ID: [patient]}, "") for patient in ("P1", "P2"))
    values = {"00100020": {"vr": "LO", "Value": ["P1"]}, "00100021": {"vr": "LO"}}
    merge = Corrections({"m": Correction("m", 1, "somebody", "", values, into=key)})
    await index.correct([CorrectionChange("default", "", other, merge)])
    assert (await index.count("default"))["patients"] == 1
    undone = Corrections(withdrawn={"m": Withdrawal(2, "somebody", "")})
    await index.correct([CorrectionChange("default", "", other, undone)])
    for level in Level:
        assert by_uids(await all_of(index, level)) == by_uids(documents(APPLIED)[level])
    await index.close()


async def test_an_index_of_a_later_release_is_left_alone(tmp_path: Path) -> None:
    path = left_behind(1, tmp_path)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version={VERSION + 1}")
    connection.close()
    with pytest.raises(DependencyUnavailable):
        await open_sqlite_index(path)
