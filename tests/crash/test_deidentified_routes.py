"""Rules that de-identify what they send on, on the whole archive, in both topologies, to a real peer: nobody is named
in anything that it stores, whatever is killed, and what cannot be de-identified does not leave."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid

from gantry.cli.files import DicomFile
from gantry.common.deidentify.pseudonyms import Pseudonyms
from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, encoding_of
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_commitment_elsewhere import deep_archive
from tests.crash.test_deletion import send
from tests.crash.test_routing import listed
from tests.crash.test_upkeep import gantry
from tests.support.archive import IMPORTS, RunningArchive
from tests.support.asking import Modality, until
from tests.support.dcmtk import StoreScp
from tests.support.elements import CT
from tests.support.marks import Marked, mark
from tests.support.objects import data_set, sample, write
from tests.support.orthanc import Orthanc
from tests.support.ports import free_port
from tests.support.preloaded import run_gantry
from tests.support.pynetdicom_peers import Scp
from tests.support.rejection_notes import rejection_note
from tests.unit.common.deidentify.test_objects import searched

pytestmark = pytest.mark.timeout(240)
KEY = b"a key of the tests, long enough"
SECONDARY_CAPTURE, PDF = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.104.1"
OF_INTEREST = "113000"
SETTINGS = """\
completion: {quiet: 0.5}
retrieve: {suboperation_retries: 0}
deidentification: {profiles: [{name: trial, key_file: %s}]}
routing:
  rules: [{name: to the trial, to: [%s], deidentify: trial%s}]
  retry_first: 1
  retry_longest: 2
  refused: 2
  commit_wait: 0.2
  commit_within: 3
"""
# None of digits alone: a UID made at random may hold those.
NAMES = (b"Brenner", b"P-4711", b"S1-SECRET", b"A1-SECRET", b"WARD-9")


def deidentifying(archive: RunningArchive, title: str, port: int, more: str = "") -> RunningArchive:
    (key := archive.folder / "key").write_bytes(KEY)
    destination = f"{{ae_title: {title}, host: 127.0.0.1, port: {port}, may: [commit], move_destination: true}}"
    sender = "{ae_title: TEST_SCU, host: 127.0.0.1, may: [store, find, echo, retrieve]}"
    archive.write_policy([destination, sender], SETTINGS % (key, title, more))
    return archive


def someone(folder: Path, study: str, count: int, series: int = 1, **more: object) -> list[Dataset]:
    """CT images of a patient who is named in many places, the private ones among them."""
    uids = [generate_uid() for _ in range(series)]
    made = []
    for number in range(count):
        ds = data_set(
            study=study, series=uids[number % series], number=number, patient="P-4711", name="Brenner^Jo", **more
        )
        ds.StudyID, ds.AccessionNumber, ds.InstitutionName = "S1-SECRET", "A1-SECRET", "WARD-9"
        ds.private_block(0x0009, "BRENNER", create=True).add_new(0x01, "LO", "Brenner P-4711")
        made.append(ds)
    return made


def files_of(folder: Path, datasets: list[Dataset]) -> list[DicomFile]:
    return [write(folder, ds) for ds in datasets]


def command(archive: RunningArchive, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`gantry …` as a peer of the archive."""
    environment = {**os.environ, "PYTHONPATH": IMPORTS}
    return run_gantry([*arguments], environment, archive.folder, timeout=60)


def stored_by(orthanc: Orthanc, folder: Path) -> tuple[list[Dataset], bytes]:
    """What Orthanc has, and all bytes of its storage and of its index."""
    ids = orthanc.get("/instances")
    read = [pydicom.dcmread(io.BytesIO(orthanc.raw(f"/instances/{key}/file"))) for key in ids]
    return read, b"\n".join(path.read_bytes() for path in sorted((folder / "db").rglob("*")) if path.is_file())


async def ended(archive: RunningArchive, count: int = 1, kind: str = "objects") -> list[dict[str, Any]]:
    async with asyncio.timeout(100):
        while True:
            states = [state for state in await listed(archive, "--all") if state["kind"] == kind]
            if len(states) == count and all(state["state"] in ("delivered", "failed", "cancelled") for state in states):
                return states
            await asyncio.sleep(0.5)


async def test_orthanc_gets_a_study_that_names_nobody_and_not_what_cannot_be_de_identified(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    port, study = free_port(), generate_uid()
    archive = deidentifying(make_archive(), "ORTHANC", port)
    with Orthanc(tmp_path, port, archive.port) as orthanc:
        archive.start()
        images = someone(tmp_path, study, 4, series=2)
        capture = someone(tmp_path, study, 1, SOPClassUID=SECONDARY_CAPTURE)[0]
        burned = someone(tmp_path, study, 1, BurnedInAnnotation="YES")[0]
        document = someone(tmp_path, study, 1, SOPClassUID=PDF, EncapsulatedDocument=b"%PDF Brenner")[0]
        note = rejection_note(images[:2], OF_INTEREST)
        marked = tmp_path / "in" / "marked.dcm"
        marked.parent.mkdir()
        content = Marked(encoding_of(EXPLICIT_LITTLE_ENDIAN)).data
        marked.write_bytes(file_meta(CT, mark(0x00080018).decode().strip("\0"), EXPLICIT_LITTLE_ENDIAN) + content)
        await send(archive, files_of(tmp_path / "in", [*images, capture, burned, document, note]))
        (state,) = await ended(archive)
        assert (state["state"], state["completed"], state["failed"], state["withheld"]) == ("delivered", 5, 0, 3), state
        assert state["deidentified_by"] == "trial"
        withheld = {str(dataset.SOPInstanceUID) for dataset in (capture, burned, document)}
        assert set(state["reasons"]) == withheld
        assert "Burned In Annotation says" in state["reasons"][str(burned.SOPInstanceUID)]
        assert "it holds a document" in state["reasons"][str(document.SOPInstanceUID)]
        copies, everything = stored_by(orthanc, tmp_path)
        names = Pseudonyms(KEY)
        assert {copy.SOPInstanceUID for copy in copies} == {
            names.uid(dataset.SOPInstanceUID) for dataset in (*images, note)
        }
        assert {copy.StudyInstanceUID for copy in copies} == {names.uid(study)}
        assert {copy.PatientIdentityRemoved for copy in copies} == {"YES"}
        assert all(copy.file_meta.MediaStorageSOPInstanceUID == copy.SOPInstanceUID for copy in copies)
        (selection,) = (copy for copy in copies if copy.Modality == "KO")
        named = selection.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        refers = {item.ReferencedSOPInstanceUID for series in named for item in series.ReferencedSOPSequence}
        assert refers == {names.uid(image.SOPInstanceUID) for image in images[:2]}
        pixels = {bytes(copy.PixelData) for copy in copies if copy.Modality != "KO"}
        assert pixels == {image.PixelData for image in images}
        secrets = [*NAMES, study.encode(), *(str(image.SOPInstanceUID).encode() for image in images)]
        assert [secret for secret in secrets if secret in everything] == []
        # The marks: a study of its own, with a marked value in every attribute of the table.
        done = await asyncio.to_thread(command, archive, "store", archive.address, str(marked))
        assert done.returncode == 0, done.stderr
        await ended(archive, 2)
        copies, everything = stored_by(orthanc, tmp_path)
        assert len(copies) == 6
        # Short values stand anywhere, by chance.
        left = {tag for tag, value in searched(content).items() if len(value) > 8 and value in everything}
        assert (left, b"MARK" in everything) == (set(), False)
        # A later series of the study lands beside the others, under the same pseudonyms.
        late = someone(tmp_path, study, 1)
        await Modality(archive.peer, files_of(tmp_path / "late", late)).send_all()
        await ended(archive, 3)
        copies, _ = stored_by(orthanc, tmp_path)
        assert len(orthanc.get("/studies")) == 2
        assert names.uid(late[0].SOPInstanceUID) in {copy.SOPInstanceUID for copy in copies}
        assert archive.stop() == 0


async def test_whatever_is_killed_a_destination_has_each_instance_once_under_one_pseudonym(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    port, study = free_port(), generate_uid()
    archive = deidentifying(make_archive(), "READING", port).start()
    images = someone(tmp_path, study, 5, series=2)
    await send(archive, files_of(tmp_path / "in", images))
    async with asyncio.timeout(60):
        while not any(state["attempts"] for state in await listed(archive)):
            await asyncio.sleep(0.3)
    archive.kill()
    expected = {Pseudonyms(KEY).uid(image.SOPInstanceUID) for image in images}
    with StoreScp(tmp_path / "reading", "READING", port=port) as reading:
        # It dies when all was sent, and before that is said; once more when it is started again, by the clock.
        archive.start(failpoints="before-publish=kill@1", ready=False)
        await asyncio.to_thread(archive.wait_dead, 60)
        assert set(reading.received()) == expected
        archive.start(ready=False)
        await asyncio.sleep(0.7)
        archive.kill()
        archive.start()
        (state,) = await ended(archive)
        assert (state["state"], state["completed"]) == ("delivered", 5), state
        assert set(reading.received()) == expected
        everything = b"".join(path.read_bytes() for path in (tmp_path / "reading").rglob("*") if path.is_file())
        assert [secret for secret in (*NAMES, study.encode()) if secret in everything] == []
    assert archive.stop() == 0


async def test_commitment_is_asked_for_what_was_sent_and_on_record_for_what_is_here(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with deep_archive() as (deep, scp):
        archive = deidentifying(make_archive(), "DEEP", scp.port, ", commit: true").start()
        deep.archive_port = archive.port
        study = generate_uid()
        images, burned = someone(tmp_path, study, 3), someone(tmp_path, study, 1, BurnedInAnnotation="YES")
        await send(archive, files_of(tmp_path / "in", [*images, *burned]))
        (state,) = await ended(archive, kind="commitment")
        assert (state["state"], state["deidentified_by"]) == ("delivered", "trial"), state
        expected = {Pseudonyms(KEY).uid(image.SOPInstanceUID) for image in images}
        references = {
            str(item.ReferencedSOPInstanceUID) for request in deep.asked for item in request.ReferencedSOPSequence
        }
        assert set(deep.stored) == references == expected
        assert len(deep.asked) == 1
        where = await asyncio.to_thread(gantry, archive, "where", study)
        assert "3 instances by DEEP, which reported at" in where.stdout, where.stdout
        assert "route, de-identified by trial" in where.stdout, where.stdout
        assert archive.stop() == 0


@embedded
async def test_a_compressed_object_is_decoded_for_who_wants_that_and_names_nobody(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    study = generate_uid()
    named = {"StudyInstanceUID": study, "PatientID": "P-4711", "PatientName": "Brenner^Jo", "BurnedInAnnotation": "NO"}
    compressed = [sample(tmp_path / "in", name, **named) for name in ("JPEG2000.dcm", "MR_small_RLE.dcm")]
    with Scp("READING", syntaxes=[ImplicitVRLittleEndian]) as reading:
        archive = deidentifying(make_archive(), "READING", reading.port).start()
        await send(archive, compressed)
        (state,) = await ended(archive)
        assert (state["state"], state["completed"]) == ("delivered", 2), state
        came = reading.kept.data
        assert set(came) == {Pseudonyms(KEY).uid(file.sop_instance_uid) for file in compressed}
        for uid, (syntax, data) in came.items():
            ds = pydicom.dcmread(io.BytesIO(data), force=True)
            assert (ds.SOPInstanceUID, syntax) == (uid, ImplicitVRLittleEndian)
            assert (ds.PatientIdentityRemoved, ds.StudyInstanceUID) == ("YES", Pseudonyms(KEY).uid(study))
            assert len(ds.PixelData) >= ds.Rows * ds.Columns * ds.SamplesPerPixel * ds.BitsAllocated // 8
            assert "Brenner" not in str(ds)
        assert archive.stop() == 0


@embedded
async def test_nothing_else_goes_to_a_destination_that_gets_de_identified_objects(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with StoreScp(tmp_path / "reading", "READING") as reading:
        archive = deidentifying(make_archive(), "READING", reading.port).start()
        study = generate_uid()
        await send(archive, files_of(tmp_path / "in", someone(tmp_path, study, 1)))
        await ended(archive)
        arguments = ("--aet", "TEST_SCU", "--to", "READING", "-k", f"StudyInstanceUID={study}")
        moved = await asyncio.to_thread(command, archive, "move", archive.address, *arguments)
        assert moved.returncode != 0
        assert "A801" in moved.stderr + moved.stdout, moved
        check = await asyncio.to_thread(gantry, archive, "routes", "check", study)
        assert "de-identified by trial" in check.stdout, check
        assert len(reading.received()) == 1
        assert archive.stop() == 0


@embedded
async def test_what_is_all_withheld_has_failed_in_words_and_is_not_tried_again(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    with StoreScp(tmp_path / "reading", "READING") as reading:
        archive = deidentifying(make_archive(), "READING", reading.port).start()
        burned = someone(tmp_path, generate_uid(), 2, BurnedInAnnotation="YES")
        await send(archive, files_of(tmp_path / "in", burned))
        (state,) = await ended(archive)
        assert (state["state"], state["attempts"], state["withheld"]) == ("failed", 0, 2), state
        assert state["why"] == "2 withheld: Burned In Annotation says that text is in its pixels"
        assert archive.metric("gantry_instances_withheld_total") == 2
        text = archive.config.read_text()
        archive.stop()
        # Whoever has looked at them says so, and sends them by hand.
        archive.config.write_text(text.replace("name: trial, key", "name: trial, pixels_checked: true, key"))
        archive.start()
        await asyncio.sleep(2)
        assert not reading.received()
        assert (await asyncio.to_thread(gantry, archive, "routes", "retry", "--all")).returncode == 0
        await until(lambda: len(reading.received()) == 2)
        assert archive.stop() == 0


@embedded
async def test_what_is_sent_after_a_correction_has_the_pseudonym_of_the_patient_of_then(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    names, study = Pseudonyms(KEY), generate_uid()
    with StoreScp(tmp_path / "reading", "READING") as reading:
        archive = deidentifying(make_archive(), "READING", reading.port).start()
        first, late = someone(tmp_path, study, 1), someone(tmp_path, study, 1)
        await send(archive, files_of(tmp_path / "in", first))
        await ended(archive)
        values = ("--set", "PatientID=4712-NEW", "--set", "PatientName=Corrected^Name")
        done = await asyncio.to_thread(gantry, archive, "correct", study, *values, "--reason", "wrong patient")
        assert done.returncode == 0, done.stderr
        await asyncio.sleep(1)
        await Modality(archive.peer, files_of(tmp_path / "late", late)).send_all()
        await ended(archive, 2)
        copies = {uid: pydicom.dcmread(path) for uid, path in reading.received().items()}
        assert {ds.StudyInstanceUID for ds in copies.values()} == {names.uid(study)}
        ids = {uid: ds.PatientID for uid, ds in copies.items()}
        assert ids == {
            names.uid(first[0].SOPInstanceUID): names.patient("P-4711"),
            names.uid(late[0].SOPInstanceUID): names.patient("4712-NEW"),
        }
        everything = b"".join(path.read_bytes() for path in reading.received().values())
        assert [secret for secret in (*NAMES, b"Corrected", b"4712-NEW") if secret in everything] == []
        assert archive.stop() == 0
