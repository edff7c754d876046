"""What other people's tests get: an archive in their process, and one in a container. The sender is made up."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE

from gantry.testing import InProcessGantry
from gantry.testing.client import Client
from tests.support.engine import set_up_testcontainers
from tests.support.objects import CT, data_set, study, write
from tests.support.servers import required


def send(archive: Client, ds: Dataset) -> int:
    """A made-up sender, on another DICOM library: the status it is answered."""
    ae = AE(ae_title="CT1")
    ae.add_requested_context(CT)
    association = ae.associate(archive.host, archive.port, ae_title=archive.ae_title)
    assert association.is_established
    try:
        return int(association.send_c_store(ds).Status)
    finally:
        association.release()


@pytest.fixture
def gantry() -> Iterator[InProcessGantry]:
    with InProcessGantry() as archive:
        yield archive


def test_an_archive_in_the_test_s_process_takes_what_a_sender_sends(gantry: InProcessGantry) -> None:
    ds = data_set(patient="P7", name="Made^Up")
    assert send(gantry, ds) == 0x0000
    gantry.wait_found([ds.SOPInstanceUID])
    (match,) = gantry.find("STUDY", "PatientID=P7", "PatientName", "NumberOfStudyRelatedInstances")
    assert (str(match.PatientName), match.NumberOfStudyRelatedInstances) == ("Made^Up", 1)


def test_it_is_seeded_with_files_and_folders(gantry: InProcessGantry, tmp_path: Path) -> None:
    files = [*study(tmp_path / "a", 3, series=2), write(tmp_path, data_set())]
    (tmp_path / "a" / "notes.txt").write_text("no DICOM")
    seeded = gantry.seed(tmp_path / "a", files[-1].path)
    assert sorted(file.sop_instance_uid for file in seeded) == sorted(file.sop_instance_uid for file in files)
    assert len(gantry.find("STUDY", "StudyInstanceUID")) == 2
    with urllib.request.urlopen(f"{gantry.http_url}/readyz", timeout=5) as answer:
        assert answer.status == 200


async def test_it_can_be_used_where_an_event_loop_runs(gantry: InProcessGantry, tmp_path: Path) -> None:
    gantry.seed(write(tmp_path, data_set()).path)
    gantry.echo()


def test_two_archives_know_nothing_of_each_other_and_leave_nothing(tmp_path: Path) -> None:
    with InProcessGantry(ae_title="ONE") as first, InProcessGantry(ae_title="TWO") as second:
        first.seed(write(tmp_path, data_set()).path)
        assert len(first.find("STUDY", "StudyInstanceUID")) == 1
        assert second.find("STUDY", "StudyInstanceUID") == []
        folder = first._folder
        assert folder is not None
    assert not Path(folder.name).exists()


def test_an_archive_that_cannot_start_says_why() -> None:
    with pytest.raises(RuntimeError) as raised:
        InProcessGantry(peers=[{"ae_title": "NO_ADDRESS"}]).start()
    assert "a peer is never admitted from any address" in str(raised.value.__cause__)


@pytest.mark.timeout(600)  # the first test that asks for the image builds it
def test_a_container_takes_what_a_sender_sends(tmp_path: Path) -> None:
    set_up_testcontainers()
    from gantry.testing.container import GantryContainer

    with GantryContainer(required("gantry").address).admitting("CT1") as archive:
        ds = data_set(patient="P8")
        assert send(archive, ds) == 0x0000
        archive.wait_found([ds.SOPInstanceUID])
        archive.seed(write(tmp_path, data_set(patient="P9")).path)
        assert sorted(str(m.PatientID) for m in archive.find("STUDY", "PatientID")) == ["P8", "P9"]


def started_within() -> float:
    begun = time.monotonic()
    with InProcessGantry():
        return time.monotonic() - begun


if __name__ == "__main__":
    print(sorted(started_within() for _ in range(5))[2])
