"""Subscriptions over FHIR with every role a process of its own: made through the front door at one, noticed and told by
another, which is killed."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_subscriptions import EHR, PORTAL, SETTINGS, TOKENS, Site
from tests.support.door import FrontDoor
from tests.support.subscriber import Subscriber, parameters, until
from tests.support.topology import environment, remove_stores


@contextmanager
def behind(door: FrontDoor) -> Iterator[Site]:
    """The door and all behind it, running, with somebody outside who may be told."""
    (door.folder / "tokens").write_text(TOKENS)
    (door.folder / "key").write_text("a secret of thirty-two characters or more\n")
    with Subscriber().running() as subscriber:
        settings = SETTINGS.format(port=door.http_port, folder=door.folder, endpoint=subscriber.base)
        door.write_policy([], settings)
        door.start()
        try:
            yield Site(door, subscriber)
        finally:
            for process in door.parts["indexer"]:
                if process.process is not None:
                    process.process.send_signal(signal.SIGCONT)  # what stands still would not stop
            door.stop()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with behind(FrontDoor(tmp_path, scale={"query": 2, "mixed": 0})) as running:
        yield running


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


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Site]:
    """Two processes that could tell, on real Kafka, S3 and OpenSearch."""
    stores = environment("cluster", tmp_path)
    try:
        with behind(FrontDoor(tmp_path, scale={"indexer": 2, "mixed": 0, "orders": 0}, environment=stores)) as running:
            yield running
    finally:
        remove_stores(stores)


def teller_of(site: Site) -> int:
    """Which of the two processes tells subscribers now: the one that counts the open subscription."""
    numbers: list[int] = []

    def told() -> bool:
        parts = site.archive.parts["indexer"]  # type: ignore[attr-defined]
        numbers[:] = [
            number
            for number, process in enumerate(parts)
            if process.metric('gantry_subscriptions_open{status="active"}') == 1
        ]
        return len(numbers) == 1

    until(told, 60)
    return numbers[0]


def number_of(bundle: dict[str, Any]) -> int:
    """The number of the only event that a notification tells of."""
    (event,) = parameters(bundle, "notification-event")
    return int(next(part["valueString"] for part in event["part"] if part["name"] == "event-number"))


def test_teller_that_stood_still_and_comes_back_leaves_it_to_the_one_that_took_over(two: Site) -> None:
    name = two.subscribed()
    two.store("1.2.1")
    until(lambda: two.subscriber.events(name))
    assert isinstance(two.archive, FrontDoor)
    parts = two.archive.parts["indexer"]
    first = parts[teller_of(two)]
    (second,) = [process for process in parts if process is not first]
    assert first.process is not None

    first.process.send_signal(signal.SIGSTOP)  # as a machine that is frozen: Kafka gives its work to the other
    two.store("1.2.2")
    until(lambda: second.metric('gantry_subscriptions_open{status="active"}') == 1, 60)
    until(lambda: len(two.subscriber.events(name)) == 2, 60)
    first.process.send_signal(signal.SIGCONT)
    until(lambda: first.metric('gantry_subscriptions_open{status="active"}') == 0, 60)
    two.store("1.2.3")
    until(lambda: len(two.subscriber.events(name)) == 3, 60)

    second.kill()
    two.store("1.2.4")
    until(lambda: first.metric('gantry_subscriptions_open{status="active"}') == 1, 60)
    until(lambda: len(two.subscriber.events(name)) == 4, 60)
    second.start()
    deliveries = [(number, "PUT", f"1.2.{number}") for number in (1, 2, 3, 4)]
    assert two.subscriber.events(name) == deliveries
    # Nobody stood still in the middle of a post: each was told once. Only the third may come twice: the process that
    # told it was killed as soon as it was told, perhaps before that was on record.
    times = Counter(number_of(bundle) for bundle in two.subscriber.of_type("event-notification"))
    assert times in (Counter({1: 1, 2: 1, 3: 1, 4: 1}), Counter({1: 1, 2: 1, 3: 2, 4: 1}))
