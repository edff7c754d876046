"""UPS-RS (PS3.18 11) on an archive as it runs: a scheduler creates workitems, foreign workers claim and perform
them."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import count

import pytest

from gantry.common.dicom.model.xml_reading import from_xml
from gantry.common.dicom.model.xml_writing import to_xml
from tests.support.archive import RunningArchive
from tests.support.orders import attributes, nested
from tests.support.workitems import MINE, OTHER, WorkitemsClient, as_json, claim, done, why, workitem

NUMBERS = count(1)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    running = RunningArchive(tmp_path_factory.mktemp("workitems"))
    running.write_policy([], "http: {may_order: [loopback], may_delete: [loopback]}\n")
    running.start()
    yield running
    assert running.alive, running.log.read_text()
    running.stop()


@pytest.fixture
def client(archive: RunningArchive) -> WorkitemsClient:
    return WorkitemsClient(archive.http_port)


@pytest.fixture
def uid() -> str:
    return f"1.2.840.77.{next(NUMBERS)}"


def test_a_workitem_is_created_claimed_updated_and_completed(client: WorkitemsClient, uid: str) -> None:
    status, _, headers = client.ask("POST", f"?{uid}", as_json(workitem()))
    assert (status, headers["Warning"]) == (201, None)
    assert headers["Location"].endswith(f"/dicom-web/workitems/{uid}")
    assert client.ask("PUT", f"/{uid}/state", claim())[0] == 200
    status, (shown,), _ = client.ask("GET", f"/{uid}")
    assert status == 200
    assert shown["00741000"]["Value"] == ["IN PROGRESS"]
    assert shown["00100010"]["Value"] == [{"Alphabetic": "Doe^Jane"}]
    assert MINE not in str(shown)
    assert client.ask("POST", f"/{uid}?{MINE}", as_json(attributes(ProcedureStepLabel="More")))[0] == 200
    status, words, headers = client.ask("PUT", f"/{uid}/state", claim(wanted="COMPLETED"))
    assert (status, "inconsistent with the current state" in headers["Warning"]) == (409, True)
    assert "UnifiedProcedureStepPerformedProcedureSequence" in words
    assert client.ask("POST", f"/{uid}?transaction-uid={MINE}", as_json(done()))[0] == 200
    assert client.ask("PUT", f"/{uid}/state", claim(wanted="COMPLETED"))[0] == 200
    status, _, headers = client.ask("PUT", f"/{uid}/state", claim(wanted="COMPLETED"))
    assert (status, "already in the requested state of COMPLETED" in headers["Warning"]) == (200, True)
    (shown,) = client.ask("GET", f"/{uid}")[1]
    assert shown["00741204"]["Value"] == ["More"]
    assert client.ask("POST", f"/{uid}?{MINE}", as_json(done()))[0] == 400


def test_who_does_not_have_the_transaction_uid_changes_nothing(client: WorkitemsClient, uid: str) -> None:
    client.create(uid)
    assert client.ask("POST", f"/{uid}", as_json(attributes(ProcedureStepLabel="Earlier")))[0] == 200
    status, _, headers = client.ask("POST", f"/{uid}?{MINE}", as_json(done()))
    assert (status, "did not reference a claimed Workitem" in headers["Warning"]) == (409, True)
    assert client.ask("PUT", f"/{uid}/state", claim())[0] == 200
    for path in (f"/{uid}", f"/{uid}?{OTHER}"):
        assert client.ask("POST", path, as_json(done()))[0] == 400
    status, _, headers = client.ask("PUT", f"/{uid}/state", claim(OTHER))
    assert (status, "The Transaction UID is incorrect." in headers["Warning"]) == (400, True)
    status, _, headers = client.ask("PUT", f"/{uid}/state", as_json(attributes(ProcedureStepState="COMPLETED")))
    assert (status, "The Transaction UID is missing." in headers["Warning"]) == (400, True)
    assert client.ask("PUT", f"/{uid}/state", claim())[0] == 409
    assert client.state(uid) == "IN PROGRESS"


def test_a_cancellation_is_asked_for_and_the_performer_decides(client: WorkitemsClient, uid: str) -> None:
    other = f"{uid}.1"
    client.create(uid)
    client.create(other)
    assert client.ask("POST", f"/{uid}/cancelrequest", as_json(attributes(ReasonForCancellation="late")))[0] == 202
    assert client.state(uid) == "CANCELED"
    status, _, headers = client.ask("POST", f"/{uid}/cancelrequest")
    assert (status, "already in the requested state of CANCELED" in headers["Warning"]) == (202, True)
    assert client.ask("PUT", f"/{other}/state", claim())[0] == 200
    assert client.ask("POST", f"/{other}/cancelrequest")[0] == 202
    assert client.state(other) == "IN PROGRESS"
    assert client.ask("POST", f"/{other}?{MINE}", as_json(why()))[0] == 200
    assert client.ask("PUT", f"/{other}/state", claim(wanted="CANCELLED"))[0] == 200
    assert client.state(other) == "CANCELED"
    assert client.ask("PUT", f"/{other}/state", claim(wanted="IN PROGRESS"))[0] == 409


def test_workitems_are_searched_in_parts(client: WorkitemsClient, uid: str) -> None:
    for number in range(5):
        start = f"2026020{number + 1}"
        client.create(f"{uid}.{number}", WorklistLabel="PARTS", ScheduledProcedureStepStartDateTime=start)
    status, matches, headers = client.ask("GET", "?WorklistLabel=PARTS&limit=2&offset=1")
    assert status == 206
    assert [match["00080018"]["Value"][0] for match in matches] == [f"{uid}.1", f"{uid}.2"]
    assert "There are additional results" in headers["Warning"]
    path = headers["Link"].split(">")[0].partition("/dicom-web/workitems")[2]
    status, matches, headers = client.ask("GET", path)
    assert (status, headers["Link"]) == (200, None)
    assert [match["00080018"]["Value"][0] for match in matches] == [f"{uid}.3", f"{uid}.4"]
    query = "?WorklistLabel=PARTS&ScheduledWorkitemCodeSequence.CodeValue=SEG&00404005=20260202-20260203"
    assert len(client.ask("GET", query)[1]) == 2
    assert client.ask("GET", "?WorklistLabel=NOWHERE")[:2] == (204, None)
    assert "was ignored" in client.ask("GET", "?WorklistLabel=PARTS&_dc=1")[2]["Warning"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "?1.2.840.78.1", {}, 400, "ScheduledProcedureStepPriority is missing"),
        ("POST", "?1.2.840.78.1", as_json(workitem(ProcedureStepState="IN PROGRESS")), 400, "begins as SCHEDULED"),
        ("POST", "?workitem=none", as_json(workitem()), 400, "is not a uid"),
        ("POST", "?1.2.840.78.1", [1, 2], 400, "one data set"),
        ("POST", "?1.2.840.78.1", nested(200), 400, "nested deeper than 8"),
        ("POST", "?1.2.840.78.0", as_json(workitem()), 409, "there is a workitem with this uid"),
        ("GET", "/1.2.840.78.404", None, 404, "not found"),
        ("GET", "/none", None, 400, "is not a uid"),
        ("GET", "/1.2.840.78.0/other", None, 404, "not found"),
        ("POST", "/1.2.840.78.404", as_json(done()), 404, "not found"),
        ("POST", "/1.2.840.78.0", as_json(attributes(PatientID="P2")), 400, "PatientID may not be set"),
        ("PUT", "/1.2.840.78.404/state", claim(), 404, "not found"),
        ("PUT", "/1.2.840.78.0/state", claim(wanted="DONE"), 400, "none of IN PROGRESS"),
        ("PUT", "/1.2.840.78.0/state", claim(wanted="SCHEDULED"), 400, "by creating it only"),
        ("PUT", "/1.2.840.78.0/state", claim(wanted="COMPLETED"), 409, "not yet IN PROGRESS"),
        ("PUT", "/1.2.840.78.0", claim(), 404, "not found"),
        ("POST", "/1.2.840.78.404/cancelrequest", None, 404, "not found"),
        ("GET", "?limit=many", None, 400, "limit is no number"),
        ("PATCH", "/1.2.840.78.0", {}, 405, "PATCH is not a method"),
        ("DELETE", "/1.2.840.78.0", None, 400, "reason: say why"),
    ],
)
def test_what_cannot_be_done_is_told(
    client: WorkitemsClient, method: str, path: str, body: object, status: int, words: str
) -> None:
    client.ask("POST", "?1.2.840.78.0", as_json(workitem()))
    answered, answer, _ = client.ask(method, path, body)
    assert answered == status, answer
    assert words in answer


def test_what_is_erased_is_gone(client: WorkitemsClient, uid: str) -> None:
    client.create(uid)
    assert client.ask("PUT", f"/{uid}/state", claim())[0] == 200
    assert client.ask("DELETE", f"/{uid}?reason=the+law")[0] == 409
    assert client.ask("POST", f"/{uid}?{MINE}", as_json(why()))[0] == 200
    assert client.ask("PUT", f"/{uid}/state", claim(wanted="CANCELED"))[0] == 200
    assert client.ask("DELETE", f"/{uid}?reason=the+law")[0] == 204
    for method, path, body in (
        ("GET", f"/{uid}", None),
        ("POST", f"/{uid}", as_json(done())),
        ("DELETE", f"/{uid}?reason=again", None),
    ):
        assert client.ask(method, path, body)[0] == 410
    assert client.ask("POST", f"?{uid}", as_json(workitem()))[0] == 409


def test_what_a_worker_left_behind_can_be_erased(client: WorkitemsClient, uid: str) -> None:
    """Its Transaction UID is lost, so that nobody can end it."""
    client.create(uid)
    assert client.ask("PUT", f"/{uid}/state", claim())[0] == 200
    assert client.ask("DELETE", f"/{uid}?reason=the+worker+is+gone&even_in_progress=true")[0] == 204
    assert client.ask("PUT", f"/{uid}/state", claim(wanted="COMPLETED"))[0] == 410


def test_a_workitem_without_a_uid_gets_one_and_one_without_a_label_a_label(client: WorkitemsClient) -> None:
    status, _, headers = client.ask("POST", "", as_json(workitem(WorklistLabel=None)))
    assert (status, "created with modifications" in headers["Warning"]) == (201, True)
    made = headers["Location"].rpartition("/")[2]
    assert client.ask("GET", f"/{made}")[1][0]["00741202"]["Value"] == ["DEFAULT"]


def test_who_may_not_order_only_looks(tmp_path_factory: pytest.TempPathFactory) -> None:
    running = RunningArchive(tmp_path_factory.mktemp("closed"))
    running.start()
    try:
        client = WorkitemsClient(running.http_port)
        assert client.ask("POST", "?1.2.3", as_json(workitem()))[0] == 403
        assert client.ask("PUT", "/1.2.3/state", claim())[0] == 403
        assert client.ask("GET")[0] == 204
    finally:
        running.stop()


def as_xml(archive: RunningArchive, method: str, path: str, body: bytes | None = None) -> tuple[int, str, bytes]:
    """Status, Content-Type and body."""
    url = f"http://127.0.0.1:{archive.http_port}/dicom-web/workitems{path}"
    kind = "application/dicom+xml"
    accept = f'multipart/related; type="{kind}"' if path.startswith("?") and method == "GET" else kind
    request = urllib.request.Request(url, body, {"Content-Type": kind, "Accept": accept}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers.get("Content-Type", ""), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Content-Type", ""), error.read()


def test_documents_are_xml_as_well(archive: RunningArchive, client: WorkitemsClient, uid: str) -> None:
    values = workitem(PatientName="Müller^Eva", CommentsOnTheScheduledProcedureStep=[])
    assert as_xml(archive, "POST", f"?{uid}", to_xml(as_json(values)))[0] == 201
    (shown,) = client.ask("GET", f"/{uid}")[1]
    assert shown["00100010"]["Value"] == [{"Alphabetic": "Müller^Eva"}]
    assert shown["00404018"]["Value"][0]["00080100"]["Value"] == ["SEG"]
    assert as_xml(archive, "PUT", f"/{uid}/state", to_xml(claim()))[0] == 200
    assert as_xml(archive, "POST", f"/{uid}?{MINE}", to_xml(as_json(done())))[0] == 200
    assert as_xml(archive, "PUT", f"/{uid}/state", to_xml(claim(wanted="COMPLETED")))[0] == 200
    status, kind, body = as_xml(archive, "GET", f"/{uid}")
    assert (status, kind) == (200, "application/dicom+xml")
    assert from_xml(body)["00741000"]["Value"] == ["COMPLETED"]
    status, kind, body = as_xml(archive, "GET", f"?SOPInstanceUID={uid}")
    assert (status, kind.partition(";")[0]) == (200, "multipart/related")
    assert body.count(b"<NativeDicomModel") == 1
    assert as_xml(archive, "POST", "", b"<html/>")[0] == 400
    request = urllib.request.Request(
        f"http://127.0.0.1:{archive.http_port}/dicom-web/workitems", b"x", {"Content-Type": "text/plain"}, method="POST"
    )
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request, timeout=30)
    assert raised.value.code == 415


def test_a_workitem_may_name_thousands_of_instances(client: WorkitemsClient, uid: str) -> None:
    items = [attributes(ReferencedSOPInstanceUID=f"1.2.840.{number}") for number in range(4000)]
    client.create(uid, ReferencedSOPSequence=items)
    (shown,) = client.ask("GET", f"/{uid}")[1]
    assert len(shown["00081199"]["Value"]) == 4000
