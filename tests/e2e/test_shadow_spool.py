"""Shadow mode with Orthanc as the other archive: it is away while DCMTK sends, the door is killed meanwhile, and
nothing of what was acknowledged is missing in the end; and what both would move is compared."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest

from gantry.cli.files import DicomFile
from tests.support.dcmtk import ok, run
from tests.support.objects import study
from tests.support.shadowed import CALLERS, Shadowed

pytestmark = pytest.mark.timeout(240)


def admit(site: Shadowed) -> None:
    """Tell an Orthanc that was started anew who its peers are."""
    for caller in CALLERS:
        modality = {"AET": caller, "Host": "127.0.0.1", "Port": 104}
        site.orthanc.raw(f"/modalities/{caller}", json.dumps(modality).encode(), "PUT")


def test_processes_of_a_door_share_a_spool_and_the_next_ones_take_it_over(tmp_path: Path) -> None:
    spool = tmp_path / "spool"

    def waiting() -> list[int]:
        """Objects, of each process that has any."""
        return sorted(count for owner in spool.iterdir() if (count := len(list(owner.glob("*/0*[0-9]")))))

    with Shadowed(tmp_path, {}, {"spool": str(spool)}, "", "--workers", "2") as site:
        site.orthanc.__exit__()
        sent: list[DicomFile] = []
        for number in range(8):
            sent += study(tmp_path / f"sent{number}", 2, patient=f"W{number}", name="Work^Er")
            address = "-aet", "MODALITY", "-aec", "GANTRY", "127.0.0.1", site.door.port
            ok("dcmsend", *address, "+sd", tmp_path / f"sent{number}")
        site.wait(lambda: sum(waiting()) == len(sent), "spooled")
        assert len(list(spool.iterdir())) == 2
        site.door.kill()
        site.door.start()
        assert sum(waiting()) == len(sent)
        site.orthanc.__enter__()
        admit(site)
        site.wait(lambda: not waiting(), "sent", 120.0)
        assert len(list(spool.iterdir())) == 2  # those of the killed ones are gone
        for file in sent:
            assert site.orthanc.file_of(file.sop_instance_uid)


def test_what_both_would_move_is_compared_and_moved_once(tmp_path: Path) -> None:
    with Shadowed(tmp_path, {}, {"asks": ["store", "move"]}) as site:
        sent = study(tmp_path / "sent", 6, series=3, patient="S3", name="Move^Sue")
        address = "-aet", "MODALITY", "-aec", "GANTRY", "127.0.0.1", site.door.port
        ok("dcmsend", *address, "+sd", tmp_path / "sent")
        site.wait(lambda: site.count("shadow_compared_total", operation="C-STORE") == len(sent), "stored in both")
        uid = str(pydicom.dcmread(sent[0].path, stop_before_pixels=True).StudyInstanceUID)
        keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}")
        run("movescu", "-S", "-aem", "MODALITY", *keys, *address)  # nobody listens there
        site.wait(lambda: site.count("shadow_compared_total", operation="C-MOVE", outcome="same") == 1, "the same")
        (instance,) = site.orthanc.post("/tools/lookup", sent[0].sop_instance_uid.encode())
        site.orthanc.delete(f"/instances/{instance['ID']}")
        run("movescu", "-S", "-aem", "MODALITY", *keys, *address)
        site.wait(lambda: site.count("shadow_differences_total", operation="C-MOVE") == 1, "different")
        (line,) = [line for line in site.door.log.read_text().splitlines() if "only_gantry" in line]
        assert sent[0].sop_instance_uid in line


def test_what_is_sent_while_the_other_archive_is_away_and_the_door_dies_is_there_in_the_end(tmp_path: Path) -> None:
    with Shadowed(tmp_path, {}, {"memory": 1, "spool": str(tmp_path / "spool")}) as site:
        site.orthanc.__exit__()
        first = study(tmp_path / "first", 5, series=2, patient="S1", name="Spool^Sue")
        second = study(tmp_path / "second", 3, patient="S2", name="Spool^Sid")
        for folder in ("first", "second"):
            ok("dcmsend", "-aet", "MODALITY", "-aec", "GANTRY", "127.0.0.1", site.door.port, "+sd", tmp_path / folder)
        site.wait(lambda: site.count("shadow_spool_objects") == len(first) + len(second), "spooled")
        site.wait(lambda: bool(list((tmp_path / "data").rglob("shadow/*/*.json"))), "saved")
        assert "8 objects wait in the door's spool" in site.command()
        site.door.kill()
        site.door.start()
        site.orthanc.__enter__()
        admit(site)
        site.wait(lambda: site.count("shadow_spool_objects") == 0, "sent", 120.0)
        for file in (*first, *second):
            assert site.orthanc.file_of(file.sop_instance_uid)
        same = site.count("shadow_compared_total", operation="C-STORE", outcome="same")
        assert same == len(first) + len(second)
        assert site.count("shadow_given_up_total") == 0
        site.wait(lambda: json.loads(site.command("--json"))["waiting"]["objects"] == 0, "told")
