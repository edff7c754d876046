"""Orthanc's DICOMweb plugin as a client of QIDO-RS and WADO-RS. (As STOW-RS sender: `test_stow`.)"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Site
from tests.e2e.test_orthanc import KINDS, differences, header
from tests.support import waiting as asking
from tests.support.objects import sample, study
from tests.support.orthanc import Orthanc

SERVER = "/dicom-web/servers/gantry"


@pytest.fixture(scope="module")
def orthanc(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    folder = tmp_path_factory.mktemp("orthanc")
    with Orthanc(folder, site.ports["ORTHANC"], site.archive.port, site.archive.http_port) as running:
        yield running


def search(orthanc: Orthanc, uri: str, **arguments: str) -> list[dict[str, Any]]:
    """What Orthanc found, by tag in its own writing."""
    matches: list[dict[str, Any]] = orthanc.post(f"{SERVER}/qido", {"Uri": uri, "Arguments": arguments})
    return matches


def values(matches: list[dict[str, Any]], tag: str) -> list[Any]:
    return [match[tag]["Value"] for match in matches]


def test_it_searches_at_every_level(site: Site, orthanc: Orthanc, tmp_path: Path) -> None:
    files = study(tmp_path, 4, series=2, size=16, patient="WEB-ORTHANC", name="Müller^Jörg")
    ds = header(files[0])
    asking.store(site.modality, files)
    asking.wait_searchable(site.modality, ds.StudyInstanceUID, 4)
    matches = search(orthanc, "/studies", PatientID="WEB-ORTH*", PatientName="muller*")
    assert values(matches, "0020000D") == [ds.StudyInstanceUID]
    assert values(matches, "00100010") == ["Müller^Jörg"]
    series = search(orthanc, f"/studies/{ds.StudyInstanceUID}/series")
    assert sorted(values(series, "0020000E")) == sorted({header(file).SeriesInstanceUID for file in files})
    instances = search(orthanc, f"/studies/{ds.StudyInstanceUID}/instances")
    assert sorted(values(instances, "00080018")) == sorted(file.sop_instance_uid for file in files)
    assert search(orthanc, "/studies", PatientID="NOBODY") == []


def test_it_retrieves_every_kind_as_it_is(site: Site, orthanc: Orthanc, tmp_path: Path) -> None:
    files = [sample(tmp_path, name, PatientID="WEB-KINDS") for name in KINDS]
    asking.store(site.modality, files)
    for file in files:
        asking.wait_found(site.modality, file)
    resources = [{"Study": header(file).StudyInstanceUID} for file in files]
    orthanc.post(f"{SERVER}/retrieve", {"Resources": resources, "Synchronous": True})
    for file in files:
        assert not differences(orthanc.file_of(file.sop_instance_uid), file.path.read_bytes())


@pytest.mark.parametrize("level", ["Study", "Series", "Instance"])
def test_it_retrieves_at_every_level(site: Site, orthanc: Orthanc, tmp_path: Path, level: str) -> None:
    files = study(tmp_path, 4, series=2, size=16, patient=f"WO-{level}"[:16])
    ds = header(files[0])
    asking.store(site.modality, files)
    asking.wait_searchable(site.modality, ds.StudyInstanceUID, 4)
    names = {"Study": ds.StudyInstanceUID, "Series": ds.SeriesInstanceUID, "Instance": ds.SOPInstanceUID}
    resource = dict(list(names.items())[: list(names).index(level) + 1])
    orthanc.post(f"{SERVER}/retrieve", {"Resources": [resource], "Synchronous": True})
    came = orthanc.post("/tools/find", {"Level": "Instance", "Query": {"PatientID": ds.PatientID}, "Expand": True})
    expected = {"Study": files, "Series": files[::2], "Instance": files[:1]}[level]
    assert {instance["MainDicomTags"]["SOPInstanceUID"] for instance in came} == {
        file.sop_instance_uid for file in expected
    }
    for file in expected:
        assert not differences(orthanc.file_of(file.sop_instance_uid), file.path.read_bytes())


def test_what_is_not_there_fails_its_job(orthanc: Orthanc) -> None:
    with pytest.raises(AssertionError, match="500"):
        orthanc.post(f"{SERVER}/retrieve", {"Resources": [{"Study": "1.2.3.4.5"}], "Synchronous": True})
    assert orthanc.post("/tools/lookup", b"1.2.3.4.5") == []
