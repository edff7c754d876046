"""Coercion on the whole archive: seen everywhere at once, the bytes stay, and all of it comes back from the bucket."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest

from gantry.cli.files import DicomFile
from gantry.common.events import InstanceStored
from gantry.common.net import Peer
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_corrections import ask, metadata, part10, shown
from tests.crash.test_deletion import done
from tests.crash.test_upkeep import everything, gantry, index_of, lose_log_and_index, until_sealed
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, find, find_matches, get, uids_of, until, wait_for
from tests.support.dcmtk import ok
from tests.support.dicom import from_bytes
from tests.support.objects import bytes_of, data_set, study, write
from tests.support.stow import files as parts
from tests.support.stow import post

EXPLICIT = "1.2.840.10008.1.2.1"
SETTINGS = (
    "http: {may_correct: [loopback], may_delete: [loopback]}\n"
    "upkeep: {seal_every: 0.2, sweep_every: 0.5, sweep_grace: 0.001}\n"
    "lifecycle: {collect_every: 0}\n"
)
RULES = """coercion:
  answer: warning
  rules:
    - {name: issuer of north, calling: ['NORTH*'], issuer: NORTH}
    - name: names of north
      calling: ['NORTH*', loopback]
      where: ['Modality=CT', 'PatientID=P1']
      set: {PatientName: 'Müller^Zoë=山田'}
      copy: {AccessionNumber: StudyID}
      map: {StudyDescription: {values: {CT of something: Skull}}}
"""
ORIGINALS = "{ae_title: ARCHIVE2, host: 127.0.0.1, port: 1, may: [retrieve, find], original: true}"
COERCED = ("P1", "Müller^Zoë=山田", "S1")


def archive_of(make_archive: MakeArchive, rules: str = RULES) -> RunningArchive:
    archive = make_archive()
    archive.write_policy([ORIGINALS], SETTINGS + rules)
    return archive.start()


def north(archive: RunningArchive) -> Peer:
    return replace(archive.peer, calling_ae_title="NORTH1")


async def send(archive: RunningArchive, files: list[DicomFile], peer: Peer | None = None) -> None:
    await Modality(peer or north(archive), files).send_all()


async def expect_coerced(archive: RunningArchive, files: list[DicomFile], folder: Path) -> None:
    """Every object as it is retrieved: by C-GET, WADO-RS and in metadata; and as it came."""
    uid = uids_of(files[0])[0]
    got = await get(archive.peer, folder, "STUDY", f"StudyInstanceUID={uid}")
    assert got.keys() == {file.sop_instance_uid for file in files}
    for file in files:
        original = pydicom.dcmread(file.path)
        for dataset in (from_bytes(got[file.sop_instance_uid], EXPLICIT), part10(archive, file)):
            assert (str(dataset.PatientName), dataset.IssuerOfPatientID, dataset.AccessionNumber) == (
                COERCED[1],
                "NORTH",
                "S1",
            )
            assert (dataset.StudyDescription, dataset.PixelData) == ("Skull", original.PixelData)
            (item,) = dataset.OriginalAttributesSequence
            assert (item.ReasonForTheAttributeModification, item.ModifyingSystem) == ("COERCE", "GANTRY")
            before = item.ModifiedAttributesSequence[0]
            assert (before.PatientName, before.AccessionNumber) == (original.PatientName, original.AccessionNumber)
        document = metadata(archive, file)
        assert document["00100021"]["Value"] == ["NORTH"]
        assert document["04000561"]["Value"][0]["04000565"]["Value"] == ["COERCE"]
        as_it_came = part10(archive, file, "?original=true")
        assert as_it_came == original
        assert (0x0002, 0x0102) not in as_it_came.file_meta
        assert "00100021" not in metadata(archive, file, "?original=true")
    peer = replace(archive.peer, calling_ae_title="ARCHIVE2")
    assert await get(peer, folder.with_name(f"{folder.name}-asis"), "STUDY", f"StudyInstanceUID={uid}") == {
        file.sop_instance_uid: bytes_of(file) for file in files
    }


async def test_what_is_coerced_is_seen_everywhere_at_once_and_the_bytes_stay(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    files = [*study(tmp_path / "files", 3, series=2)]
    uid, series = uids_of(files[0])
    # More than one chunk of ingest.
    files.append(write(tmp_path / "files", data_set(study=uid, series=series, size=1300)))
    others = study(tmp_path / "others", 1, patient="P1", name="Doe^Jane")
    await send(archive, files)
    # The sweeper may have told of some of them, too.
    stored = {event.receipt: event for event in await events(archive, "instances") if isinstance(event, InstanceStored)}
    assert len(stored) == 4
    assert all(event.coercion for event in stored.values())
    # At once: what is acknowledged is retrieved as it will be, whether the indexers have come so far or not.
    assert part10(archive, files[-1]).IssuerOfPatientID == "NORTH"
    await send(archive, others, archive.peer)
    await wait_for(archive, 5)
    assert await shown(archive, uid) == COERCED
    (match,) = await find_matches(
        archive.peer, "STUDY", "IssuerOfPatientID=NORTH", "StudyDescription=Skull", "PatientID"
    )
    assert match.PatientID == "P1"
    # Somebody else's P1 is another patient, and no rule is about that sender.
    assert len((await find(archive.peer, "PATIENT", ["PatientID=P1"]))[0]) == 2
    assert await shown(archive, uids_of(others[0])[0]) == ("P1", "Doe^Jane", "A1")
    await expect_coerced(archive, files, tmp_path / "got")
    assert archive.metric('gantry_objects_coerced_total{rule="issuer of north"}') == 4
    assert archive.metric('gantry_objects_received_total{status="B000"}') == 4
    # A correction comes after it, and both are said.
    done(archive, "correct", uid, "--set", "PatientName=Later^Name", "--reason", "x")
    corrected = part10(archive, files[0])
    assert (corrected.PatientName, corrected.IssuerOfPatientID) == ("Later^Name", "NORTH")
    assert [item.ReasonForTheAttributeModification for item in corrected.OriginalAttributesSequence] == [
        "COERCE",
        "CORRECT",
    ]
    assert part10(archive, files[0], "?original=true") == pydicom.dcmread(files[0].path)
    # A merge follows the identity that the rules gave.
    body = {
        "patient": {"00100020": {"vr": "LO", "Value": ["P1"]}, "00100021": {"vr": "LO", "Value": ["NORTH"]}},
        "into": {"00100020": {"vr": "LO", "Value": ["P1"]}},
    }
    assert ask(archive, "POST", "patients/merges?reason=same", body)[0] == 200
    assert len((await find(archive.peer, "PATIENT", ["PatientID=P1"]))[0]) == 1
    assert archive.stop() == 0


async def test_stow_is_answered_with_a_warning_reason_or_as_a_success(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    files = study(tmp_path / "one", 1)
    answer = post(archive, parts([files[0].path.read_bytes()]))
    assert (answer.status, answer.warnings()) == (202, [0xB000])
    assert str(part10(archive, files[0]).PatientName) == COERCED[1]
    assert archive.stop() == 0
    archive.write_policy([ORIGINALS], SETTINGS + RULES.replace("warning", "success"))
    archive.start()
    other = study(tmp_path / "other", 1)
    answer = post(archive, parts([other[0].path.read_bytes()]))
    assert (answer.status, answer.warnings()) == (200, [])
    assert str(part10(archive, other[0]).PatientName) == COERCED[1]
    assert archive.stop() == 0


async def restored(archive: RunningArchive) -> None:
    """Log and index are lost, and come back from the bucket alone."""
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)
    await until_sealed(archive)
    assert archive.stop() == 0
    lose_log_and_index(archive)
    result = await asyncio.to_thread(gantry, archive, "restore")
    assert result.returncode == 0, result.stderr


async def test_what_was_coerced_comes_back_from_the_bucket_alone_document_by_document(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    files = study(tmp_path / "files", 3, series=2)
    await send(archive, files)
    # The same bytes again under no rule, and other bytes of an instance: redundant, and a conflict.
    await send(archive, files[:2], archive.peer)
    uid, series = uids_of(files[2])
    twice = data_set(study=uid, series=series, instance=files[2].sop_instance_uid, number=9)
    await send(archive, [write(tmp_path / "other", twice)])
    await wait_for(archive, 3)
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)
    async with index_of(archive) as index:
        before = await everything(index)
        assert await index.count("default") == {"patients": 1, "studies": 1, "series": 2, "instances": 3, "aside": 1}
    # Rules that change later do not change the past, nor does building the index anew.
    assert archive.stop() == 0
    archive.write_policy([ORIGINALS], SETTINGS)
    archive.start()
    result = await asyncio.to_thread(gantry, archive, "reindex")
    assert result.returncode == 0, result.stderr
    async with index_of(archive) as index:
        assert await everything(index) == before
    await restored(archive)
    async with index_of(archive) as index:
        assert await everything(index) == before
    archive.start()
    await expect_coerced(archive, files, tmp_path / "got")
    assert archive.stop() == 0


async def test_of_the_same_bytes_the_earliest_receipt_that_is_left_says_what_is_shown(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    file = study(tmp_path / "files", 1)[0]
    uid = uids_of(file)[0]
    await send(archive, [file])
    await send(archive, [file], archive.peer)
    await wait_for(archive, 1)
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)
    assert (await shown(archive, uid))[1] == COERCED[1]
    done(archive, "delete", uid, "--reason", "x")
    await send(archive, [file], archive.peer)
    await wait_for(archive, 1)
    assert await shown(archive, uid) == ("P1", "Doe^Jane", "A1")
    done(archive, "undelete", uid, "--reason", "x")
    assert (await shown(archive, uid))[1] == COERCED[1]
    async with index_of(archive) as index:
        before = await everything(index)
    await restored(archive)
    async with index_of(archive) as index:
        assert await everything(index) == before


@pytest.mark.parametrize("failpoint", ["after-blob-put=kill@2", "before-publish=kill@2", "after-publish=kill@2"])
async def test_an_object_whose_event_was_not_published_is_found_as_it_was_coerced(
    make_archive: MakeArchive, tmp_path: Path, failpoint: str
) -> None:
    archive = make_archive()
    archive.write_policy([ORIGINALS], SETTINGS + RULES)
    archive.start(failpoints=failpoint)
    files = study(tmp_path / "files", 2)
    modality = Modality(north(archive), files)
    await modality.send()
    assert modality.left == files[1:]
    archive.kill()
    # Whoever swept it may know other rules: what was made of it is in the object.
    archive.write_policy([ORIGINALS], SETTINGS)
    archive.start()
    await wait_for(archive, 2)
    await expect_coerced(archive, files, tmp_path / "got")
    assert archive.stop() == 0


def test_a_rule_that_would_do_nothing_is_refused_at_the_start_by_its_name(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([], "coercion: {rules: [{name: wrong one, set: {StudyInstanceUID: '1.2'}}]}\n")
    result = gantry(archive, "serve", "--check-config")
    assert result.returncode != 0
    assert "rule wrong one: StudyInstanceUID cannot be changed" in result.stderr
    with pytest.raises(AssertionError, match="rule wrong one"):
        archive.start()


async def listed(archive: RunningArchive, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    result = await asyncio.to_thread(gantry, archive, "coerce", "--dry-run", "--json", *arguments)
    return result.returncode, [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


async def test_what_rules_would_change_is_listed_of_files_and_of_what_is_stored(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    files = study(tmp_path / "files", 2)
    uid = uids_of(files[0])[0]
    expected = {
        ("issuer of north", "IssuerOfPatientID", (), ("NORTH",)),
        ("names of north", "PatientName", ("Doe^Jane",), ("Müller^Zoë=山田",)),
        ("names of north", "AccessionNumber", ("A1",), ("S1",)),
        ("names of north", "StudyDescription", ("CT of something",), ("Skull",)),
    }

    def said(changes: list[dict[str, Any]], name: str) -> set[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
        matches = [change for change in changes if change["object"] == name]
        return {
            (change["rule"], change["attribute"], tuple(change["before"]), tuple(change["after"])) for change in matches
        }

    (tmp_path / "files" / "notes.txt").write_text("no DICOM")
    code, changes = await listed(archive, "--calling", "NORTH1", str(tmp_path / "files"))
    assert (code, len(changes)) == (1, 8)  # one file could not be read
    assert said(changes, str(files[0].path)) == expected
    assert await listed(archive, "--calling", "SOUTH1", str(files[0].path)) == (0, [])
    # What is stored, as if it came today from NORTH1; nothing of it changes.
    await send(archive, files, archive.peer)
    await wait_for(archive, 2)
    code, changes = await listed(archive, "--where", f"StudyInstanceUID={uid}", "--calling", "NORTH1")
    assert code == 0
    assert said(changes, files[1].sop_instance_uid) == expected
    assert await listed(archive, "--where", f"StudyInstanceUID={uid}") == (0, [])
    assert await shown(archive, uid) == ("P1", "Doe^Jane", "A1")
    # In words, with what is wrong in the question.
    result = await asyncio.to_thread(gantry, archive, "coerce", "--dry-run", "--calling", "NORTH1", str(files[0].path))
    assert "1 objects, 1 of them would be changed" in result.stdout
    for wrong, words in (
        (("coerce", str(files[0].path)), "give --dry-run"),
        (("coerce", "--dry-run", str(files[0].path)), "give --calling"),
        (("coerce", "--dry-run"), "give files and folders, or --where"),
        (("coerce", "--dry-run", "--where", "Nonsense=1"), "--where"),
    ):
        refused = await asyncio.to_thread(gantry, archive, *wrong)
        assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr
    assert archive.stop() == 0


@embedded
async def test_dcmtk_sends_what_is_coerced_and_gets_it_coerced(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive)
    (file,) = study(tmp_path / "files", 1)
    sent = await asyncio.to_thread(
        ok, "storescu", "-v", "-aet", "NORTH1", "-aec", "GANTRY", "127.0.0.1", str(archive.port), str(file.path)
    )
    assert "0xb000" in sent.lower() or "coercion" in sent.lower()
    await wait_for(archive, 1)
    folder = tmp_path / "got"
    folder.mkdir()
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uids_of(file)[0]}"]
    await asyncio.to_thread(
        ok, "getscu", "-S", "-aec", "GANTRY", "127.0.0.1", str(archive.port), "-od", str(folder), *keys
    )
    (got,) = folder.iterdir()
    assert (str(pydicom.dcmread(got).PatientName), pydicom.dcmread(got).IssuerOfPatientID) == (COERCED[1], "NORTH")
    assert archive.stop() == 0
