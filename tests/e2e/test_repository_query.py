"""Repository Query (PS3.4 C.6.4) by pynetdicom, on a real archive: all of it, a piece at a time, whatever happens
between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import RepositoryQuery, StudyRootQueryRetrieveInformationModelFind

from tests.support.archive import RunningArchive
from tests.support.asking import Modality, wait_for
from tests.support.objects import study
from tests.support.topology import TOPOLOGIES, environment, remove_stores

LIMIT_REACHED, INVALID_KEY = 0xB001, 0xA710


@pytest.fixture(params=TOPOLOGIES)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningArchive]:
    stores = environment(request.param, tmp_path)
    running = RunningArchive(tmp_path, environment=stores)
    try:
        yield running.start()
    finally:
        running.kill()
        remove_stores(stores)


def asked(archive: RunningArchive, level: str = "STUDY", **keys: object) -> tuple[int, list[Dataset]]:
    """The final status, and the records."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    identifier.RecordKey = b""
    identifier.StudyInstanceUID = ""
    for name, value in keys.items():
        setattr(identifier, name, value)
    client = AE("TEST_SCU")
    client.add_requested_context(RepositoryQuery)
    association = client.associate("127.0.0.1", archive.port, ae_title="GANTRY")
    assert association.is_established
    try:
        answers = []
        for status, record in association.send_c_find(identifier, RepositoryQuery):
            answers.append((status, record))
            if status.Status == LIMIT_REACHED:
                break  # pynetdicom would wait for one more response, although this is the last (PS3.7 9.3.2.2)
    finally:
        association.release()
    records = [record for status, record in answers if status.Status in (0xFF00, 0xFF01)]
    assert {status.Status for status, _ in answers[:-1]} <= {0xFF00}
    return answers[-1][0].Status, records


def whole(archive: RunningArchive, at_a_time: int, level: str = "STUDY", **keys: object) -> list[Dataset]:
    """Everything, by as many requests as it takes."""
    records: list[Dataset] = []
    for _ in range(100):
        after = {"PriorRecordKey": records[-1].RecordKey} if records else {}
        status, batch = asked(archive, level, MaximumNumberOfRecords=at_a_time, **keys, **after)
        records += batch
        if status == 0x0000:
            return records
        assert status == LIMIT_REACHED
        assert len(batch) == at_a_time
    raise AssertionError("it never ends")


async def test_an_inventory_is_taken_a_piece_at_a_time(archive: RunningArchive, tmp_path: Path) -> None:
    studies = [study(tmp_path / f"s{n}", 3, series=2, patient=f"P{n % 2}") for n in range(9)]
    await Modality(archive.peer, [file for batch in studies for file in batch]).send_all()
    await wait_for(archive, 27)
    status, all_at_once = asked(archive)
    assert (status, len(all_at_once)) == (0x0000, 9)
    uids = [record.StudyInstanceUID for record in all_at_once]
    assert len(set(uids)) == 9
    for at_a_time in (1, 4, 9, 50):
        assert [record.StudyInstanceUID for record in whole(archive, at_a_time)] == uids
    # From any record, also after a restart.
    _, rest = asked(archive, PriorRecordKey=all_at_once[3].RecordKey)
    assert [record.StudyInstanceUID for record in rest] == uids[4:]
    assert archive.stop() == 0
    archive.start()
    _, rest = asked(archive, PriorRecordKey=all_at_once[3].RecordKey)
    assert [record.StudyInstanceUID for record in rest] == uids[4:]
    # What matches is a part; other levels are listed likewise.
    results = [record.StudyInstanceUID for record in whole(archive, 2, PatientID="P1")]
    assert results == [uid for uid in uids if uid in results]
    assert len(results) == 4
    series = whole(archive, 2, "SERIES", StudyInstanceUID=uids[0], SeriesInstanceUID="")
    assert len({record.SeriesInstanceUID for record in series}) == len(series) == 2
    assert archive.stop() == 0


async def test_a_key_that_is_none_is_a710_and_no_key_is_no_key(archive: RunningArchive, tmp_path: Path) -> None:
    files = study(tmp_path / "files", 2)
    await Modality(archive.peer, files).send_all()
    await wait_for(archive, 2)
    assert asked(archive, PriorRecordKey=b"no key of yours.") == (INVALID_KEY, [])
    _, (record,) = asked(archive)
    # One of another level is none either.
    assert asked(archive, "IMAGE", SOPInstanceUID="", SeriesInstanceUID="", PriorRecordKey=record.RecordKey)[0] in (
        INVALID_KEY,
        0xA900,
    )
    assert asked(archive, MaximumNumberOfRecords=0)[0] == 0xA900
    client = AE("TEST_SCU")
    client.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    association = client.associate("127.0.0.1", archive.port, ae_title="GANTRY")
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.RecordKey = b""
    answers = list(association.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind))
    association.release()
    assert [status.Status for status, _ in answers] == [0xFF01, 0x0000]
    assert archive.stop() == 0
