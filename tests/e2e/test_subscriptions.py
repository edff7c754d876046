"""Subscriptions over FHIR on a real archive with a real subscriber, in both topologies."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.hl7_validator import validated
from tests.support.objects import data_set, file_bytes
from tests.support.preloaded import IMPORTS, run_gantry
from tests.support.stow import files, post
from tests.support.subscriber import GUIDE, Subscriber, ask, subscription, subscription_r5, until
from tests.support.topology import TOPOLOGIES, environment, remove_stores

pytestmark = pytest.mark.timeout(600)

TOKENS = (
    "ehr:a-token-of-the-ehr-system roles=service\n"
    "portal:a-token-of-the-portal-here roles=referrer\n"
    "other:a-token-of-another-system roles=service\n"
    "reader:a-token-of-a-reader-only roles=radiologist\n"
    "machine:a-token-of-a-machine-here\n"
)
EHR, PORTAL, OTHER, READER, MACHINE = (line.partition(":")[2].split(" ")[0] for line in TOKENS.splitlines())
SETTINGS = """
http: {{url: "http://127.0.0.1:{port}", tokens_file: {folder}/tokens, may_delete: [ehr], may_correct: [machine]}}
completion: {{quiet: 0.5}}
upkeep: {{seal_every: 0.2}}
access: {{confidential: [administrator, radiologist], roles: ["referrer=read,subscribe"]}}
query: {{fhir_systems: ['NORTH=urn:oid:1.2.36.146.595.217']}}
subscriptions:
  endpoints: ["{endpoint}"]
  key_file: {folder}/key
  most_per_caller: 8
  retry_first: 0.1
  retry_longest: 0.5
  error_after: 1
"""


class Site:
    """An archive, and somebody outside who may be told."""

    def __init__(self, archive: RunningArchive, subscriber: Subscriber) -> None:
        self.archive, self.subscriber = archive, subscriber
        self.base = f"http://127.0.0.1:{archive.http_port}"
        self.topic = f"{self.base}/fhir/r4/SubscriptionTopic/imaging-study"

    def ask(self, method: str, path: str, body: object = None, token: str = EHR) -> tuple[int, Any]:
        return ask(self.base, method, path, body, token)

    def subscribed(self, content: str = "id-only", *filters: str, token: str = EHR, **fields: Any) -> str:
        """The id of a new subscription, once it is active."""
        endpoint = fields.pop("endpoint", self.subscriber.base)
        made = subscription(self.topic, endpoint, content, *filters, **fields)
        status, answer = self.ask("POST", "Subscription", made, token)
        assert status == 201, answer
        name = str(answer["id"])
        until(lambda: self.status(name, token) == "active")
        return name

    def status(self, name: str, token: str = EHR) -> str:
        return str(self.ask("GET", f"Subscription/{name}", token=token)[1]["status"])

    def remove(self, *names: str, token: str = EHR) -> None:
        for name in names:
            assert self.ask("DELETE", f"Subscription/{name}", token=token)[0] == 204

    def store(self, study: str, number: int = 1, **fields: Any) -> None:
        image = data_set(study=study, instance=f"{study}.{number}", **fields)
        assert post(self.archive, files([file_bytes(image)]), Authorization=f"Bearer {EHR}").status == 200

    def delete(self, study: str) -> None:
        url = f"{self.base}/dicom-web/studies/{study}?reason={quote('sent in error')}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {EHR}"}, method="DELETE")
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status in (200, 202, 204)

    def where(self, study: str) -> str:
        """What `gantry where` says."""
        variables = {**os.environ, **self.archive.environment, "PYTHONPATH": IMPORTS}
        words = ["where", study, "--config", str(self.archive.config), "--data", str(self.archive.folder / "data")]
        return run_gantry(words, variables, self.archive.folder, timeout=110).stdout


@pytest.fixture(scope="module", params=TOPOLOGIES)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("subscriptions")
    archive = RunningArchive(folder, lab=False, environment=environment(request.param, folder))
    (folder / "tokens").write_text(TOKENS)
    (folder / "key").write_text("a secret of thirty-two characters or more\n")
    with Subscriber().running() as subscriber:
        settings = SETTINGS.format(port=archive.http_port, folder=folder, endpoint=subscriber.base)
        archive.write_policy([], settings)
        archive.start()
        try:
            yield Site(archive, subscriber)
            assert archive.alive, archive.log.read_text()
        finally:
            archive.stop()
            remove_stores(archive.environment)


@pytest.fixture(autouse=True)
def _nothing_of_others(site: Site) -> Iterator[None]:
    """Each test begins with a receiver that takes everything, and leaves no subscription."""
    site.subscriber.status = 200
    yield
    for token in (EHR, PORTAL, OTHER):
        for entry in site.ask("GET", "Subscription", token=token)[1].get("entry", ()):
            site.remove(entry["resource"]["id"], token=token)


def test_subscriber_hears_that_a_study_is_complete_changed_and_gone(site: Site) -> None:
    name = site.subscribed(headers=("Authorization: Bearer of the subscriber",))
    site.store("1.2.1")
    until(lambda: site.subscriber.events(name))
    site.store("1.2.1", 2)
    until(lambda: len(site.subscriber.events(name)) == 2)
    site.delete("1.2.1")
    until(lambda: len(site.subscriber.events(name)) == 3)
    assert site.subscriber.events(name) == [(1, "PUT", "1.2.1"), (2, "PUT", "1.2.1"), (3, "DELETE", "1.2.1")]
    assert {head["Authorization"] for head in site.subscriber.heads[-3:]} == {"Bearer of the subscriber"}
    output = until(lambda: "FHIR deleted: accepted" in (text := site.where("1.2.1")) and text)
    assert [word in output for word in ("FHIR created: accepted at ", "FHIR updated: accepted at ")] == [True, True]
    site.remove(name)


def without_guide(body: Any) -> Any:
    """A resource that does not say that it is of a profile of the guide: the validator has R4's own definitions alone,
    and the guide's are on no registry that is asked here."""
    if isinstance(body, list):
        return [without_guide(entry) for entry in body]
    if not isinstance(body, dict):
        return body
    return {
        name: without_guide(value)
        for name, value in body.items()
        if not (name == "meta" and str(value.get("profile")).startswith(f"['{GUIDE}"))
    }


def test_everything_that_is_said_of_subscriptions_is_valid_by_the_definitions_of_hl7(
    site: Site, tmp_path: Path
) -> None:
    whole = site.subscribed(
        "full-resource",
        "ImagingStudy?patient.identifier=urn:oid:1.2.36.146.595.217%7CF1",
        "ImagingStudy?modality=CT",
        heartbeat=10,
        most=5,
    )
    empty = site.subscribed("empty")
    site.store("1.2.2", patient="F1", IssuerOfPatientID="NORTH", Modality="CT")
    until(lambda: site.subscriber.events(whole) and site.subscriber.events(empty))
    site.delete("1.2.2")
    until(lambda: len(site.subscriber.events(whole)) == 2)
    examples: dict[str, Any] = {kind: site.subscriber.of_type(kind)[-1] for kind in ("handshake", "event-notification")}
    notices = [notice for notice in site.subscriber.of_type("event-notification") if "resource" in notice["entry"][-1]]
    examples["full"] = next(
        notice for notice in notices if notice["entry"][-1]["resource"]["resourceType"] == "ImagingStudy"
    )
    examples["empty"] = next(
        notice for notice in site.subscriber.of_type("event-notification") if len(notice["entry"]) == 1
    )
    examples["heartbeat"] = until(lambda: site.subscriber.of_type("heartbeat"))[-1]
    for name, path in {
        "subscription": f"Subscription/{whole}",
        "subscriptions": "Subscription?status=active",
        "status": f"Subscription/{whole}/$status",
        "statuses": "Subscription/$status",
        "events": f"Subscription/{whole}/$events?eventsSinceNumber=1",
        "capabilities": "metadata",
    }.items():
        status, examples[name] = site.ask("GET", path)
        assert status == 200, path
    for name, body in examples.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(without_guide(body)))
    (tmp_path / "wrong.json").write_text('{"resourceType": "Subscription", "status": "here"}')
    lines = validated(tmp_path)
    assert {line for line in lines if line.endswith(" validated")} == {
        f"{n}.json validated" for n in (*examples, "wrong")
    }
    print("\n".join(lines))
    assert any(line.startswith("wrong.json ERROR") for line in lines), "it looks"
    assert [line for line in lines if " ERROR " in line and not line.startswith("wrong.json")] == []
    site.remove(whole, empty)


def test_subscriber_of_r5_is_told_in_r5_and_all_of_it_is_valid(site: Site, tmp_path: Path) -> None:
    topic = f"{site.base}/fhir/r5/SubscriptionTopic/imaging-study"

    def asked(method: str, path: str, body: object = None) -> Any:
        status, answer = ask(site.base, method, path, body, EHR, release="r5")
        assert status in (200, 201, 204), answer
        return answer

    filters = [{"resourceType": "ImagingStudy", "filterParameter": "patient", "value": "Patient/R5"}]
    wanted = subscription_r5(
        topic, site.subscriber.base, "full-resource", reason="images", filterBy=filters, maxCount=5
    )
    name = asked("POST", "Subscription", wanted)["id"]
    until(lambda: asked("GET", f"Subscription/{name}")["status"] == "active")
    # Each release has its own.
    assert site.ask("GET", f"Subscription/{name}")[0] == 404
    site.store("1.2.55.1", patient="R5", Modality="CT")
    site.store("1.2.55.2", patient="other")

    def named(*words: str) -> list[Any]:
        every = [bundle for bundle in site.subscriber.bundles if bundle["type"] == "subscription-notification"]
        return [bundle for bundle in every if all(word in json.dumps(bundle) for word in words)]

    notice = until(lambda: named("1.2.55.1"))[0]
    site.delete("1.2.55.1")
    gone = until(lambda: named("1.2.55.1", '"method": "DELETE"'))
    assert (notice["type"], notice["entry"][1]["resource"]["modality"]) == (
        "subscription-notification",
        [{"coding": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}]}],
    )
    handshake = named('"type": "handshake"')[0]
    bodies = {
        "told": notice,
        "gone": gone[-1],
        "handshake": handshake,
        "subscription": asked("GET", f"Subscription/{name}"),
        "subscriptions": asked("GET", "Subscription?status=active"),
        "status": asked("GET", f"Subscription/{name}/$status"),
        "events": asked("GET", f"Subscription/{name}/$events?eventsSinceNumber=1"),
        "topic": asked("GET", "SubscriptionTopic/imaging-study"),
        "topics": asked("GET", "SubscriptionTopic"),
        "capabilities": asked("GET", "metadata"),
    }
    assert [event["eventNumber"] for event in bodies["events"]["entry"][0]["resource"]["notificationEvent"]] == [
        "1",
        "2",
    ]
    assert "1.2.55.2" not in json.dumps(site.subscriber.bundles)
    asked("DELETE", f"Subscription/{name}")
    for kind, body in bodies.items():
        (tmp_path / f"r5-{kind}.json").write_text(json.dumps(body))
    (tmp_path / "r5-wrong.json").write_text(json.dumps(bodies["subscription"] | {"channelType": "rest-hook"}))
    lines = validated(tmp_path)
    assert {line for line in lines if line.endswith(" validated")} == {
        f"r5-{n}.json validated" for n in (*bodies, "wrong")
    }
    print("\n".join(lines))
    assert any(line.startswith("r5-wrong.json ERROR") for line in lines), "it looks"
    assert [line for line in lines if " ERROR " in line and not line.startswith("r5-wrong.json")] == []


def test_only_studies_that_the_filters_name_are_told(site: Site) -> None:
    patients = site.subscribed("id-only", "ImagingStudy?patient=Patient/G1")
    magnets = site.subscribed("id-only", "ImagingStudy?modality=MR")
    site.store("1.2.3.1", patient="G1", Modality="CT")
    site.store("1.2.3.2", patient="G2", Modality="MR")
    site.store("1.2.3.3", patient="G1", Modality="MR")
    until(lambda: len(site.subscriber.events(patients)) == 2 and len(site.subscriber.events(magnets)) == 2)
    site.store("1.2.3.4", patient="G3", Modality="US")
    every = site.subscribed()
    site.store("1.2.3.5", patient="G3", Modality="US")
    until(lambda: site.subscriber.events(every))
    assert {study for *_, study in site.subscriber.events(patients)} == {"1.2.3.1", "1.2.3.3"}
    assert {study for *_, study in site.subscriber.events(magnets)} == {"1.2.3.2", "1.2.3.3"}
    site.remove(patients, magnets, every)


def test_subscriber_is_told_of_no_study_that_he_does_not_see(site: Site) -> None:
    """A referrer of studies that are not his; a system of what is confidential."""
    portal, system = site.subscribed(token=PORTAL), site.subscribed()
    site.store("1.2.4.1", patient="H1")
    site.store("1.2.4.2", patient="H2", ConfidentialityConstraintOnPatientDataDescription="VIP")
    site.store("1.2.4.3", patient="H3")
    until(lambda: {study for *_, study in site.subscriber.events(system)} >= {"1.2.4.1", "1.2.4.3"})
    site.delete("1.2.4.1")
    until(lambda: ("DELETE", "1.2.4.1") in {event[1:] for event in site.subscriber.events(system)})
    notices = json.dumps([bundle for bundle in site.subscriber.bundles if f"/{system}" in json.dumps(bundle)])
    assert "1.2.4.2" not in notices
    assert site.subscriber.events(portal) == []
    assert site.ask("GET", f"Subscription/{portal}/$events", token=PORTAL)[1]["entry"][1:] == []
    site.remove(system)
    site.remove(portal, token=PORTAL)


def test_of_what_became_confidential_meanwhile_the_number_is_all_that_is_said(site: Site) -> None:
    name = site.subscribed("full-resource", "ImagingStudy?patient=I1")
    site.subscriber.status = 503
    site.store("1.2.5", patient="I1")
    entries = until(lambda: site.ask("GET", f"Subscription/{name}/$events")[1]["entry"][1:])
    assert entries[0]["resource"]["id"] == "1.2.5"
    patient, mark = ({"vr": "LO", "Value": [value]} for value in ("I1", "VIP"))
    body = json.dumps({"patient": {"00100020": patient}, "values": {"00403001": mark}}).encode()
    url = f"{site.base}/dicom-web/patients/corrections?reason=test"
    headers = {"Authorization": f"Bearer {MACHINE}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, body, headers, method="POST")
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status < 300
    until(lambda: len(site.ask("GET", f"Subscription/{name}/$events")[1]["entry"]) == 1)
    site.subscriber.status = 200
    until(lambda: site.subscriber.events(name))
    assert site.subscriber.events(name) == [(1, "", "")]
    assert "1.2.5" not in json.dumps(site.subscriber.of_type("event-notification")[-1])
    site.remove(name)


def test_who_may_not_subscribe_is_refused_and_nobody_sees_what_others_have(site: Site) -> None:
    wanted = subscription(site.topic, site.subscriber.base)
    assert site.ask("POST", "Subscription", wanted, READER)[0] == 403
    name = site.subscribed()
    for method in ("GET", "DELETE"):
        assert site.ask(method, f"Subscription/{name}", token=OTHER)[0] == 404
    assert site.ask("GET", "Subscription", token=OTHER)[1]["total"] == 0
    assert site.ask("GET", f"Subscription/{name}/$events", token=OTHER)[0] == 404
    site.remove(name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"criteria": "ImagingStudy?modality=CT"}, "criteria"),
        ({"status": "off"}, "requested"),
        ({"end": "2020-01-01T00:00:00Z"}, "over already"),
        ({"channel": {"type": "rest-hook", "payload": "application/fhir+json", "endpoint": "http://127.0.0.1:9/"}}, ""),
    ],
)
def test_what_cannot_be_subscribed_to_is_refused_in_words(site: Site, change: dict[str, Any], words: str) -> None:
    status, outcome = site.ask("POST", "Subscription", subscription(site.topic, site.subscriber.base) | change)
    assert (status, outcome["resourceType"]) == (400, "OperationOutcome")
    assert words in outcome["issue"][0]["diagnostics"]


def test_one_caller_has_so_many_subscriptions_and_no_more(site: Site) -> None:
    wanted = subscription(site.topic, site.subscriber.base)
    names = []
    while len(names) < 20 and (answer := site.ask("POST", "Subscription", wanted, OTHER))[0] == 201:
        names.append(answer[1]["id"])
    assert (len(names), answer[0]) == (8, 429)
    site.remove(*names, token=OTHER)
    assert site.ask("GET", "Subscription", token=OTHER)[1]["total"] == 0


def test_what_a_receiver_missed_comes_when_it_is_back_in_order_also_after_a_restart(site: Site) -> None:
    name = site.subscribed("id-only", "ImagingStudy?patient=J1")
    site.subscriber.status = 503
    for number in range(1, 4):
        site.store(f"1.2.6.{number}", patient="J1")
        until(lambda: site.ask("GET", f"Subscription/{name}/$events")[1]["entry"][number:])
    until(lambda: site.status(name) == "error")
    stood = site.ask("GET", f"Subscription/{name}/$status")[1]["entry"][0]["resource"]
    assert {parameter["name"] for parameter in stood["parameter"]} >= {"error"}
    assert site.archive.stop() == 0
    site.archive.start()
    assert site.status(name) == "error"
    assert site.subscriber.events(name) == []
    site.subscriber.status = 200
    until(lambda: len(site.subscriber.events(name)) == 3)
    until(lambda: site.status(name) == "active")
    assert site.subscriber.events(name) == [(n, "PUT", f"1.2.6.{n}") for n in (1, 2, 3)]
    site.store("1.2.6.4", patient="J1")
    until(lambda: len(site.subscriber.events(name)) == 4)
    site.remove(name)


def test_subscription_that_is_off_or_removed_tells_nothing(site: Site) -> None:
    first, second = site.subscribed(headers=("X-Secret: 1",)), site.subscribed()
    resource = site.ask("GET", f"Subscription/{first}")[1]
    assert "header" not in resource["channel"]
    assert site.ask("PUT", f"Subscription/{first}", resource | {"status": "off"})[0] == 200
    assert site.ask("PUT", f"Subscription/{first}", resource | {"status": "off", "reason": "another"})[0] == 422
    site.remove(second)
    every = site.subscribed()
    site.store("1.2.7", patient="K1")
    until(lambda: site.subscriber.events(every))
    assert site.subscriber.events(first) == site.subscriber.events(second) == []
    assert site.ask("PUT", f"Subscription/{first}", resource | {"status": "requested"})[0] == 200
    until(lambda: site.status(first) == "active")
    site.store("1.2.8", patient="K1")
    until(lambda: site.subscriber.events(first))
    assert site.subscriber.events(first) == [(1, "PUT", "1.2.8")]
    assert site.subscriber.heads[-1] is not None
    site.remove(first, every)


def test_capability_statement_says_the_topic(site: Site) -> None:
    rest = site.ask("GET", "metadata")[1]["rest"][0]["resource"]
    capability = next(resource for resource in rest if resource["type"] == "Subscription")
    assert capability["extension"][0]["valueCanonical"] == site.topic


def test_nothing_that_is_secret_is_in_the_log_or_in_metrics(site: Site) -> None:
    name = site.subscribed(headers=("Authorization: Bearer sesame-open",))
    log = site.archive.log.read_text() + site.archive.http("/metrics")[1]
    assert "sesame-open" not in log
    assert b"sesame-open" not in b"".join(
        path.read_bytes() for path in (site.archive.folder / "data").rglob("*") if path.is_file()
    )
    site.remove(name)


def test_command_lists_who_is_told(site: Site) -> None:
    name = site.subscribed("id-only", "ImagingStudy?patient=L1")
    site.store("1.2.9", patient="L1")
    until(lambda: site.subscriber.events(name))
    until(lambda: site.ask("GET", f"Subscription/{name}/$status")[0] == 200)
    result = gantry(site.archive, "subscriptions", "--json")
    assert result.returncode == 0, result.stderr
    (line,) = (row for row in map(json.loads, result.stdout.splitlines()) if row["subscription"] == name)
    assert (line["by"], line["host"], line["status"], line["events"]) == (
        "ehr",
        "127.0.0.1",
        "active",
        1,
    )
