"""A foreign DICOMweb client: dicomtrolley, which searches by QIDO-RS and downloads by WADO-RS, in both topologies."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pydicom
import pytest
import requests
from dicomtrolley.core import Query, QueryLevels, SeriesReference
from dicomtrolley.exceptions import DICOMTrolleyError
from dicomtrolley.qido_rs import HierarchicalQuery, QidoRS, RelationalQuery
from dicomtrolley.trolley import Trolley
from dicomtrolley.wado_rs import WadoRS
from pydicom.dataset import Dataset

from gantry.cli.files import DicomFile
from tests.e2e.conftest import Site
from tests.support import waiting as asking
from tests.support.objects import sample, study


@pytest.fixture
def trolley(site: Site) -> Trolley:
    session, url = requests.Session(), f"http://127.0.0.1:{site.archive.http_port}/dicom-web"
    return Trolley(WadoRS(session, url), QidoRS(session, url))


def kept(site: Site, files: list[DicomFile]) -> list[Dataset]:
    """The data sets of files, which the archive has then."""
    sent = [pydicom.dcmread(file.path) for file in files]
    asking.store(site.modality, files)
    asking.wait_searchable(site.modality, sent[0].StudyInstanceUID, len(files))
    return sent


def test_it_searches_at_every_level(site: Site, trolley: Trolley, tmp_path: Path) -> None:
    sent = kept(site, study(tmp_path, 6, series=2, patient="TROLLEY1", name="Trolley^Search"))
    uid, day = str(sent[0].StudyInstanceUID), datetime(2024, 1, 31)
    query = Query(
        PatientName="trolley*",
        PatientID="TROLLEY1",
        ModalitiesInStudy="CT",
        min_study_date=day,
        max_study_date=day,
        include_fields=["StudyDescription", "PatientName"],
    )
    (match,) = trolley.find_studies(query)
    assert (match.uid, str(match.data.PatientName)) == (uid, "Trolley^Search")
    assert match.data.StudyDescription == "CT of something"
    series_uids = {str(ds.SeriesInstanceUID) for ds in sent}
    for series_query in (
        HierarchicalQuery(StudyInstanceUID=uid, query_level=QueryLevels.SERIES),
        RelationalQuery(PatientID="TROLLEY1", query_level=QueryLevels.SERIES),
    ):
        (match,) = trolley.find_studies(series_query)
        assert {series.uid for series in match.series} == series_uids
    (match,) = trolley.find_studies(RelationalQuery(StudyInstanceUID=uid, query_level=QueryLevels.INSTANCE))
    uids = {instance.uid for series in match.series for instance in series.instances}
    assert uids == {str(ds.SOPInstanceUID) for ds in sent}
    assert trolley.find_studies(Query(PatientID="NOBODY")) == []


def test_it_walks_through_pages(site: Site, trolley: Trolley, tmp_path: Path) -> None:
    uids = {str(kept(site, study(tmp_path, 1, patient="TROLLEY2"))[0].StudyInstanceUID) for _ in range(5)}
    pages = [
        trolley.find_studies(HierarchicalQuery(PatientID="TROLLEY2", limit=2, offset=offset)) for offset in (0, 2, 4, 6)
    ]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    assert {match.uid for page in pages for match in page} == uids


def test_what_it_downloads_is_what_was_stored(site: Site, trolley: Trolley, tmp_path: Path) -> None:
    sent = kept(site, study(tmp_path, 6, series=2, patient="TROLLEY3"))
    # Of the study it knows no series: it asks for them before it downloads.
    (match,) = trolley.find_studies(Query(PatientID="TROLLEY3"))
    got = {str(ds.SOPInstanceUID): ds for ds in trolley.fetch_all_datasets([match])}
    assert got == {str(ds.SOPInstanceUID): ds for ds in sent}
    trolley.download(match, tmp_path / "out")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {str(pydicom.dcmread(path).SOPInstanceUID) for path in files} == set(got)


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "rtplan.dcm", "test-SR.dcm"])
def test_kinds_of_objects_come_back(site: Site, trolley: Trolley, tmp_path: Path, name: str) -> None:
    (sent,) = kept(site, [sample(tmp_path, name)])
    study_ = trolley.find_study(Query(StudyInstanceUID=str(sent.StudyInstanceUID)))
    (got,) = trolley.fetch_all_datasets([study_])
    if "PixelData" in sent:
        # It says nothing of transfer syntaxes: the default is explicit VR little endian (PS3.18 8.7.3.5.2).
        assert got.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        assert (got.pixel_array == sent.pixel_array).all()
    else:
        assert got == sent


def test_what_is_not_there_is_an_error_of_its_own(trolley: Trolley) -> None:
    with pytest.raises(DICOMTrolleyError, match="404"):
        list(trolley.downloader.datasets([SeriesReference(study_uid="1.2.3.4.5", series_uid="1.2.3.4.6")]))
