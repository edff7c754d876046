"""Shadow mode with Orthanc as the other archive and DCMTK as the peers, in both topologies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pydicom
import pytest

from gantry.cli.files import DicomFile
from tests.support import stow
from tests.support.dcmtk import find, ok, run
from tests.support.objects import study
from tests.support.shadowed import Shadowed
from tests.support.topology import TOPOLOGIES, environment, remove_stores

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module", params=TOPOLOGIES)
def stores(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    variables = environment(request.param, tmp_path_factory.mktemp("stores"))
    yield variables
    remove_stores(variables)


@pytest.fixture(scope="module")
def site(stores: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shadowed]:
    with Shadowed(tmp_path_factory.mktemp("site"), stores, {}) as running:
        yield running


def uid_of(files: list[DicomFile]) -> str:
    return str(pydicom.dcmread(files[0].path, stop_before_pixels=True).StudyInstanceUID)


def address(site: Shadowed, calling: str = "MODALITY") -> tuple[object, ...]:
    return "-aet", calling, "-aec", "GANTRY", "127.0.0.1", site.door.port


def send(site: Shadowed, folder: Path) -> None:
    ok("dcmsend", "-dn", "-aet", "MODALITY", "-aec", "GANTRY", "127.0.0.1", site.door.port, "+sd", folder)


def ask(site: Shadowed, folder: Path, uid: str, *keys: str) -> int:
    arguments = (
        "-k",
        "QueryRetrieveLevel=STUDY",
        "-k",
        f"StudyInstanceUID={uid}",
        *(x for key in keys for x in ("-k", key)),
    )
    return len(find(address(site), folder, "-S", *arguments))


def test_what_is_stored_is_stored_in_both_and_answered_alike(site: Shadowed, tmp_path: Path) -> None:
    files = study(tmp_path / "sent", 6, series=2, patient="S1", name="Shadow^Sue")
    before = site.count("shadow_compared_total", operation="C-STORE")
    send(site, tmp_path / "sent")
    site.wait(lambda: site.count("shadow_compared_total", operation="C-STORE") == before + 6, "six compared")
    assert site.count("shadow_compared_total", operation="C-STORE", outcome="different") == 0
    for file in files:
        assert site.orthanc.file_of(file.sop_instance_uid)
    site.wait(lambda: ask(site, tmp_path / f"found{len(list(tmp_path.iterdir()))}", uid_of(files)) == 1, "found")
    keys = ("PatientName", "PatientID", "NumberOfStudyRelatedInstances", "StudyDate", "ModalitiesInStudy")
    before = site.count("shadow_compared_total", operation="C-FIND", outcome="same")
    assert ask(site, tmp_path / "asked", uid_of(files), *keys) == 1
    site.wait(lambda: site.count("shadow_compared_total", operation="C-FIND", outcome="same") > before, "same answers")
    assert site.count("shadow_reached") == 1


def test_what_one_of_them_lacks_is_told_by_its_uid(site: Shadowed, tmp_path: Path) -> None:
    files = study(tmp_path / "sent", 1, patient="S2", name="Shadow^Sid")
    before = site.count("shadow_compared_total", operation="C-STORE")
    send(site, tmp_path / "sent")
    site.wait(lambda: site.count("shadow_compared_total", operation="C-STORE") > before, "compared")
    (instance,) = site.orthanc.post("/tools/lookup", files[0].sop_instance_uid.encode())
    site.orthanc.delete(f"/instances/{instance['ID']}")
    site.wait(lambda: ask(site, tmp_path / f"found{len(list(tmp_path.iterdir()))}", uid_of(files)) == 1, "found")
    site.wait(lambda: site.count("shadow_differences_total", kind="only_gantry") >= 1, "different")
    (line,) = [
        line for line in site.door.log.read_text().splitlines() if "answers differ" in line and "only_gantry" in line
    ]
    assert uid_of(files) in line
    assert "Shadow" not in line
    assert "S2" not in line


def test_whom_one_of_them_rejects_is_told(site: Shadowed) -> None:
    assert run("echoscu", *address(site, "STRANGER")).returncode != 0
    site.wait(lambda: site.count("shadow_differences_total", kind="rejected") == 1, "told")


def test_what_reports_back_is_not_asked_twice(site: Shadowed, tmp_path: Path) -> None:
    before = site.count("shadow_not_mirrored_total", operation="C-MOVE")
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3")
    run("movescu", "-S", "-aem", "MODALITY", *keys, *address(site))
    compared = site.count("shadow_not_mirrored_total")
    site.wait(lambda: site.count("shadow_not_mirrored_total") > before, f"counted ({compared})")
    assert site.count("shadow_compared_total", operation="C-MOVE") == 0


def test_what_is_read_over_http_is_read_from_both(site: Shadowed, tmp_path: Path) -> None:
    files = study(tmp_path / "sent", 2, patient="S3", name="Shadow^Sal")
    stored = site.count("shadow_compared_total", operation="C-STORE")
    send(site, tmp_path / "sent")
    site.wait(lambda: site.count("shadow_compared_total", operation="C-STORE") == stored + 2, "compared")
    site.wait(lambda: ask(site, tmp_path / f"found{len(list(tmp_path.iterdir()))}", uid_of(files)) == 1, "found")
    uid = uid_of(files)
    for path, operation in (
        (f"studies?StudyInstanceUID={uid}&includefield=PatientName", "QIDO-RS"),
        (f"studies/{uid}/metadata", "WADO-RS metadata"),
        (f"studies/{uid}", "WADO-RS instances"),
    ):
        before = site.count("shadow_compared_total", operation=operation)
        status, _ = site.door.http(f"/dicom-web/{path}")
        assert status == 200
        counted = partial(site.count, "shadow_compared_total", operation=operation)
        site.wait(lambda base=before, now=counted: now() > base, f"{operation} compared")  # type: ignore[misc]
        different = site.count("shadow_compared_total", operation=operation, outcome="different")
        assert different == 0, site.door.log.read_text()[-2000:]


def test_what_a_web_client_stores_is_stored_in_both(site: Shadowed, tmp_path: Path) -> None:
    sent = study(tmp_path / "sent", 2, patient="S6", name="Shadow^Sia")
    before = site.count("shadow_compared_total", operation="STOW-RS")
    answer = stow.post(site.door, stow.files([file.path.read_bytes() for file in sent]))
    assert (answer.status, sorted(answer.stored())) == (200, sorted(file.sop_instance_uid for file in sent))
    site.wait(lambda: site.count("shadow_compared_total", operation="STOW-RS") == before + 1, "compared")
    different = site.count("shadow_compared_total", operation="STOW-RS", outcome="different")
    assert different == 0, site.door.log.read_text()[-2000:]
    for file in sent:
        assert site.orthanc.file_of(file.sop_instance_uid)


def test_what_c_get_fetches_is_fetched_from_both(site: Shadowed, tmp_path: Path) -> None:
    files = study(tmp_path / "sent", 3, patient="S4", name="Shadow^Sam")
    stored = site.count("shadow_compared_total", operation="C-STORE")
    send(site, tmp_path / "sent")
    site.wait(lambda: site.count("shadow_compared_total", operation="C-STORE") == stored + 3, "compared")
    site.wait(lambda: ask(site, tmp_path / f"found{len(list(tmp_path.iterdir()))}", uid_of(files)) == 1, "found")
    (tmp_path / "got").mkdir()
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid_of(files)}")
    ok("getscu", "-S", "+B", "-od", tmp_path / "got", *keys, *address(site))
    assert len(list((tmp_path / "got").iterdir())) == 3
    site.wait(lambda: site.count("shadow_compared_total", operation="C-GET") == 1, "compared")
    assert site.count("shadow_differences_total", operation="C-GET") == 0, site.door.log.read_text()[-2000:]


def test_the_report_survives_the_door_and_says_what_differs(site: Shadowed, tmp_path: Path) -> None:
    ok("echoscu", *address(site))
    site.wait(lambda: site.count("shadow_compared_total", operation="C-ECHO") >= 1, "compared")
    # Each test before this one left something in the counts; a door that starts anew adds to them.
    site.door.stop()
    first = json.loads(site.command("--json"))
    site.door.start()
    ok("echoscu", *address(site))
    site.wait(lambda: site.count("shadow_compared_total", operation="C-ECHO") >= 1, "compared")
    site.door.stop()
    then = json.loads(site.command("--json"))
    site.door.start()
    assert then["operations"]["C-ECHO"]["same"] == first["operations"]["C-ECHO"]["same"] + 1
    assert then["operations"]["C-ECHO"]["seconds"]["other"]["p95"] > 0
    output = site.command()
    assert "Peers are answered by Gantry." in output
    assert "In 1 day" in output
    for example in then["examples"]:
        assert example["calling"] in ("MODALITY", "STRANGER")


def test_before_the_switch_the_other_archive_answers_and_gantry_is_compared(tmp_path: Path) -> None:
    with Shadowed(tmp_path, {}, {"answers": "other"}) as site:
        files = study(tmp_path / "sent", 2, patient="S5", name="Shadow^Sol")
        send(site, tmp_path / "sent")
        site.wait(lambda: site.count("shadow_compared_total", operation="C-STORE") == 2, "compared")
        assert site.count("shadow_compared_total", operation="C-STORE", outcome="same") == 2
        # The peer hears Orthanc, which finds its study at once.
        assert ask(site, tmp_path / "found", uid_of(files), "PatientName", "NumberOfStudyRelatedSeries") == 1
        site.wait(lambda: site.count("shadow_compared_total", operation="C-FIND", outcome="same") == 1, "compared")
        assert run("echoscu", *address(site, "STRANGER")).returncode == 0
        site.wait(lambda: site.count("shadow_differences_total", kind="rejected") == 1, "told")
        site.door.stop()
        output = site.command()
        site.door.start()
        assert "Peers are answered by the other archive." in output
