"""Orthanc as sender, as query/retrieve client and C-MOVE destination, and as storage commitment client.

Orthanc reads a data set and writes it anew on its way in and out (DCMTK underneath), so what comes through it is
compared with pydicom, element by element; what the archive itself holds is compared by C-GET with what it sends.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid

from gantry.cli.files import DicomFile
from tests.e2e.conftest import Site
from tests.support import waiting as asking
from tests.support.objects import CT, sample, study
from tests.support.orthanc import Orthanc

KINDS = ("CT_small.dcm", "MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "GDCMJ2K_TextGBR.dcm",
         "SC_rgb_jpeg_dcmtk.dcm", "rtplan.dcm", "waveform_ecg.dcm", "test-SR.dcm")  # fmt: skip


@pytest.fixture(scope="module")
def orthanc(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("orthanc"), site.ports["ORTHANC"], site.archive.port) as running:
        yield running


def header(file: DicomFile) -> Any:
    return pydicom.dcmread(file.path, stop_before_pixels=True)


def send(orthanc: Orthanc, files: list[DicomFile]) -> list[str]:
    ids = [orthanc.upload(file.path) for file in files]
    orthanc.post("/modalities/gantry/store", {"Resources": ids, "Synchronous": True})
    return ids


def differences(ours: bytes, theirs: bytes) -> list[str]:
    """The elements in which two files differ, as pydicom reads them.

    DCMTK leaves trailing padding out, and calls compressed pixel data OB where the file says OW.
    """
    came, original = pydicom.dcmread(BytesIO(ours)), pydicom.dcmread(BytesIO(theirs))
    deviations = [str(e) for e in came if e.tag not in original or original[e.tag].value != e.value]
    deviations += [f"missing {e}" for e in original if e.tag not in came and e.tag != 0xFFFCFFFC]
    syntaxes = [ds.file_meta.TransferSyntaxUID for ds in (came, original)]
    return deviations + [f"transfer syntax {syntaxes}"] * (syntaxes[0] != syntaxes[1])


def commitment(orthanc: Orthanc, request: dict[str, Any], seconds: float = 40.0) -> dict[str, Any]:
    transaction = orthanc.post("/modalities/gantry/storage-commitment", request)["ID"]
    deadline = time.monotonic() + seconds
    while True:
        report: dict[str, Any] = orthanc.get(f"/storage-commitment/{transaction}")
        if report["Status"] != "Pending":
            return report
        assert time.monotonic() < deadline, f"no report after {seconds:g} s"
        time.sleep(0.1)


def test_orthanc_echoes(orthanc: Orthanc) -> None:
    orthanc.post("/modalities/gantry/echo", {})


def test_what_orthanc_sends_it_finds_and_gets_back(site: Site, orthanc: Orthanc, tmp_path: Path) -> None:
    files = [sample(tmp_path, name, PatientID="ORTHANC-KINDS") for name in KINDS]
    ids = send(orthanc, files)
    for file in files:
        asking.wait_found(site.modality, file)
    for key in ids:
        orthanc.delete(f"/instances/{key}")
    query = orthanc.post("/modalities/gantry/query", {"Level": "Study", "Query": {"PatientID": "ORTHANC-KINDS"}})["ID"]
    answers = orthanc.get(f"/queries/{query}/answers?expand&simplify")
    assert {answer["StudyInstanceUID"] for answer in answers} == {header(f).StudyInstanceUID for f in files}
    orthanc.post(f"/queries/{query}/retrieve", {"TargetAet": "ORTHANC", "Synchronous": True})
    for file in files:
        came = orthanc.file_of(file.sop_instance_uid)
        assert not differences(came, file.path.read_bytes())


@pytest.mark.parametrize("level", ["Patient", "Study", "Series", "Instance"])
def test_orthanc_retrieves_at_every_level(site: Site, orthanc: Orthanc, tmp_path: Path, level: str) -> None:
    files = study(tmp_path, 4, series=2, size=16, patient=f"O-{level}"[:16], name="Orth^Anc")
    ds = header(files[0])
    asking.store(site.modality, files)
    asking.wait_searchable(site.modality, ds.StudyInstanceUID, 4)
    keys = {
        "Patient": {"PatientID": ds.PatientID},
        "Study": {"StudyInstanceUID": ds.StudyInstanceUID},
        "Series": {"StudyInstanceUID": ds.StudyInstanceUID, "SeriesInstanceUID": ds.SeriesInstanceUID},
        "Instance": {
            "StudyInstanceUID": ds.StudyInstanceUID,
            "SeriesInstanceUID": ds.SeriesInstanceUID,
            "SOPInstanceUID": ds.SOPInstanceUID,
        },
    }[level]
    query = orthanc.post("/modalities/gantry/query", {"Level": level, "Query": keys})["ID"]
    assert len(orthanc.get(f"/queries/{query}/answers")) == 1
    orthanc.post(f"/queries/{query}/retrieve", {"TargetAet": "ORTHANC", "Synchronous": True})
    expected = {"Patient": files, "Study": files, "Series": files[::2], "Instance": files[:1]}[level]
    came = orthanc.post("/tools/find", {"Level": "Instance", "Query": {"PatientID": ds.PatientID}, "Expand": True})
    assert {instance["MainDicomTags"]["SOPInstanceUID"] for instance in came} == {f.sop_instance_uid for f in expected}
    for file in expected:
        assert not differences(orthanc.file_of(file.sop_instance_uid), file.path.read_bytes())


def test_orthanc_finds_a_name_in_another_script(site: Site, orthanc: Orthanc, tmp_path: Path) -> None:
    (file,) = study(tmp_path, 1, patient="O-SCRIPT", name="Müller^Jörg", SpecificCharacterSet="ISO_IR 100")
    asking.store(site.modality, [file])
    asking.wait_found(site.modality, file)
    keys = {"PatientName": "muller*", "PatientID": "O-SCRIPT"}
    query = orthanc.post("/modalities/gantry/query", {"Level": "Study", "Query": keys})["ID"]
    (answer,) = orthanc.get(f"/queries/{query}/answers?expand&simplify")
    assert answer["PatientName"] == "Müller^Jörg"


def test_orthanc_gets_commitment_for_what_it_sent(site: Site, orthanc: Orthanc, tmp_path: Path) -> None:
    files = study(tmp_path, 5, size=16, patient="O-COMMIT")
    ids = send(orthanc, files)
    report = commitment(orthanc, {"Resources": ids})
    assert report["Status"] == "Success"
    assert report["RemoteAET"] == "GANTRY"
    assert {reference["SOPInstanceUID"] for reference in report["Success"]} == {f.sop_instance_uid for f in files}
    assert not report["Failures"]


def test_orthanc_is_told_what_is_not_there(site: Site, orthanc: Orthanc, tmp_path: Path) -> None:
    files = study(tmp_path, 1, size=16, patient="O-COMMIT2")
    send(orthanc, files)
    missing = generate_uid()
    references = [{"SOPClassUID": CT, "SOPInstanceUID": uid} for uid in (files[0].sop_instance_uid, missing)]
    report = commitment(orthanc, {"DicomInstances": references})
    assert report["Status"] == "Failure"
    assert [reference["SOPInstanceUID"] for reference in report["Success"]] == [files[0].sop_instance_uid]
    assert [reference["SOPInstanceUID"] for reference in report["Failures"]] == [missing]
    assert report["Failures"][0]["FailureReason"] == 0x0112
