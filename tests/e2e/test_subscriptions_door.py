"""Subscriptions over FHIR with every role a process of its own: made through the front door at one, noticed and told by
another, which is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_subscriptions import EHR, PORTAL, SETTINGS, TOKENS, Site
from tests.support.door import FrontDoor
from tests.support.subscriber import Subscriber, until


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    door = FrontDoor(tmp_path, scale={"query": 2, "mixed": 0})
    (tmp_path / "tokens").write_text(TOKENS)
    (tmp_path / "key").write_text("a secret of thirty-two characters or more\n")
    with Subscriber().running() as subscriber:
        door.write_policy([], SETTINGS.format(port=door.http_port, folder=tmp_path, endpoint=subscriber.base))
        door.start()
        try:
            yield Site(door, subscriber)
        finally:
            door.stop()


def test_subscriber_is_told_whichever_process_took_the_subscription_and_after_the_one_that_tells_died(
    site: Site,
) -> None:
    name = site.subscribed()
    for _ in range(6):  # whichever process of query answers
        assert site.status(name) == "active"
        assert site.ask("GET", f"Subscription/{name}", token=PORTAL)[0] == 404
    site.store("1.2.1")
    until(lambda: site.subscriber.events(name))
    assert isinstance(site.archive, FrontDoor)
    (teller,) = site.archive.parts["indexer"]
    teller.kill()
    site.store("1.2.2")
    teller.start()
    until(lambda: len(site.subscriber.events(name)) == 2)
    assert site.subscriber.events(name) == [(1, "PUT", "1.2.1"), (2, "PUT", "1.2.2")]
    site.delete("1.2.1")
    until(lambda: len(site.subscriber.events(name)) == 3)
    assert site.ask("GET", f"Subscription/{name}/$events", token=EHR)[0] == 200
    site.remove(name)
    until(lambda: site.ask("GET", f"Subscription/{name}")[0] == 404)
