"""Subscriptions over FHIR on a real archive with a real subscriber, in both topologies."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.archive import RunningArchive
from tests.support.objects import data_set, file_bytes
from tests.support.stow import files, post
from tests.support.subscriber import Subscriber, ask, subscription, until
from tests.support.topology import TOPOLOGIES, environment, remove_stores

pytestmark = pytest.mark.timeout(600)

TOKENS = (
    "ehr:a-token-of-the-ehr-system roles=service\n"
    "portal:a-token-of-the-portal-here roles=referrer\n"
    "other:a-token-of-another-system roles=service\n"
    "reader:a-token-of-a-reader-only roles=radiologist\n"
)
EHR, PORTAL, OTHER, READER = (line.partition(":")[2].partition(" ")[0] for line in TOKENS.splitlines())
SETTINGS = """
http: {{url: "http://127.0.0.1:{port}", tokens_file: {folder}/tokens, may_delete: [ehr]}}
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
        one = data_set(study=study, instance=f"{study}.{number}", **fields)
        assert post(self.archive, files([file_bytes(one)]), Authorization=f"Bearer {EHR}").status == 200

    def delete(self, study: str) -> None:
        url = f"{self.base}/dicom-web/studies/{study}?reason={quote('sent in error')}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {EHR}"}, method="DELETE")
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status in (200, 202, 204)


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
    site.remove(name)
