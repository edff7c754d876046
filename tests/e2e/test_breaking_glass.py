"""Breaking the glass on a real archive: a study that a referrer does not see, opened by him for a time."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.archive import RunningArchive
from tests.support.door import FrontDoor
from tests.support.objects import data_set, file_bytes
from tests.support.stow import files, post
from tests.support.topology import TOPOLOGIES, environment, remove_stores

STUDIES = {"1.2.8.1": "P1", "1.2.8.2": "P1", "1.2.8.3": "P3"}
ROLES = {"machine": "", "jane": "referrer", "max": "referrer", "him": "patient", "all": "administrator"}
SETTINGS = """access:
  roles: ['referrer=read,history,override']
  override_key_file: {folder}/overrides
http:
  tokens_file: {folder}/tokens
"""
REASON = "found unconscious, no consent"
HEADER = "X-Gantry-Override"
PATHS = [
    *("{0}", "{0}/series/{0}.1", "{0}/series/{0}.1/instances/{0}.1.1", "{0}/metadata", "{0}/rendered"),
    *("{0}/thumbnail", "{0}/history", "{0}/series/{0}.1/instances/{0}.1.1/frames/1"),
    "{0}/series/{0}.1/instances/{0}.1.1/bulkdata/7FE00010",
]


@dataclass
class Ward:
    """The archive, and who asks."""

    archive: RunningArchive
    folder: Path

    def ask(
        self, user: str, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes, str]:
        """Status, body and the cookie that came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.archive.http_port, timeout=20)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer 0123456789abcdef-{user}", **headers})
            response = connection.getresponse()
            return response.status, response.read(), response.headers.get("Set-Cookie", "").partition(";")[0]
        finally:
            connection.close()

    def opened(self, user: str, **fields: str) -> dict[str, str]:
        """What who opened a study or patient sends with his requests."""
        body = json.dumps({"reason": REASON, **fields}).encode()
        kind = {"Content-Type": "application/json"}
        status, answer, cookie = self.ask(user, "/dicom-web/overrides", "POST", body, **kind)
        assert status == 201, answer
        token = json.loads(answer)["override"]
        assert cookie == f"gantry-override={token}"
        return {HEADER: token}

    def found(self, user: str, search: str = "studies", **headers: str) -> set[str]:
        status, body, _ = self.ask(user, f"/dicom-web/{search}", Accept="application/dicom+json", **headers)
        assert status == 200, body
        return {match["0020000D"]["Value"][0] for match in json.loads(body)}

    def counts(self, user: str, **headers: str) -> int:
        count: int = json.loads(self.ask(user, "/dicom-web/studies/count", **headers)[1])["count"]
        return count

    def metric(self, opened: str) -> float:
        return self.archive.metric(f'gantry_overrides_total{{opened="{opened}"}}')


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def filled(archive: RunningArchive, folder: Path) -> Ward:
    """The archive, started, with the studies in it."""
    lines = [f"{name}:0123456789abcdef-{name}" + f" roles={role}" * bool(role) for name, role in ROLES.items()]
    (folder / "tokens").write_text("\n".join(lines))
    (folder / "overrides").write_text("1" * 44)
    archive.write_policy([], SETTINGS.format(folder=folder))
    archive.start()
    made = [
        data_set(study=uid, series=f"{uid}.1", instance=f"{uid}.1.1", patient=patient)
        for uid, patient in STUDIES.items()
    ]
    stored = post(archive, files(map(file_bytes, made)), Authorization="Bearer 0123456789abcdef-machine")
    assert stored.status == 200, stored.body
    fixture = Ward(archive, folder)
    until(lambda: fixture.found("machine") == set(STUDIES))
    return fixture


@pytest.fixture(scope="module", params=TOPOLOGIES)
def ward(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder: Path = tmp_path_factory.mktemp("glass")
    archive = RunningArchive(folder, lab=False, environment=environment(request.param, folder))
    yield filled(archive, folder)
    assert archive.alive, archive.log.read_text()
    archive.stop()
    remove_stores(archive.environment)


def test_page_is_told_who_may_open_what_he_does_not_see(ward: Ward) -> None:
    may = {user: json.loads(ward.ask(user, "/dicom-web/permissions")[1])["override"] for user in ROLES}
    assert may == {"machine": False, "jane": True, "max": True, "him": False, "all": False}


def test_study_is_there_for_who_opened_it_and_for_nobody_else(ward: Ward) -> None:
    assert ward.found("jane") == set()
    before = ward.metric("study")
    brings = ward.opened("jane", study="1.2.8.1")
    assert ward.metric("study") == before + 1
    for headers in (brings, {"Cookie": f"gantry-override={brings[HEADER]}"}):
        for path in PATHS:
            for study in STUDIES:
                status = ward.ask("jane", f"/dicom-web/studies/{path.format(study)}", **headers)[0]
                assert status == (200 if study == "1.2.8.1" else 404), (study, path)
        for search in ("studies", "series", "instances", "studies?PatientID=P1"):
            assert ward.found("jane", search, **headers) == {"1.2.8.1"}, search
        assert ward.found("jane", "studies?StudyInstanceUID=1.2.8.1,1.2.8.3", **headers) == {"1.2.8.1"}
        assert ward.counts("jane", **headers) == 1
    for path in PATHS:
        # Without it, and by a token that was stolen: another caller, and one whose role may not.
        url = f"/dicom-web/studies/{path.format('1.2.8.1')}"
        assert (ward.ask("jane", url)[0], ward.ask("max", url, **brings)[0]) == (404, 404), path
        assert ward.ask("him", url, **brings)[0] in (403, 404), path
    assert ward.counts("max", **brings) == 0


def test_patient_is_there_with_all_of_his_studies(ward: Ward) -> None:
    brings = ward.opened("jane", patient="P1")
    assert ward.found("jane", **brings) == {"1.2.8.1", "1.2.8.2"}
    assert ward.counts("jane", **brings) == 2
    assert ward.ask("jane", "/dicom-web/studies/1.2.8.2", **brings)[0] == 200
    assert ward.ask("jane", "/dicom-web/studies/1.2.8.3", **brings)[0] == 404
    assert ward.ask("jane", "/fhir/r4/Patient/P1", **brings)[0] == 200
    assert ward.ask("jane", "/fhir/r4/Patient/P3", **brings)[0] == 404
    of_another_issuer = ward.opened("jane", patient="P1", issuer="ELSEWHERE")
    assert ward.found("jane", **of_another_issuer) == set()


def test_study_and_patient_are_open_at_once(ward: Ward) -> None:
    first = ward.opened("jane", study="1.2.8.3")
    body = json.dumps({"reason": REASON, "patient": "P1"}).encode()
    kind = {"Content-Type": "application/json"}
    status, answer, _ = ward.ask("jane", "/dicom-web/overrides", "POST", body, **kind, **first)
    assert status == 201
    brings = {HEADER: json.loads(answer)["override"]}
    assert ward.found("jane", **brings) == set(STUDIES)
    assert ward.found("jane", "instances", **brings) == set(STUDIES)
    assert ward.counts("jane", **brings) == 3
    assert ward.ask("jane", "/dicom-web/changes", **brings)[0] == 403


def test_who_may_not_opens_nothing(ward: Ward) -> None:
    body = json.dumps({"reason": REASON, "study": "1.2.8.1"}).encode()
    kind = {"Content-Type": "application/json"}
    for user, status in (("him", 403), ("machine", 403), ("all", 409)):
        assert ward.ask(user, "/dicom-web/overrides", "POST", body, **kind)[0] == status, user


def test_override_is_on_record_with_its_reason_and_in_the_log_without(ward: Ward) -> None:
    brings = ward.opened("jane", study="1.2.8.1")
    ward.opened("max", patient="P3", issuer="HOSPITAL")
    assert ward.ask("jane", "/dicom-web/studies/1.2.8.1/metadata", **brings)[0] == 200

    def records(kind: str) -> list[dict[str, object]]:
        status, body, _ = ward.ask("all", f"/dicom-web/operations/audit?kind={kind}&limit=1000")
        assert status == 200, body
        entries: list[dict[str, object]] = json.loads(body)["records"]
        return entries

    until(lambda: any("HOSPITAL" in json.dumps(record) for record in records("override")))
    begun = [json.dumps(record) for record in records("override")]
    assert all(REASON in record for record in begun)
    assert any('"jane"' in record and "1.2.8.1" in record and "P1" in record for record in begun)
    until(lambda: any("opened by an override" in json.dumps(record) for record in records("accessed")))
    status, body, _ = ward.ask("all", "/dicom-web/operations/audit?kind=override&form=fhir")
    assert (status, b'"110127"' in body) == (200, True)
    log = ward.archive.log.read_text()
    assert "glass broken" in log
    assert REASON not in log
    assert "HOSPITAL" not in log
    assert brings[HEADER] not in log


def test_another_key_takes_all_of_them_back_at_once(ward: Ward) -> None:
    brings = ward.opened("jane", study="1.2.8.1")
    url = "/dicom-web/studies/1.2.8.1"
    assert ward.ask("jane", url, **brings)[0] == 200
    (ward.folder / "overrides").write_text("2" * 44)
    assert ward.ask("jane", url, **brings)[0] == 404
    again = ward.opened("jane", study="1.2.8.1")
    assert ward.ask("jane", url, **again)[0] == 200


def test_what_one_process_opened_is_open_at_all_of_them_through_the_front_door(tmp_path: Path) -> None:
    """Query seals, retrieve and ingest open."""
    door = FrontDoor(tmp_path)
    ward = filled(door, tmp_path)
    brings = ward.opened("jane", study="1.2.8.1")
    for headers in (brings, {"Cookie": f"gantry-override={brings[HEADER]}"}):
        assert ward.found("jane", **headers) == {"1.2.8.1"}
        for path in PATHS:
            for user, status in (("jane", 200), ("max", 404)):
                assert ward.ask(user, f"/dicom-web/studies/{path.format('1.2.8.1')}", **headers)[0] == status, path
    assert door.stop() == 0
