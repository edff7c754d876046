"""A foreign DICOMweb client: dicomweb-client, in both topologies."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from requests.exceptions import HTTPError

from tests.e2e.conftest import Site
from tests.support import waiting as asking
from tests.support.objects import sample, study


@pytest.fixture
def client(site: Site) -> DICOMwebClient:
    return DICOMwebClient(f"http://127.0.0.1:{site.archive.http_port}/dicom-web")


def test_what_it_stores_it_finds_and_gets_back_value_for_value(
    site: Site, client: DICOMwebClient, tmp_path: Path
) -> None:
    files = study(tmp_path, 6, series=2, patient="WEBCLIENT", name="Foreign^Client")
    sent = [pydicom.dcmread(file.path) for file in files]
    uid = str(sent[0].StudyInstanceUID)
    response = client.store_instances(sent, study_instance_uid=uid)
    assert len(response.ReferencedSOPSequence) == 6
    assert "FailedSOPSequence" not in response
    asking.wait_searchable(site.modality, uid, 6)
    (match,) = client.search_for_studies(search_filters={"PatientID": "WEBCLIENT", "PatientName": "foreign*"})
    assert match["0020000D"]["Value"] == [uid]
    assert match["00201208"]["Value"] == [6]
    series = client.search_for_series(uid)
    assert {match["0020000E"]["Value"][0] for match in series} == {str(ds.SeriesInstanceUID) for ds in sent}
    assert len(client.search_for_instances(uid)) == 6
    back = {str(ds.SOPInstanceUID): ds for ds in client.retrieve_study(uid)}
    assert back == {str(ds.SOPInstanceUID): ds for ds in sent}
    image = sent[0]
    names = uid, str(image.SeriesInstanceUID), str(image.SOPInstanceUID)
    assert client.retrieve_instance(*names) == image
    assert {ds["00080018"]["Value"][0] for ds in client.retrieve_study_metadata(uid)} == set(back)


def test_it_gets_frames_and_pictures(site: Site, client: DICOMwebClient, tmp_path: Path) -> None:
    file = sample(tmp_path, "SC_rgb_jpeg_dcmtk.dcm", PatientID="PICTURES")
    ds = pydicom.dcmread(file.path)
    names = str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID), str(ds.SOPInstanceUID)
    client.store_instances([ds])
    asking.wait_found(site.modality, file)
    (raw,) = client.retrieve_instance_frames(
        *names, frame_numbers=[1], media_types=(("application/octet-stream", ExplicitVRLittleEndian),)
    )
    assert len(raw) == ds.Rows * ds.Columns * ds.SamplesPerPixel
    (stored,) = client.retrieve_instance_frames(
        *names, frame_numbers=[1], media_types=(("image/jpeg", str(ds.file_meta.TransferSyntaxUID)),)
    )
    assert stored == next(iter(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=1)))
    picture = client.retrieve_instance_rendered(*names, media_types=("image/png",))
    shown = np.asarray(Image.open(BytesIO(picture)).convert("RGB"))
    assert shown.shape == (ds.Rows, ds.Columns, 3)
    assert len(np.unique(shown)) > 10


def test_what_is_not_there_and_what_is_refused_is_said_in_http(client: DICOMwebClient, tmp_path: Path) -> None:
    with pytest.raises(HTTPError) as missing:
        client.retrieve_study("1.2.3.4.5.6.7")
    assert missing.value.response.status_code == 404
    with pytest.raises(HTTPError) as refused:
        client.store_instances([pydicom.dcmread(file.path) for file in study(tmp_path, 2)], study_instance_uid="1.2.3")
    assert refused.value.response.status_code == 409
    response = Dataset.from_json(refused.value.response.json())
    assert {failed.FailureReason for failed in response.FailedSOPSequence} == {0xA900}
    assert len(response.FailedSOPSequence) == 2
