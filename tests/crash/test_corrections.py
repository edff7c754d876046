"""Corrections and merges on the whole archive: seen at once everywhere, undone exactly, whatever is killed or lost."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from gantry.cli.files import DicomFile
from gantry.common.events import PatientMerged, StudyCorrected
from tests.crash.conftest import MakeArchive
from tests.crash.test_deletion import done, dying, send
from tests.crash.test_upkeep import everything, gantry, index_of, lose_log_and_index, until_sealed
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, expect_exactly, find, find_matches, get, uids_of, until, wait_for
from tests.support.dicom import from_bytes
from tests.support.objects import bytes_of, study

EXPLICIT = "1.2.840.10008.1.2.1"
SETTINGS = (
    "http: {may_correct: [loopback], may_delete: [loopback]}\n"
    "upkeep: {seal_every: 0.2, sweep_every: 0.5, sweep_grace: 0.001}\n"
    "lifecycle: {collect_every: 0.3, erase_after: 0}\n"
)
ORIGINALS = "{ae_title: ARCHIVE2, host: 127.0.0.1, port: 1, may: [retrieve, find], original: true}"
NAME = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Zoë", "Ideographic": "山田"}]}}


def archive_of(make_archive: MakeArchive) -> RunningArchive:
    archive = make_archive()
    archive.write_policy([ORIGINALS], SETTINGS)
    return archive.start()


def ask(archive: RunningArchive, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """A request below /dicom-web; (0, …) where the archive died before it answered."""
    data = None if body is None else json.dumps(body).encode()
    url = f"http://127.0.0.1:{archive.http_port}/dicom-web/{path}"
    request = urllib.request.Request(url, data, {"Content-Type": "application/dicom+json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def identity(patient: str, issuer: str = "") -> dict[str, Any]:
    attributes: dict[str, Any] = {"00100020": {"vr": "LO", "Value": [patient]}}
    return {**attributes, "00100021": {"vr": "LO", "Value": [issuer]}} if issuer else attributes


def merge(archive: RunningArchive, prior: str, into: str) -> int:
    body = {"patient": identity(prior), "into": identity(into)}
    return ask(archive, "POST", "patients/merges?reason=same", body)[0]


def part10(
    archive: RunningArchive, file: DicomFile, parameters: str = "", uids: tuple[str, str] | None = None
) -> Dataset:
    """What WADO-RS sends of one object; `uids` its study and series where it was moved."""
    study_uid, series = uids or uids_of(file)
    path = f"/dicom-web/studies/{study_uid}/series/{series}/instances/{file.sop_instance_uid}{parameters}"
    request = urllib.request.Request(
        f"http://127.0.0.1:{archive.http_port}{path}", headers={"Accept": "application/dicom"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return pydicom.dcmread(BytesIO(response.read()))


def metadata(archive: RunningArchive, file: DicomFile, parameters: str = "") -> Mapping[str, Any]:
    study_uid, series = uids_of(file)
    path = f"studies/{study_uid}/series/{series}/instances/{file.sop_instance_uid}/metadata{parameters}"
    status, (document,) = ask(archive, "GET", path)
    assert status == 200
    values: Mapping[str, Any] = document
    return values


async def shown(archive: RunningArchive, uid: str) -> tuple[str, str, str]:
    """Patient ID, name and accession number as C-FIND and QIDO-RS both say them."""
    (match,) = await find_matches(
        archive.peer, "STUDY", f"StudyInstanceUID={uid}", "PatientID", "PatientName", "AccessionNumber"
    )
    status, (document,) = ask(archive, "GET", f"studies?StudyInstanceUID={uid}&includefield=00080050")
    assert status == 200
    by_find = str(match.PatientID), str(match.PatientName), str(match.AccessionNumber)
    name = "=".join(document["00100010"]["Value"][0].values())
    assert (document["00100020"]["Value"][0], name, document["00080050"]["Value"][0]) == by_find
    return by_find


async def test_a_correction_is_seen_everywhere_at_once_and_undone_exactly(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    files, other = study(tmp_path / "files", 3, series=2), study(tmp_path / "other", 1, patient="P2")
    await send(archive, files, other)
    uid = uids_of(files[0])[0]
    async with index_of(archive) as index:
        before = await everything(index)
    values = {**NAME, "00080050": {"vr": "SH", "Value": ["A100"]}}
    status, made = ask(archive, "POST", f"studies/{uid}/corrections?reason=misspelt", values)
    assert (status, made["settled"]) == (200, True)
    assert await shown(archive, uid) == ("P1", "Müller^Zoë=山田", "A100")
    assert await find_matches(archive.peer, "STUDY", "PatientName=DOE*", "PatientID=P1") == []
    # What is retrieved says it, in every way; the pixels are what they were.
    got = await get(archive.peer, tmp_path / "got", "STUDY", f"StudyInstanceUID={uid}")
    for file in files:
        original = pydicom.dcmread(file.path)
        for data_set in (from_bytes(got[file.sop_instance_uid], EXPLICIT), part10(archive, file)):
            assert (data_set.PatientName, data_set.AccessionNumber) == ("Müller^Zoë=山田", "A100")
            assert data_set.SpecificCharacterSet == "ISO_IR 192"
            (item,) = data_set.OriginalAttributesSequence
            assert item.ModifiedAttributesSequence[0].PatientName == original.PatientName
            assert (data_set.PixelData, data_set.StudyDescription) == (original.PixelData, original.StudyDescription)
        document = metadata(archive, file)
        assert document["00100010"]["Value"] == NAME["00100010"]["Value"]
        assert document["04000561"]["Value"][0]["04000565"]["Value"] == ["CORRECT"]
        # And the bytes as they came, for who asks.
        assert part10(archive, file, "?original=true") == original
        assert metadata(archive, file, "?original=true")["00100010"]["Value"] == [{"Alphabetic": "Doe^Jane"}]
    peer = replace(archive.peer, calling_ae_title="ARCHIVE2")
    assert await get(peer, tmp_path / "asis", "STUDY", f"StudyInstanceUID={uid}") == {
        file.sop_instance_uid: bytes_of(file) for file in files
    }
    done(archive, "uncorrect", uid, made["correction"], "--reason", "right before")
    async with index_of(archive) as index:
        assert await everything(index) == before
    await expect_exactly(archive, [*files, *other], tmp_path / "got2")
    # All of it is remembered, and what was shown at any time.
    status, history = ask(archive, "GET", f"studies/{uid}/history")
    (entry,) = history["corrections"]
    assert (status, entry["reason"], entry["by"], entry["of"]) == (200, "misspelt", "loopback", "study")
    assert entry["withdrawn"]["reason"] == "right before"
    assert history["shown"]["00100010"] == history["received"]["00100010"]
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry["withdrawn"]["at"] / 1e6 - 1))
    if entry["at"] / 1e6 < entry["withdrawn"]["at"] / 1e6 - 2:
        assert ask(archive, "GET", f"studies/{uid}/history?at={at}")[1]["shown"]["00100010"] == NAME["00100010"]
    assert archive.stop() == 0


async def test_merged_patients_are_one_and_parted_again_two(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive)
    first = study(tmp_path / "one", 2, patient="P1", name="Doe^Jane")
    other = study(tmp_path / "other", 2, patient="P2", name="Doe^Janet")
    await send(archive, first, other)
    async with index_of(archive) as index:
        before = await everything(index)
    assert merge(archive, "P1", "P9") == 404
    assert merge(archive, "P1", "P2") == 200
    late = study(tmp_path / "late", 1, patient="P1", name="Doe^Jane")
    await send_more(archive, late, 5)
    for file in (first[0], other[0], late[0]):
        assert (await shown(archive, uids_of(file)[0]))[:2] == ("P2", "Doe^Janet")
    (patient,), _ = await find(archive.peer, "PATIENT", ["PatientID", "NumberOfPatientRelatedStudies"])
    assert (patient.PatientID, patient.NumberOfPatientRelatedStudies) == ("P2", 3)
    assert part10(archive, late[0]).PatientID == "P2"
    # No circles, and no second merge of the same patient; a merged one is known no more.
    assert (merge(archive, "P2", "P2"), merge(archive, "P1", "P2")) == (409, 409)
    assert "taken back" in done(archive, "unmerge", "P1", "--reason", "two persons")
    history = done(archive, "history", "--patient", "P1")
    assert "merge (taken back" in history
    assert "two persons" in history
    assert (await shown(archive, uids_of(late[0])[0]))[:2] == ("P1", "Doe^Jane")
    done(archive, "delete", uids_of(late[0])[0], "--reason", "for the comparison")
    async with index_of(archive) as index:
        assert await everything(index) == before
    # Another ID for the same patient; of somebody else it is refused.
    assert gantry(archive, "change-id", "P1", "--to", "P2", "--reason", "x").returncode != 0
    done(archive, "change-id", "P1", "--to", "N1", "--issuer", "HOSP", "--reason", "new numbers")
    (match,) = await find_matches(archive.peer, "STUDY", "PatientID=N1", "IssuerOfPatientID")
    assert (match.IssuerOfPatientID, match.StudyInstanceUID) == ("HOSP", uids_of(first[0])[0])
    done(
        archive, "correct", "--patient", "N1", "--issuer", "HOSP", "--set", "PatientBirthDate=19700101", "--reason", "x"
    )
    assert part10(archive, first[0]).PatientBirthDate == "19700101"
    # An ID that was given up is nobody's to be given: whoever takes it would be this patient.
    for arguments in (("change-id", "P2", "--to", "P1"), ("assign", uids_of(other[0])[0], "--patient", "P1")):
        refused = gantry(archive, *arguments, "--reason", "x")
        assert (refused.returncode, "merged or changed into another one" in refused.stderr) == (1, True)
    assert gantry(archive, "change-id", "P2", "--to", "A\\B", "--reason", "x").returncode == 2
    # The wrong patient was chosen at the modality.
    done(archive, "assign", uids_of(other[0])[0], "--patient", "N1", "--issuer", "HOSP", "--reason", "wrong patient")
    assert (await shown(archive, uids_of(other[0])[0]))[:2] == ("N1", "Doe^Jane")
    assert archive.stop() == 0


async def send_more(archive: RunningArchive, files: list[DicomFile], in_all: int) -> None:
    await Modality(archive.peer, files).send_all()
    await wait_for(archive, in_all)


async def test_what_was_corrected_comes_back_from_the_bucket_alone_document_by_document(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    files = [*study(tmp_path / "a", 2, series=2, patient="P1"), *study(tmp_path / "b", 1, patient="P2")]
    await send(archive, files)
    uid, series = uids_of(files[0])
    assert ask(archive, "POST", f"studies/{uid}/corrections?reason=x", NAME)[0] == 200
    of_series = {"00080060": {"vr": "CS", "Value": ["OT"]}}
    assert ask(archive, "POST", f"studies/{uid}/series/{series}/corrections?reason=x", of_series)[0] == 200
    done(archive, "correct", "--patient", "P2", "--set", "PatientSex=F", "--reason", "x")
    done(archive, "merge", "P1", "--into", "P2", "--reason", "x")
    async with index_of(archive) as index:
        before = await everything(index)
    result = await asyncio.to_thread(gantry, archive, "reindex")
    assert result.returncode == 0, result.stderr
    async with index_of(archive) as index:
        assert await everything(index) == before
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)
    await until_sealed(archive)
    assert archive.stop() == 0
    lose_log_and_index(archive)
    result = await asyncio.to_thread(gantry, archive, "restore")
    assert result.returncode == 0, result.stderr
    async with index_of(archive) as index:
        assert await everything(index) == before


@pytest.mark.parametrize("failpoint", ["before-publish=kill@1", "after-publish=kill@1"])
async def test_a_merge_that_is_cut_off_stands_whole_or_not_at_all(
    make_archive: MakeArchive, tmp_path: Path, failpoint: str
) -> None:
    archive = archive_of(make_archive)
    first, other = study(tmp_path / "one", 2, patient="P1"), study(tmp_path / "other", 1, patient="P2", name="Roe^R")
    await send(archive, first, other)
    assert dying(archive, failpoint, "merge", "P1", "--into", "P2", "--reason", "same") != 0
    merges = [event for event in await events(archive, "patients") if isinstance(event, PatientMerged)]
    assert len(merges) == (failpoint == "after-publish=kill@1")
    expected = ("P2", "Roe^R") if merges else ("P1", "Doe^Jane")
    async with asyncio.timeout(60):
        while (await shown(archive, uids_of(first[0])[0]))[:2] != expected:
            await asyncio.sleep(0.1)
    if not merges:
        done(archive, "merge", "P1", "--into", "P2", "--reason", "same")
    archive.kill()
    archive.start()
    async with asyncio.timeout(60):
        while (await shown(archive, uids_of(first[0])[0]))[:2] != ("P2", "Roe^R"):
            await asyncio.sleep(0.1)
    assert archive.stop() == 0


async def test_who_may_not_is_refused_and_what_may_not_be_corrected_too(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    files = study(tmp_path / "files", 1)
    await send(archive, files)
    uid = uids_of(files[0])[0]
    for values, word in (
        ({"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}, "StudyInstanceUID cannot be corrected here"),
        ({"00280010": {"vr": "US", "Value": [1]}}, "Rows cannot be corrected here"),
        ({"00080020": {"vr": "DA", "Value": ["yesterday"]}}, "StudyDate: not a value of DA"),
        ({"00080050": {"vr": "LO", "Value": ["A"]}}, "AccessionNumber: its vr is SH"),
        ({"00100010": {"vr": "PN", "Value": ["DOE"]}}, "PatientName: not a value of PN"),
        ({}, "nothing to correct"),
        ([], "one data set in the DICOM JSON model is needed"),
        ({"x": 1}, "neither a keyword of the data dictionary nor a tag"),
    ):
        status, answer = ask(archive, "POST", f"studies/{uid}/corrections?reason=x", values)
        assert (status, word in answer) == (400, True), answer
    assert ask(archive, "POST", f"studies/{uid}/corrections", NAME)[0] == 400  # no reason
    assert ask(archive, "POST", "studies/1.2.3/corrections?reason=x", NAME)[0] == 404
    assert ask(archive, "DELETE", f"studies/{uid}/corrections/{'0' * 32}?reason=x")[0] == 404
    assert ask(archive, "GET", "studies/1.2.3/history")[0] == 404
    assert ask(archive, "GET", f"studies/{uid}/history?at=soon")[0] == 400
    for body in (None, {}, {"patient": {}}, {"patient": identity("P1")}, {"patient": identity("P1"), "into": 1}):
        assert ask(archive, "POST", "patients/merges?reason=x", body)[0] in (400, 415)
    assert ask(archive, "POST", "patients/elsewhere?reason=x", {"patient": identity("P1")})[0] == 404
    assert not [event for event in await events(archive, "instances") if isinstance(event, StudyCorrected)]
    archive.write_policy([], "lifecycle: {collect_every: 0}\n")
    assert archive.stop() == 0
    archive.start()
    assert ask(archive, "POST", f"studies/{uid}/corrections?reason=x", NAME)[0] == 403
    assert archive.stop() == 0
