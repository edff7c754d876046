"""DICOMweb of a whole archive, on embedded stores and in the cluster: what came in by C-STORE goes out by HTTP."""

from __future__ import annotations

import json
import random
import time
import urllib.request
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from tests.e2e.conftest import Site
from tests.support import waiting as asking
from tests.support.dicomweb import ask, ask_json, ask_parts
from tests.support.objects import sample, study

STORED = "multipart/related; type=application/dicom; transfer-syntax=*"


def test_study_is_found_and_fetched(site: Site, tmp_path: Path) -> None:
    files = study(tmp_path, 5, series=2, name="Müller^Jörg")
    asking.store(site.modality, files)
    uid = str(pydicom.dcmread(files[0].path).StudyInstanceUID)
    asking.wait_searchable(site.modality, uid, 5)
    (match,) = [
        Dataset.from_json(answer) for answer in ask_json(site.archive, f"/dicom-web/studies?StudyInstanceUID={uid}")
    ]
    assert (match.PatientName, match.NumberOfStudyRelatedInstances) == ("Müller^Jörg", 5)
    assert len(ask_json(site.archive, f"/dicom-web/studies/{uid}/series")) == 2
    instances = ask_json(site.archive, f"/dicom-web/studies/{uid}/instances?includefield=all")
    assert {instance["00080018"]["Value"][0] for instance in instances} == {file.sop_instance_uid for file in files}
    assert ask_json(site.archive, f"/dicom-web/studies/{uid}/instances/count") == {"count": 5}
    parts = ask_parts(site.archive, f"/dicom-web/studies/{uid}", STORED)
    data_sets = {body[body.index(b"DICM") :].partition(uid.encode())[2] for _, body in parts}
    assert data_sets == {file.path.read_bytes().partition(uid.encode())[2] for file in files}
    metadata = ask_json(site.archive, f"/dicom-web/studies/{uid}/metadata")
    assert {instance["00080018"]["Value"][0] for instance in metadata} == {file.sop_instance_uid for file in files}
    first = pydicom.dcmread(files[0].path)
    uri = next(m for m in metadata if m["00080018"]["Value"][0] == first.SOPInstanceUID)["7FE00010"]["BulkDataURI"]
    path = uri[uri.index("/dicom-web") :]
    status, body, _ = ask(site.archive, path, Accept="application/octet-stream", Range="bytes=10-19")
    assert (status, body) == (206, first.PixelData[10:20])


@pytest.mark.parametrize("name", ["rtdose_rle.dcm", "examples_ybr_color.dcm", "examples_jpeg2k.dcm"])
def test_frames_and_pictures(site: Site, tmp_path: Path, name: str) -> None:
    file = sample(tmp_path, name)
    asking.store(site.modality, [file])
    asking.wait_found(site.modality, file)
    ds = pydicom.dcmread(file.path)
    base = f"/dicom-web/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
    frames = list(generate_frames(ds.PixelData, number_of_frames=int(ds.get("NumberOfFrames", 1))))
    url = f"{base}/frames/{len(frames)}"
    parts = ask_parts(site.archive, url, "multipart/related; type=application/octet-stream; transfer-syntax=*")
    assert [body for _, body in parts] == [frames[-1]]
    for path in (f"{url}/rendered", f"{base}/thumbnail", f"/dicom-web/studies/{ds.StudyInstanceUID}/thumbnail"):
        status, body, headers = ask(site.archive, path)
        assert (status, headers["content-type"], body[:4]) == (200, "image/jpeg", b"\xff\xd8\xff\xe0")


def test_cursor_walks_while_studies_arrive(site: Site, tmp_path: Path) -> None:
    name = "Cursor^Walk"
    before = [study(tmp_path, 1, patient="CW", name=name)[0] for _ in range(5)]
    asking.store(site.modality, before)
    for file in before:
        asking.wait_found(site.modality, file)
    uids: list[str] = []
    query = "/dicom-web/studies?PatientName=Cursor^Walk&limit=2".replace("^", "%5E")
    while query:
        status, body, headers = ask(site.archive, query)
        assert status == 200
        uids += [match.StudyInstanceUID for match in map(Dataset.from_json, json.loads(body))]
        link = headers.get("link", "")
        query = link[link.index("/dicom-web") : link.index(">")] if link else ""
        late = study(tmp_path, 1, patient="CW", name=name)
        asking.store(site.modality, late)
        asking.wait_found(site.modality, late[0])
        if len(uids) > 20:
            break
    known = {str(pydicom.dcmread(file.path).StudyInstanceUID) for file in before}
    assert known <= set(uids)
    assert len(uids) == len(set(uids))


def test_strangers_and_deletions_are_refused(site: Site) -> None:
    status, body, _ = ask(site.archive, "/dicom-web/studies", X_Forwarded_For="192.0.2.7")
    assert (status, body) == (403, b"only this machine may ask while http.tokens_file is not set\n")
    assert ask(site.archive, "/dicom-web/")[0] == 200
    assert ask(site.archive, "/dicom-web/studies/1.2.3.4.5")[0] == 404
    assert ask(site.archive, "/dicom-web/studies/..%2f..%2fetc")[0] == 400


def test_slow_client_gets_every_byte(site: Site, tmp_path: Path) -> None:
    rng = random.Random(5)
    pixels = rng.randbytes(2 * 2048 * 2048)
    (file,) = study(tmp_path, 1, size=2048, PixelData=pixels)
    asking.store(site.modality, [file])
    asking.wait_found(site.modality, file)
    ds = pydicom.dcmread(file.path, stop_before_pixels=True)
    path = f"/dicom-web/studies/{ds.StudyInstanceUID}"
    request = urllib.request.Request(
        f"http://127.0.0.1:{site.archive.http_port}{path}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}",
        headers={"Accept": "application/dicom; transfer-syntax=*"},
    )
    received = bytearray()
    with urllib.request.urlopen(request, timeout=60) as response:
        while piece := response.read(1 << 18):
            received += piece
            time.sleep(0.01)
    assert received.endswith(pixels)
