"""Who sees what: over HTTP by tokens of a real issuer and of the file, over DIMSE by AE titles; on a real archive."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from gantry.common.access import CallerRole
from gantry.common.access.user_file import line_of
from gantry.common.dicom.standard.sop_classes import PATIENT_ROOT_MOVE, STORAGE_COMMITMENT
from gantry.common.net import Peer
from tests.support.archive import RunningArchive
from tests.support.issuer import TestIssuer, in_a_thread
from tests.support.ports import free_port
from tests.support.pynetdicom_peers import Scp
from tests.support.seen import Eyes, named, refused
from tests.support.stow import files, post
from tests.support.topology import TOPOLOGIES, environment, remove_stores

STUDIES = {
    "1.2.9.1": ("P1", "Doe^Jane", "North", "Cardiology"),
    "1.2.9.2": ("P2", "Doe^Jane", "South", "Radiology"),
    "1.2.9.3": ("P3", "Roe^Max", "North", "Radiology"),
}
SETTINGS = """access:
  issuers:
    - name: sso
      url: {url}
      audience: [gantry]
      roles_claim: realm_access.roles
      referrer_claim: referrer
      patient_claim: mrn
      department_claim: unit
  roles: ['referrer=read,history,correct,delete,changes,worklist,hold']
  sees: ['technologist=department']
  users_file: {users}
http:
  tokens_file: {tokens}
"""
OLD, MACHINE = "an-old-token-without-roles", "a-token-of-a-machine"
WHO: dict[str, dict[str, Any]] = {
    "radiologist": {"roles": ["radiologist"]},
    "jane": {"roles": ["referrer"], "referrer": "Doe^Jane"},
    "p3": {"roles": ["patient"], "mrn": "P3"},
    "p3 and jane": {"roles": ["patient", "referrer"], "mrn": "P3", "referrer": "Doe^Jane"},
    "stranger": {"roles": ["patient"]},
    "heart": {"roles": ["technologist"], "unit": "Cardiology"},
}
"""Over HTTP: the claims of somebody's token."""
PEERS = {
    "RADIOLOGIST": None,
    "JANE": "[{referrer: [Doe^Jane]}]",
    "P3": "[{patient: [P3]}]",
    "P3 AND JANE": "[{patient: [P3]}, {referrer: [Doe^Jane]}]",
    "STRANGER": "[]",
    "NORTH": "[{institution: [North], modality: [CT, MR]}]",
    "HEART": "[{department: [Cardiology]}]",
    "NO SCANS": "[{institution: [North], modality: [US]}]",
}
"""Over DIMSE: what the policy says that an AE title sees."""
SEES = {
    "radiologist": {"1.2.9.1", "1.2.9.2", "1.2.9.3"},
    "jane": {"1.2.9.1", "1.2.9.2"},
    "p3": {"1.2.9.3"},
    "p3 and jane": {"1.2.9.1", "1.2.9.2", "1.2.9.3"},
    "stranger": set(),
    "north": {"1.2.9.1", "1.2.9.3"},
    "heart": {"1.2.9.1"},
    "no scans": set(),
}
MAY = "[find, retrieve, commit, store]"
PASSCODE = "correct horse battery"
USERS = (
    line_of("reader", PASSCODE.encode(), b"salt of sixteen!", [CallerRole.RADIOLOGIST]),
    line_of("referrer", PASSCODE.encode(), b"salt of sixteen.", [CallerRole.REFERRER]),
    "reading room:- roles=radiologist",
)


class Site:
    """The archive and the issuer it trusts."""

    def __init__(self, archive: RunningArchive, issuer: TestIssuer) -> None:
        self.archive = archive
        self.issuer = issuer
        self.sink = Scp("SINK", free_port())

    def peer(self, title: str) -> Peer:
        return Peer("127.0.0.1", self.archive.port, "GANTRY", title)

    def token(self, user: str) -> str:
        claims = dict(WHO[user])
        return self.issuer.token(preferred_username=user, realm_access={"roles": claims.pop("roles")}, **claims)

    def ask(
        self, token: str, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        url = f"http://127.0.0.1:{self.archive.http_port}{path}"
        sent = {"Authorization": f"Bearer {token}", **headers}
        request = urllib.request.Request(url, body, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def found(self, token: str, search: str = "/dicom-web/studies") -> set[str]:
        status, body = self.ask(token, search, Accept="application/dicom+json")
        assert status == 200, body
        return {match["0020000D"]["Value"][0] for match in json.loads(body)}


def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _file(study: str) -> bytes:
    path = get_testdata_file("CT_small.dcm")
    assert isinstance(path, str)
    dataset = pydicom.dcmread(path)
    dataset.PatientID, dataset.ReferringPhysicianName, dataset.InstitutionName, department = STUDIES[study]
    dataset.InstitutionalDepartmentName = department
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{study}.1.1"
    written = BytesIO()
    dataset.save_as(written)
    return written.getvalue()


def policy(sink: Scp) -> list[str]:
    """The peers of the table, and where C-MOVE sends to."""
    sees = {title: f", sees: {entries}" if entries else "" for title, entries in PEERS.items()}
    peers = [f"{{ae_title: {title}, host: 127.0.0.1, may: {MAY}{seen}}}" for title, seen in sees.items()]
    for rule in ("allowed", "required", "ignored"):
        peers.append(f"{{ae_title: {rule.upper()}, host: 127.0.0.1, may: {MAY}, user_identity: {rule}}}")
    entries = "[{institution: [North]}]"
    peers.append(f"{{ae_title: NORTH DESK, host: 127.0.0.1, may: {MAY}, user_identity: required, sees: {entries}}}")
    return [*peers, f"{{ae_title: SINK, host: 127.0.0.1, port: {sink.configured_port}, move_destination: true}}"]


@pytest.fixture(scope="module", params=TOPOLOGIES)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("access")
    issuer = TestIssuer()
    with in_a_thread(issuer):
        tokens = folder / "tokens"
        tokens.write_text(f"old:{OLD}\nmachine:{MACHINE} roles=service\n")
        archive = RunningArchive(folder, lab=False, environment=environment(request.param, folder))
        fixture = Site(archive, issuer)
        users = folder / "users"
        users.write_text("\n".join(USERS) + "\n")
        archive.write_policy(policy(fixture.sink), SETTINGS.format(url=issuer.url, tokens=tokens, users=users))
        archive.start()
        stored = post(archive, files(map(_file, STUDIES)), Authorization=f"Bearer {MACHINE}")
        assert stored.status == 200, stored.body
        until(lambda: fixture.found(OLD) == set(STUDIES))
        with fixture.sink:
            yield fixture
        assert archive.alive, archive.log.read_text()
        archive.stop()
        remove_stores(archive.environment)


@pytest.mark.parametrize("user", WHO)
def test_search_finds_and_counts_what_is_seen(site: Site, user: str) -> None:
    token = site.token(user)
    assert site.found(token) == SEES[user]
    assert site.found(token, "/dicom-web/series") == SEES[user]
    assert site.found(token, "/dicom-web/instances") == SEES[user]
    assert site.found(token, "/dicom-web/studies?PatientID=P1") == SEES[user] & {"1.2.9.1"}
    assert site.found(token, "/dicom-web/studies?ReferringPhysicianName=*") == SEES[user]
    assert json.loads(site.ask(token, "/dicom-web/studies/count")[1]) == {"count": len(SEES[user])}
    assert len(site.found(token, "/dicom-web/studies?limit=1")) == min(1, len(SEES[user]))


@pytest.mark.parametrize("user", WHO)
def test_fhir_shows_what_is_seen(site: Site, user: str) -> None:
    token = site.token(user)
    status, body = site.ask(token, "/fhir/r4/ImagingStudy?_total=accurate&_include=ImagingStudy:subject")
    bundle = json.loads(body)
    resources = [entry["resource"] for entry in bundle.get("entry", ())]
    seen = {resource["id"] for resource in resources if resource["resourceType"] == "ImagingStudy"}
    patients = {resource["id"] for resource in resources if resource["resourceType"] == "Patient"}
    assert (status, seen, bundle["total"]) == (200, SEES[user], len(SEES[user]))
    assert patients == {STUDIES[study][0] for study in SEES[user]}
    for study, (patient, *_) in STUDIES.items():
        for path in (f"ImagingStudy/{study}", f"Patient/{patient}"):
            assert site.ask(token, f"/fhir/r4/{path}")[0] == (200 if study in SEES[user] else 404), path
    assert site.ask("", "/fhir/r4/metadata")[0] == 401


@pytest.mark.parametrize("title", PEERS)
def test_peer_finds_and_counts_what_it_sees(site: Site, title: str) -> None:
    sees = sorted(SEES[title.lower()])
    patients = [STUDIES[study][0] for study in sees]
    with Eyes(site.peer(title)) as eyes:
        assert eyes.find_keys("PATIENT") == patients
        assert eyes.find_keys("PATIENT", "PatientID=P*") == patients
        assert eyes.find_keys("STUDY") == sees
        assert eyes.find_keys("STUDY", "PatientID=P1") == [study for study in sees if study == "1.2.9.1"]
        assert eyes.find_keys("STUDY", "ModalitiesInStudy=CT", "InstitutionName=*o*") == sees
        assert eyes.find_keys("STUDY", "StudyInstanceUID=1.2.9.1\\1.2.9.2") == [s for s in sees if s != "1.2.9.3"]
        for study, (patient, *_) in STUDIES.items():
            above = f"PatientID={patient}", f"StudyInstanceUID={study}"
            assert eyes.find_keys("SERIES", *above) == [f"{study}.1"] * (study in sees)
            assert eyes.find_keys("IMAGE", *above, f"SeriesInstanceUID={study}.1") == [f"{study}.1.1"] * (study in sees)
        for level in ("PATIENT", "STUDY"):
            counted = eyes.find(level, "NumberOfPatientRelatedStudies")
            tells = title in ("RADIOLOGIST", "P3")
            assert all((match.get("NumberOfPatientRelatedStudies") == 1) is tells for match in counted)


@pytest.mark.parametrize("title", PEERS)
def test_peer_retrieves_and_commits_what_it_sees(site: Site, title: str) -> None:
    """What it does not see is as if it were not there: nothing is sent, and nothing says why."""
    with Eyes(site.peer(title)) as eyes:
        for study, (patient, *_) in STUDIES.items():
            is_seen = study in SEES[title.lower()]
            came = {f"{study}.1.1"} if is_seen else set()
            for level, key in (("PATIENT", f"PatientID={patient}"), ("STUDY", f"StudyInstanceUID={study}")):
                assert eyes.got(level, key) == (len(came), came), (study, level)
                assert eyes.moved("SINK", level, key) == len(came), (study, level)
            assert eyes.got("IMAGE", f"SOPInstanceUID={study}.1.1") == (len(came), came)
        assert eyes.got("STUDY", "StudyInstanceUID=1.2.9.404") == (0, set())
        instances = [f"{study}.1.1" for study in (*STUDIES, "1.2.9.404")]
        reasons = eyes.committed(generate_uid(), instances)
    seen = {f"{study}.1.1" for study in SEES[title.lower()]}
    assert reasons == {uid: 0 if uid in seen else 0x0112 for uid in instances}


def test_peer_that_is_taken_out_of_the_policy_sees_nothing_on_what_is_still_open(site: Site) -> None:
    """It must not see more than before."""
    with Eyes(site.peer("JANE")) as eyes:
        assert eyes.find_keys("STUDY") == ["1.2.9.1", "1.2.9.2"]
        before = site.archive.config.read_text()
        site.archive.config.write_text(before.replace("ae_title: JANE,", "ae_title: JOHN,"))
        until(lambda: not eyes.find_keys("STUDY"))
        site.archive.config.write_text(before)
        until(lambda: eyes.find_keys("STUDY") == ["1.2.9.1", "1.2.9.2"])


@pytest.mark.parametrize("user", WHO)
@pytest.mark.parametrize("title", ["ALLOWED", "REQUIRED", "NORTH DESK"])
def test_user_of_an_issuer_sees_over_dimse_what_he_and_his_peer_see(site: Site, user: str, title: str) -> None:
    """The table of HTTP, and no more than the peer's part of it."""
    sees = SEES[user] & (SEES["north"] if title == "NORTH DESK" else set(STUDIES))
    with Eyes(site.peer(title), named(site.token(user), kind=5, response=True)) as eyes:
        assert eyes.response == site.token(user).encode() or eyes.response.count(b".") == 2
        assert eyes.find_keys("STUDY") == sorted(sees)
        assert eyes.find_keys("PATIENT") == [STUDIES[study][0] for study in sorted(sees)]
        for study in STUDIES:
            assert eyes.got("STUDY", f"StudyInstanceUID={study}")[0] == (study in sees)
        # A technologist may have sent what he sees; to be told what is stored is for those who see everything.
        may = PATIENT_ROOT_MOVE in eyes.allowed, STORAGE_COMMITMENT in eyes.allowed
        assert may == (user in ("radiologist", "heart"), user == "radiologist")


def test_users_of_the_file_are_known_by_their_passcodes(site: Site) -> None:
    for title in ("ALLOWED", "REQUIRED"):
        for _ in range(2):  # the second time without hashing
            with Eyes(site.peer(title), named("reader", PASSCODE, response=True)) as eyes:
                assert eyes.response == b""
                assert eyes.find_keys("STUDY") == sorted(STUDIES)
                assert STORAGE_COMMITMENT in eyes.allowed
        with Eyes(site.peer(title), named("reading room")) as eyes:
            assert eyes.response is None
            assert eyes.find_keys("STUDY") == sorted(STUDIES)
        with Eyes(site.peer(title), named("referrer", PASSCODE)) as eyes:
            assert eyes.find_keys("STUDY") == []  # nobody says whose referrals
    with Eyes(site.peer("ALLOWED")) as eyes:
        assert eyes.find_keys("STUDY") == sorted(STUDIES)
    assert site.archive.metric("gantry_user_identities_total") > 0
    assert '"user": "reader"' in site.archive.log.read_text() or "user=reader" in site.archive.log.read_text()


WRONG: dict[str, tuple[str, str, int]] = {
    "no user": ("", "", 0),
    "a wrong passcode": ("reader", "wrong horse battery", 2),
    "an unknown user": ("nobody", PASSCODE, 2),
    "a name alone": ("reader", "", 1),
    "a passcode of 60 KB": ("reader", "x" * 60_000, 2),
    "Kerberos": ("ticket", "", 3),
    "SAML": ("<assertion/>", "", 4),
    "a token that is none": ("a.b.c", "", 5),
}


@pytest.mark.parametrize("kind", WRONG)
def test_user_who_is_not_accepted_is_rejected_in_words(site: Site, kind: str) -> None:
    """PS3.8 table 9-21: rejected-permanent, service-user, no reason given."""
    name, secret, number = WRONG[kind]
    items = (named(name, secret, number),) if number else ()
    eyes = Eyes(site.peer("REQUIRED"), *items)
    assert eyes.association.is_rejected
    assert eyes.refusal == (1, 1, 1)
    words = {"Kerberos": "a Kerberos ticket is not accepted here", "SAML": "a SAML assertion is not accepted here"}
    log = logged(site.archive, words.get(kind, "association rejected"))
    assert "wrong horse" not in log
    assert PASSCODE not in log
    if number:
        # Where a user is ignored nothing is different from before.
        with Eyes(site.peer("IGNORED"), *items) as ignored:
            assert ignored.find_keys("STUDY") == sorted(STUDIES)


def logged(archive: RunningArchive, words: str) -> str:
    """The log of an archive that has these words in it, a moment after what they are about."""
    deadline = time.monotonic() + 10
    while words not in (log := archive.log.read_text()):
        assert time.monotonic() < deadline, log
        time.sleep(0.05)
    return log


def test_several_users_of_one_association_are_none(site: Site) -> None:
    item = named("reader", PASSCODE)
    for title in ("REQUIRED", "IGNORED"):
        eyes = Eyes(site.peer(title), item, item)
        assert eyes.association.is_aborted
    assert site.archive.alive


def test_access_is_on_record_with_its_user(site: Site) -> None:
    with Eyes(site.peer("REQUIRED"), named("reader", PASSCODE)) as eyes:
        eyes.find_keys("STUDY", "StudyInstanceUID=1.2.9.1")
    administrator = site.issuer.token(realm_access={"roles": ["administrator"]})

    def recorded() -> bool:
        status, body = site.ask(administrator, "/dicom-web/operations/audit?limit=1000")
        assert status == 200, body
        return b'"reader"' in body

    until(recorded)


PATHS = [
    *("{0}", "{0}/series/{0}.1", "{0}/series/{0}.1/instances/{0}.1.1", "{0}/metadata", "{0}/rendered"),
    *("{0}/thumbnail", "{0}/series/{0}.1/thumbnail", "{0}/series/{0}.1/instances/{0}.1.1/thumbnail"),
    *("{0}/series/{0}.1/instances/{0}.1.1/frames/1", "{0}/series/{0}.1/instances/{0}.1.1/rendered"),
    "{0}/series/{0}.1/instances/{0}.1.1/bulkdata/7FE00010",
]


@pytest.mark.parametrize("path", PATHS)
def test_study_that_is_not_seen_is_not_there(site: Site, path: str) -> None:
    """Whoever saw it just before: nothing that was cached for others is given."""
    for user in ("radiologist", "jane", "p3", "p3 and jane", "stranger", "radiologist"):
        token = site.token(user)
        for study in STUDIES:
            status, body = site.ask(token, f"/dicom-web/studies/{path.format(study)}")
            assert status == (200 if study in SEES[user] else 404), (user, study, body[:200])
            assert status == 200 or b"P" not in body


def test_wado_uri_and_sub_searches_are_as_restricted(site: Site) -> None:
    query = "/wado?requestType=WADO&studyUID={0}&seriesUID={0}.1&objectUID={0}.1.1&contentType=application/dicom"
    for user in WHO:
        for study in STUDIES:
            status, _ = site.ask(site.token(user), query.format(study))
            assert status == (200 if study in SEES[user] else 404)
            assert site.found(site.token(user), f"/dicom-web/studies/{study}/instances") == SEES[user] & {study}


def test_what_tells_of_all_studies_is_for_those_who_see_all(site: Site) -> None:
    jane = site.token("jane")
    for path in ("changes", "changes/studies", "orders", "operations/health"):
        assert site.ask(jane, f"/dicom-web/{path}")[0] == 403
    status, body = site.ask(site.token("p3"), "/dicom-web/studies", "POST", b"x")
    assert (status, body) == (403, b"this caller may not store: none of its roles may (docs/access.md)\n")


def test_history_and_changes_of_a_study_that_is_not_seen_are_not_there(site: Site) -> None:
    jane = site.token("jane")
    assert site.ask(jane, "/dicom-web/studies/1.2.9.1/history")[0] == 200
    assert site.ask(jane, "/dicom-web/studies/1.2.9.3/history")[0] == 404
    assert site.ask(jane, "/dicom-web/studies/1.2.9.3?reason=x", "DELETE")[0] == 404
    assert site.ask(jane, "/dicom-web/studies/1.2.9.3/holds?reason=x", "POST")[0] == 404
    body = json.dumps({"00081030": {"vr": "LO", "Value": ["new"]}}).encode()
    headers = {"Content-Type": "application/dicom+json"}
    assert site.ask(jane, "/dicom-web/studies/1.2.9.3/corrections?reason=x", "POST", body, **headers)[0] == 404
    assert site.found(OLD) == set(STUDIES)


def test_deletion_and_restoring_by_role(site: Site) -> None:
    """By a role alone: nobody is named in `http.may_delete`."""
    assert site.ask(OLD, "/dicom-web/studies/1.2.9.2?reason=x", "DELETE")[0] == 403
    assert site.ask(site.token("radiologist"), "/dicom-web/studies/1.2.9.2?reason=x", "DELETE")[0] == 403
    assert json.loads(site.ask(site.token("jane"), "/dicom-web/permissions")[1])["delete"] is True
    assert site.ask(site.token("jane"), "/dicom-web/studies/1.2.9.2?reason=x", "DELETE")[0] in (202, 204)
    until(lambda: site.found(OLD) == {"1.2.9.1", "1.2.9.3"})
    administrator = site.issuer.token(realm_access={"roles": ["administrator"]})
    assert site.ask(administrator, "/dicom-web/studies/1.2.9.2/restore?reason=x", "POST")[0] in (202, 204)
    until(lambda: site.found(site.token("jane")) == SEES["jane"])


def test_token_of_the_file_without_roles_is_what_it_was(site: Site) -> None:
    assert site.found(OLD) == set(STUDIES)
    assert site.ask(OLD, "/dicom-web/changes")[0] == 200
    assert site.ask(OLD, "/dicom-web/permissions")[0] == 200
    assert site.ask("", "/dicom-web/studies")[0] == 401


def test_a_probe_on_the_same_connection_is_not_restricted(site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.archive.http_port, timeout=20)
    for token, number in ((site.token("stranger"), 0), (OLD, 3), (site.token("jane"), 2)):
        connection.request("GET", "/dicom-web/studies/count", headers={"Authorization": f"Bearer {token}"})
        assert json.loads(connection.getresponse().read()) == {"count": number}
        connection.request("GET", "/readyz")
        assert connection.getresponse().read() == b"ready\n"
    connection.close()


def test_no_token_is_in_the_log(site: Site) -> None:
    token = site.token("jane")
    assert site.ask(token[:-4] + "AAAA", "/dicom-web/studies")[0] == 401
    log = site.archive.log.read_text()
    assert "its signature is wrong" in log
    assert token.split(".")[1] not in log
    assert OLD not in log


def test_passcodes_cannot_be_tried_for_long(site: Site) -> None:
    """After some tries of an address nobody there is looked at for a while, but who was known before still is."""
    with Eyes(site.peer("REQUIRED"), named("reader", PASSCODE)):
        pass
    refusals = [refused(site.peer("ALLOWED"), named("referrer", f"guess {number}")) for number in range(12)]
    assert refusals[-1] == (2, 3, 1)
    assert set(refusals) <= {(1, 1, 1), (2, 3, 1)}
    assert refused(site.peer("ALLOWED"), named("referrer", "guess")) == (2, 3, 1)
    with Eyes(site.peer("REQUIRED"), named("reader", PASSCODE)) as eyes:
        assert eyes.find_keys("STUDY") == sorted(STUDIES)
    assert "too many tries from this address" in site.archive.log.read_text()
