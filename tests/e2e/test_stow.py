"""STOW-RS in both topologies: what goes in over HTTP comes out over DIMSE bit for bit."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pydicom
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from gantry.cli.files import DicomFile
from tests.e2e.conftest import Site
from tests.e2e.test_pynetdicom import MANY_KINDS
from tests.support import asking
from tests.support.bulk import frame
from tests.support.dicom import from_bytes
from tests.support.dicomweb import ask_json, ask_parts
from tests.support.objects import bytes_of, data_set, file_bytes, sample, study, write
from tests.support.orthanc import Orthanc
from tests.support.ports import free_port
from tests.support.stow import METADATA, files, multipart, part, post
from tests.support.waiting import store, wait_found, wait_searchable

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def contents(made: list[DicomFile]) -> list[bytes]:
    return [file.path.read_bytes() for file in made]


def got_back(site: Site, folder: Path, file: DicomFile) -> bytes:
    """The data set, fetched with C-GET in its own transfer syntax."""
    wait_found(site.modality, file)
    keys = [f"SOPInstanceUID={file.sop_instance_uid}", *(f"{k}={v}" for k, v in _parents(file).items())]
    how = {"syntax": file.transfer_syntax_uid, "sop_class": file.sop_class_uid}
    got = asyncio.run(asking.get(site.modality, folder, "IMAGE", *keys, **how))
    return got[file.sop_instance_uid]


def _parents(file: DicomFile) -> dict[str, str]:
    header = pydicom.dcmread(file.path, stop_before_pixels=True)
    return {"StudyInstanceUID": header.StudyInstanceUID, "SeriesInstanceUID": header.SeriesInstanceUID}


def test_every_kind_of_object_goes_in_by_stow_and_comes_back_by_c_get_byte_for_byte(site: Site, tmp_path: Path) -> None:
    sent = [sample(tmp_path / "sent", name, PatientID="STOW-KINDS") for name in MANY_KINDS]
    answer = post(site.archive, files(contents(sent)))
    assert answer.status == 200
    assert answer.stored() == [file.sop_instance_uid for file in sent]
    for number, file in enumerate(sent):
        assert got_back(site, tmp_path / f"got{number}", file) == bytes_of(file), file.path.name


def test_the_same_object_by_c_store_and_by_stow_is_one_instance(site: Site, tmp_path: Path) -> None:
    made = study(tmp_path, 3, series=2)
    store(site.modality, made)
    for _ in range(2):
        assert post(site.archive, files(contents(made))).status == 200
    uid = _parents(made[0])["StudyInstanceUID"]
    wait_searchable(site.modality, uid, 3)
    matches = asyncio.run(
        asking.find_matches(site.modality, "STUDY", f"StudyInstanceUID={uid}", "NumberOfStudyRelatedInstances")
    )
    assert [int(match.NumberOfStudyRelatedInstances) for match in matches] == [3]


def test_who_asks_is_told_what_is_in_conflict_and_nobody_else(site: Site, tmp_path: Path) -> None:
    uid = generate_uid()[:50].rstrip(".")
    first, other, new = (
        file_bytes(data_set(study=uid, series=f"{uid}.1", instance=f"{uid}.{n}", name=name))
        for n, name in ((1, "A^B"), (1, "C^D"), (2, "A^B"))
    )
    assert post(site.archive, files([first]), Prefer="report-conflicts").status == 200
    # Whether the indexers have read the first one yet or not.
    for _ in range(2):
        answer = post(site.archive, files([first, other, new]), Prefer="handling=lenient, report-conflicts;x=1")
        assert (answer.status, answer.headers["Preference-Applied"]) == (202, "report-conflicts")
        assert answer.stored() == [f"{uid}.1", f"{uid}.1", f"{uid}.2"]
        assert answer.warnings() == [0xB111]
        wait_searchable(site.modality, uid, 2)
    quiet = post(site.archive, files([other]))
    assert (quiet.status, quiet.warnings(), quiet.headers.get("Preference-Applied")) == (200, [], None)
    # The same UID in another study is another instance, and a conflict all the same.
    elsewhere = file_bytes(data_set(study=f"{uid}.9", series=f"{uid}.9.1", instance=f"{uid}.2", name="A^B"))
    assert post(site.archive, files([elsewhere]), Prefer="report-conflicts").warnings() == [0xB111]


def test_bad_parts_do_not_spoil_good_ones(site: Site, tmp_path: Path) -> None:
    made = study(tmp_path, 4)
    good = contents(made)
    body = multipart([part(b"junk"), *map(part, good[:2]), part(good[2][:-50]), part(b"x", "text/html"), part(good[3])])
    answer = post(site.archive, body, study=_parents(made[0])["StudyInstanceUID"])
    assert answer.status == 202
    assert answer.stored() == [made[i].sop_instance_uid for i in (0, 1, 3)]
    assert answer.failures() == {made[2].sop_instance_uid: 0xC000}
    assert answer.others() == [0xC000, 0xC000]
    wait_searchable(site.modality, _parents(made[0])["StudyInstanceUID"], 3)


def test_a_large_object_in_a_chunked_body_costs_no_memory(site: Site, tmp_path: Path) -> None:
    post(site.archive, files([file_bytes(data_set())]))
    before = site.archive.rss()
    large = write(tmp_path, data_set(size=5600))  # 60 MB
    body = files([large.path.read_bytes()])

    def pieces() -> Iterator[bytes]:
        yield from (body[at : at + 70_001] for at in range(0, len(body), 70_001))

    assert post(site.archive, pieces()).status == 200
    assert site.archive.rss() - before < 48 << 20
    assert got_back(site, tmp_path / "got", large) == bytes_of(large)


def test_a_study_of_many_objects_in_one_request_is_kept_whole(site: Site, tmp_path: Path) -> None:
    uid, series = generate_uid(), generate_uid()
    made = [file_bytes(data_set(study=uid, series=series, number=n, size=16)) for n in range(300)]
    answer = post(site.archive, files(made), study=uid)
    assert (answer.status, len(answer.stored())) == (200, 300)
    assert answer.json["00081190"]["Value"][0].endswith(f"/dicom-web/studies/{uid}")
    wait_searchable(site.modality, uid, 300)


def test_who_stored_is_told_by_the_event_and_counted_like_c_store(site: Site, tmp_path: Path) -> None:
    before = site.archive.metric("gantry_objects_received_total")
    assert post(site.archive, files(contents(study(tmp_path, 2)))).status == 200
    assert site.archive.metric("gantry_objects_received_total") == before + 2
    stored = asyncio.run(asking.events(site.archive, "instances"))
    assert [event.calling_ae_title for event in stored[-2:]] == ["loopback"] * 2  # type: ignore[attr-defined]
    assert {event.trace[3:35] for event in stored[-2:]} != {""}  # type: ignore[attr-defined]


def test_metadata_with_a_jpeg_and_a_pdf_makes_instances_that_come_back_by_c_get(site: Site, tmp_path: Path) -> None:
    jpeg, _ = frame("SC_rgb_jpeg_dcmtk.dcm")
    image, document = data_set(SOPClassUID=SECONDARY_CAPTURE), data_set(SOPClassUID=ENCAPSULATED_PDF)
    models = [json.loads(dataset.to_json()) for dataset in (image, document)]
    for tag in ("00280010", "00280011", "00280002", "00280004", "00280100", "00280101", "00280102", "00280103"):
        del models[0][tag]
    models[0]["7FE00010"] = {"vr": "OB", "BulkDataURI": "image"}
    del models[1]["7FE00010"]
    models[1]["00420011"] = {"vr": "OB", "BulkDataURI": "document"}
    parts = [
        part(jpeg, "image/jpeg", Content_Location="image"),
        part(json.dumps(models).encode(), "application/dicom+json"),
        part(b"%PDF-1.7", "application/pdf", Content_Location="document"),
    ]
    answer = post(site.archive, multipart(parts), METADATA)
    assert (answer.status, answer.stored()) == (200, [image.SOPInstanceUID, document.SOPInstanceUID])
    got = fetched(site, tmp_path / "image", image, "1.2.840.10008.1.2.4.50")
    assert jpeg in got
    assert b"%PDF-1.7" in fetched(site, tmp_path / "document", document, "1.2.840.10008.1.2.1")


def test_frames_in_one_part_come_back_one_by_one_and_a_wrong_number_is_refused_alone(site: Site) -> None:
    jpeg, theirs = frame("SC_rgb_jpeg_dcmtk.dcm")
    good, bad = (data_set(SOPClassUID=SECONDARY_CAPTURE, NumberOfFrames=count) for count in (3, 4))
    models = [json.loads(dataset.to_json()) for dataset in (good, bad)]
    for model in models:
        for tag in ("00280010", "00280011", "00280002", "00280004", "00280100", "00280101", "00280102", "00280103"):
            del model[tag]
        model["7FE00010"] = {"vr": "OB", "BulkDataURI": "frames"}
    parts = [
        part(json.dumps(models).encode(), "application/dicom+json"),
        part(jpeg * 3, "image/jpeg", Content_Location="frames"),
    ]
    answer = post(site.archive, multipart(parts), METADATA)
    assert (answer.status, answer.stored()) == (202, [good.SOPInstanceUID])
    assert answer.failures() == {bad.SOPInstanceUID: 0xC000}
    wait_searchable(site.modality, good.StudyInstanceUID, 1)
    place = f"/dicom-web/studies/{good.StudyInstanceUID}/series/{good.SeriesInstanceUID}/instances"
    frames = ask_parts(
        site.archive, f"{place}/{good.SOPInstanceUID}/frames/1,2,3", "multipart/related; type=image/jpeg"
    )
    assert [content for _, content in frames] == [jpeg] * 3
    (metadata,) = ask_json(site.archive, f"{place}/{good.SOPInstanceUID}/metadata")
    assert (metadata["00280010"]["Value"], metadata["00280008"]["Value"]) == ([theirs.Rows], [3])


def fetched(site: Site, folder: Path, made: Dataset, syntax: str) -> bytes:
    """A data set of ours, fetched with C-GET."""
    wait_searchable(site.modality, made.StudyInstanceUID, 1)
    names = "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"
    keys = [f"{name}={made[name].value}" for name in names]
    got = asyncio.run(asking.get(site.modality, folder, "IMAGE", *keys, syntax=syntax, sop_class=made.SOPClassUID))
    return got[made.SOPInstanceUID]


def test_orthancs_dicomweb_plugin_stores_by_stow(site: Site, tmp_path: Path) -> None:
    made = [sample(tmp_path, name, PatientID="STOW-ORTHANC") for name in ("CT_small.dcm", "MR_small_RLE.dcm")]
    (tmp_path / "orthanc").mkdir()
    with Orthanc(tmp_path / "orthanc", free_port(), site.archive.port, site.archive.http_port) as orthanc:
        ids = [orthanc.upload(file.path) for file in made]
        orthanc.post("/dicom-web/servers/gantry/stow", {"Resources": ids, "Synchronous": True})
        theirs = [pydicom.dcmread(io.BytesIO(orthanc.file_of(file.sop_instance_uid))) for file in made]
    for number, (file, sent) in enumerate(zip(made, theirs, strict=True)):
        got = from_bytes(got_back(site, tmp_path / f"got{number}", file), file.transfer_syntax_uid)
        assert got == sent


def test_dicomweb_client_stores(site: Site, tmp_path: Path) -> None:
    made = study(tmp_path, 2)
    url = f"http://127.0.0.1:{site.archive.http_port}/dicom-web"
    answer = DICOMwebClient(url).store_instances([pydicom.dcmread(file.path) for file in made])
    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [
        f.sop_instance_uid for f in made
    ]
