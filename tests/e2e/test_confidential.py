"""Confidential studies on a real archive: a patient is marked, merged, unmarked, and seen by nobody who may not."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from gantry.common.access import CallerRole
from gantry.common.access.user_file import line_of
from gantry.common.net import Peer
from tests.support.archive import RunningArchive
from tests.support.objects import data_set, file_bytes
from tests.support.ports import free_port
from tests.support.pynetdicom_peers import Scp
from tests.support.rejection_notes import rejection_note
from tests.support.seen import CT, Eyes, named
from tests.support.stow import files, post
from tests.support.topology import TOPOLOGIES, environment, remove_stores

STUDIES = {"1.2.7.1": "VIP1", "1.2.7.2": "P2", "1.2.7.3": "P3", "1.2.7.4": "VIP1"}
CONFIDENTIAL = {"1.2.7.1", "1.2.7.4"}
ORDINARY = set(STUDIES) - CONFIDENTIAL
MARK = "00403001"
ROLES = {"machine": "", "rad": "radiologist", "tech": "technologist", "all": "administrator", "vip": "patient"}
SETTINGS = """access:
  confidential: [administrator]
  override_key_file: {folder}/overrides
  users_file: {folder}/users
http:
  tokens_file: {folder}/tokens
  may_correct: [machine]
  may_reject: [machine=113001, tech=113001]
"""
PASSCODE = "correct horse battery"
REASON = "found unconscious, no consent"


@dataclass
class Clinic:
    """The archive, and who asks."""

    archive: RunningArchive
    sink: Scp

    def ask(
        self,
        user: str,
        path: str,
        method: str = "GET",
        body: Any = None,
        kind: str = "application/json",
        **headers: str,
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.archive.http_port, timeout=20)
        sent = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = {
            "Authorization": f"Bearer 0123456789abcdef-{user}",
            **({"Content-Type": kind} if sent else {}),
            **headers,
        }
        try:
            connection.request(method, path, sent, fields)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def found(self, user: str, search: str = "studies", **headers: str) -> set[str]:
        status, body = self.ask(user, f"/dicom-web/{search}", Accept="application/dicom+json", **headers)
        assert status == 200, body
        return {match["0020000D"]["Value"][0] for match in json.loads(body)}

    def count(self, user: str, **headers: str) -> int:
        number: int = json.loads(self.ask(user, "/dicom-web/studies/count", **headers)[1])["count"]
        return number

    def change(self, path: str, body: object) -> str:
        status, answer = self.ask("machine", f"/dicom-web/patients/{path}?reason=test", "POST", body)
        assert status in (200, 202), answer
        return str(json.loads(answer)["id"]) if b'"id"' in answer else ""

    def mark(self, patient: str, code: str) -> None:
        value = {"vr": "LO", "Value": [code]} if code else {"vr": "LO"}
        self.change("corrections", {"patient": identity(patient), "values": {MARK: value}})

    def store(self, user: str, study: str, patient: str) -> int:
        image = data_set(study=study, series=f"{study}.1", instance=f"{study}.1.1", patient=patient)
        return post(self.archive, files([file_bytes(image)]), Authorization=f"Bearer 0123456789abcdef-{user}").status

    def reject(self, user: str, study: str) -> int:
        image = data_set(study=study, series=f"{study}.1", instance=f"{study}.1.1", patient=STUDIES[study])
        note = file_bytes(rejection_note([image]))
        return post(self.archive, files([note]), Authorization=f"Bearer 0123456789abcdef-{user}").status

    def peer(self, title: str) -> Peer:
        return Peer("127.0.0.1", self.archive.port, "GANTRY", title)


def identity(patient: str) -> dict[str, Any]:
    return {"00100020": {"vr": "LO", "Value": [patient]}}


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(params=TOPOLOGIES)
def clinic(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Clinic]:
    stores = environment(request.param, tmp_path)
    archive = RunningArchive(tmp_path, lab=False, environment=stores)
    fixture = Clinic(archive, Scp("SINK", free_port()))
    lines = [f"{name}:0123456789abcdef-{name}" + f" roles={role}" * bool(role) for name, role in ROLES.items()]
    (tmp_path / "tokens").write_text("\n".join(lines))
    (tmp_path / "overrides").write_text("1" * 44)
    user = line_of("reader", PASSCODE.encode(), b"salt of sixteen!", [CallerRole.RADIOLOGIST])
    (tmp_path / "users").write_text(user + "\n")
    may = "may: [find, retrieve, commit, store]"
    peers = [
        f"{{ae_title: ANYBODY, host: 127.0.0.1, {may}, user_identity: allowed}}",
        f"{{ae_title: HALLWAY, host: 127.0.0.1, {may}, confidential: false}}",
        f"{{ae_title: SINK, host: 127.0.0.1, port: {fixture.sink.configured_port}, move_destination: true}}",
    ]
    archive.write_policy(peers, SETTINGS.format(folder=tmp_path))
    archive.start()
    try:
        for study, patient in STUDIES.items():
            assert fixture.store("machine", study, patient) == 200
        until(lambda: fixture.found("machine") == set(STUDIES))
        with fixture.sink:
            yield fixture
        assert archive.alive, archive.log.read_text()
    finally:
        archive.stop()
        remove_stores(stores)


def test_marked_patient_is_there_for_those_who_may_see_him_alone(clinic: Clinic) -> None:
    assert clinic.found("rad") == set(STUDIES)
    clinic.mark("VIP1", "VIP")
    until(lambda: clinic.count("rad") == len(ORDINARY))

    # Searches, numbers and pages.
    for search in ("studies", "series", "instances", "studies?orderby=-StudyDate&limit=10", "studies?PatientName=*"):
        assert clinic.found("rad", search) == ORDINARY, search
        assert clinic.found("all", search) == clinic.found("machine", search) == set(STUDIES), search
    assert clinic.found("rad", "studies?PatientID=VIP1") == clinic.found("vip") == set()
    assert clinic.found("rad", "instances?SOPInstanceUID=1.2.7.1.1.1,1.2.7.2.1.1") == {"1.2.7.2"}
    assert clinic.found("rad", f"studies?{MARK}=V*") == set()
    assert clinic.found("all", f"studies?{MARK}=VIP") == CONFIDENTIAL
    assert clinic.ask("rad", "/fhir/r4/Patient/VIP1")[0] == 404
    assert clinic.ask("rad", "/fhir/r4/Patient/P2")[0] == 200

    # What is below a study, for who may and who may not.
    for path in ("", "/metadata", "/rendered", "/thumbnail", "/history", "/series/1.2.7.1.1/instances/1.2.7.1.1.1"):
        assert clinic.ask("rad", f"/dicom-web/studies/1.2.7.1{path}")[0] == 404, path
        assert clinic.ask("all", f"/dicom-web/studies/1.2.7.1{path}")[0] == 200, path
    metadata = json.loads(clinic.ask("all", "/dicom-web/studies/1.2.7.1/metadata")[1])
    assert metadata[0][MARK]["Value"] == ["VIP"]

    # He works on as before with everything else.
    for study, status in (("1.2.7.2", 202), ("1.2.7.1", 404)):
        assert clinic.ask("rad", f"/dicom-web/studies/{study}/send", "POST", {"destination": "SINK"})[0] == status
    assert clinic.store("tech", "1.2.7.5", "P2") == 200
    until(lambda: "1.2.7.5" in clinic.found("tech"))
    for path in ("/dicom-web/changes", "/dicom-web/orders"):
        assert clinic.ask("rad", path)[0] == 403, path

    # What comes later is of the same patient, and whoever brought it does not see it.
    assert clinic.store("tech", "1.2.7.6", "VIP1") == 200
    until(lambda: "1.2.7.6" in clinic.found("all"))
    assert clinic.found("tech") == ORDINARY | {"1.2.7.5"}


def test_who_does_not_see_all_rejects_nothing(clinic: Clinic) -> None:
    # A rejection note says of any instance whether it is there, so a study that he sees is no exception.
    assert clinic.reject("tech", "1.2.7.2") == 409
    assert clinic.found("tech") == set(STUDIES)
    assert clinic.reject("machine", "1.2.7.2") == 200
    until(lambda: "1.2.7.2" not in clinic.found("tech"))


def test_peers_and_their_users_see_the_same(clinic: Clinic) -> None:
    clinic.mark("VIP1", "VIP")
    until(lambda: clinic.count("rad") == len(ORDINARY))
    reader = named("reader", PASSCODE)
    for title, items, seen in (
        ("ANYBODY", (), set(STUDIES)),
        ("ANYBODY", (reader,), ORDINARY),
        ("HALLWAY", (), ORDINARY),
    ):
        with Eyes(clinic.peer(title), *items) as eyes:
            assert eyes.find_keys("STUDY") == sorted(seen), title
            assert eyes.find_keys("PATIENT") == sorted({STUDIES[study] for study in seen}), title
            for study, patient in STUDIES.items():
                above = f"PatientID={patient}", f"StudyInstanceUID={study}"
                assert eyes.find_keys("SERIES", *above) == [f"{study}.1"] * (study in seen)
                came = {f"{study}.1.1"} if study in seen else set()
                assert eyes.got("STUDY", f"StudyInstanceUID={study}") == (len(came), came)
            assert CT in eyes.allowed, title
    with Eyes(clinic.peer("HALLWAY")) as eyes:
        reasons = eyes.committed(generate_uid(), [f"{study}.1.1" for study in STUDIES])
    assert reasons == {f"{study}.1.1": 0x0112 if study in CONFIDENTIAL else 0 for study in STUDIES}


def test_glass_is_broken_for_one_study_among_all_that_are_ordinary(clinic: Clinic) -> None:
    clinic.mark("VIP1", "VIP")
    until(lambda: clinic.count("rad") == len(ORDINARY))
    status, answer = clinic.ask("rad", "/dicom-web/overrides", "POST", {"reason": REASON, "study": "1.2.7.1"})
    assert status == 201, answer
    brings = {"X-Gantry-Override": json.loads(answer)["override"]}
    for search in ("studies", "series", "instances", "studies?orderby=-StudyDate&limit=10"):
        assert clinic.found("rad", search, **brings) == ORDINARY | {"1.2.7.1"}, search
    assert clinic.count("rad", **brings) == len(ORDINARY) + 1
    assert clinic.ask("rad", "/dicom-web/studies/1.2.7.1/metadata", **brings)[0] == 200
    assert clinic.ask("rad", "/dicom-web/studies/1.2.7.4/metadata", **brings)[0] == 404
    assert clinic.count("rad") == len(ORDINARY)


def test_mark_goes_with_a_patient_who_is_merged_and_ends_when_it_is_taken_away(clinic: Clinic) -> None:
    clinic.mark("VIP1", "VIP")
    until(lambda: clinic.count("rad") == len(ORDINARY))
    clinic.change("merges", {"patient": identity("VIP1"), "into": identity("P3")})
    until(lambda: clinic.found("all", "studies?PatientID=VIP1") == set())
    assert clinic.found("rad") == ORDINARY
    clinic.change("withdrawals", {"patient": identity("VIP1")})
    until(lambda: clinic.found("all", "studies?PatientID=VIP1") == CONFIDENTIAL)
    assert clinic.found("rad") == ORDINARY

    # The other way round: who becomes one with a marked patient is marked.
    clinic.change("merges", {"patient": identity("P2"), "into": identity("VIP1")})
    until(lambda: clinic.found("rad") == {"1.2.7.3"})
    clinic.change("withdrawals", {"patient": identity("P2")})
    until(lambda: clinic.found("rad") == ORDINARY)

    clinic.mark("VIP1", "")
    until(lambda: clinic.found("rad") == set(STUDIES))
