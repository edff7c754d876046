"""Apps of a health record (SMART App Launch) on a real archive: one approval there, and its patient's studies here."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from tests.e2e.test_access import until
from tests.support.archive import RunningArchive
from tests.support.issuer import TestIssuer, in_a_thread
from tests.support.objects import data_set, file_bytes
from tests.support.stow import files, post
from tests.support.topology import TOPOLOGIES, environment, remove_stores

SETTINGS = """access:
  issuers:
    - name: ehr
      url: {url}
      audience: [gantry]
      roles_claim: scope
      roles: ['patient/ImagingStudy.rs=patient', 'user/ImagingStudy.rs=radiologist']
      patient_claim: patient
      fhir_url: {fhir}
      patient_systems: ['urn:oid:1.2.36=HOSPITAL', 'urn:oid:1.2.37=CLINIC']
http:
  tokens_file: {folder}/tokens
"""
MACHINE = "0123456789abcdef-machine"
# The same Patient ID is somebody else's in another house.
STUDIES = {
    "1.2.6.1": ("4711", "HOSPITAL"),
    "1.2.6.2": ("17", "CLINIC"),
    "1.2.6.3": ("4711", "CLINIC"),
    "1.2.6.4": ("17", "HOSPITAL"),
    "1.2.6.5": ("5", "HOSPITAL"),
}
HIS = {"1.2.6.1", "1.2.6.2"}


@dataclass
class Portal:
    """The archive, and the health record."""

    archive: RunningArchive
    issuer: TestIssuer

    def app(self, scope: str = "launch/patient patient/ImagingStudy.rs", patient: str = "e1") -> str:
        return self.issuer.token(scope=scope, patient=patient)

    def ask(self, token: str, path: str, accept: str = "*/*") -> tuple[int, bytes]:
        url = path if path.startswith("http") else f"http://127.0.0.1:{self.archive.http_port}{path}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}", "Accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def studies(self, token: str, query: str) -> list[dict[str, Any]]:
        status, body = self.ask(token, f"/fhir/r4/ImagingStudy?{query}")
        assert status == 200, body
        return [entry["resource"] for entry in json.loads(body).get("entry", ())]


def _file(study: str, patient: str, issuer: str) -> bytes:
    image: Dataset = data_set(study=study, series=f"{study}.1", instance=f"{study}.1.1", patient=patient)
    image.IssuerOfPatientID = issuer
    return file_bytes(image)


@pytest.fixture(scope="module", params=TOPOLOGIES)
def portal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    folder: Path = tmp_path_factory.mktemp("smart")
    (folder / "tokens").write_text(f"machine:{MACHINE}\n")
    issuer = TestIssuer()
    identifiers = [("urn:oid:1.2.36", "4711"), ("urn:oid:1.2.37", "17"), ("urn:oid:9", "5")]
    issuer.patients["e1"] = {"identifier": [{"system": system, "value": value} for system, value in identifiers]}
    issuer.patients["e2"] = {"identifier": []}
    with in_a_thread(issuer):
        stores = environment(request.param, folder)
        archive = RunningArchive(folder, lab=False, environment=stores)
        archive.write_policy([], SETTINGS.format(url=issuer.url, fhir=issuer.fhir_url, folder=folder))
        archive.start()
        try:
            made = [_file(study, *patient) for study, patient in STUDIES.items()]
            assert post(archive, files(made), Authorization=f"Bearer {MACHINE}").status == 200
            fixture = Portal(archive, issuer)
            until(lambda: len(fixture.studies(MACHINE, "")) == len(STUDIES))
            yield fixture
            assert archive.alive, archive.log.read_text()
        finally:
            archive.stop()
            remove_stores(stores)


@pytest.mark.parametrize("name", ["patient", "subject"])
@pytest.mark.parametrize("form", ["e1", "Patient/e1", "{0}/Patient/e1"])
def test_app_finds_the_studies_of_its_patient_as_the_health_record_names_him(
    portal: Portal, name: str, form: str
) -> None:
    token = portal.app()
    studies = portal.studies(token, f"{name}={form.format(portal.issuer.fhir_url)}")
    assert {study["id"] for study in studies} == HIS
    assert {study["subject"]["reference"] for study in studies} == {f"{portal.issuer.fhir_url}/Patient/e1"}


def test_app_fetches_what_it_found_with_the_same_token_and_nothing_else(portal: Portal) -> None:
    token = portal.app()
    for match in portal.studies(token, "patient=e1"):
        (endpoint,) = [held for held in match["contained"] if held["resourceType"] == "Endpoint"]
        assert endpoint["connectionType"]["code"] == "dicom-wado-rs"
        status, body = portal.ask(token, f"{endpoint['address']}/studies/{match['id']}")
        assert status == 200
        assert b"DICM" in body
    read = json.loads(portal.ask(token, "/fhir/r4/ImagingStudy/1.2.6.1")[1])
    assert read["subject"]["reference"] == f"{portal.issuer.fhir_url}/Patient/e1"
    for study in STUDIES.keys() - HIS:
        assert portal.ask(token, f"/dicom-web/studies/{study}")[0] == 404
        assert portal.ask(token, f"/fhir/r4/ImagingStudy/{study}")[0] == 404
    assert {study["id"] for study in portal.studies(token, "")} == HIS
    assert portal.studies(token, "patient=e2") == []
    assert portal.studies(token, "patient=5.HOSPITAL") == []
    assert portal.ask(token, "/dicom-web/changes")[0] == 403


def test_somebody_who_sees_everything_asks_for_the_patient_in_whose_record_he_is(portal: Portal) -> None:
    token = portal.app("launch user/ImagingStudy.rs")
    assert len(portal.studies(token, "")) == len(STUDIES)
    assert {study["id"] for study in portal.studies(token, "patient=e1")} == HIS
    assert {study["id"] for study in portal.studies(token, "patient=e1&_sort=started&_count=1")} < HIS
    status, body = portal.ask(token, "/fhir/r4/ImagingStudy?patient=e1&_summary=count")
    assert (status, json.loads(body)["total"]) == (200, 2)
    assert {study["id"] for study in portal.studies(token, "patient=5.HOSPITAL")} == {"1.2.6.5"}


def test_patient_who_is_not_known_here_has_no_studies_and_an_app_without_the_scope_nothing(portal: Portal) -> None:
    assert portal.studies(portal.app(patient="e2"), "patient=e2") == []
    assert portal.studies(portal.app(patient="e2"), "") == []
    assert portal.ask(portal.app(patient="nobody"), "/fhir/r4/ImagingStudy?patient=nobody")[0] == 401
    assert portal.ask(portal.app("patient/Observation.rs"), "/fhir/r4/ImagingStudy?patient=e1")[0] == 403
    log = portal.archive.log.read_text()
    assert portal.issuer.read[0][1] not in log
