"""Subscribers are told by a real log, a real index and a real HTTP receiver: by one process, as long as they may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gantry.common.access import Identity, Means
from gantry.common.adapters.sqlite import SqliteLog, open_sqlite_index, open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.events import (
    NotifierBegan,
    SubscribedStudyNoted,
    SubscriptionCreated,
    SubscriptionEventsCounted,
    SubscriptionStatusChanged,
    decode,
)
from gantry.common.fhir.identifiers import Systems
from gantry.common.ports.index import ReadIndex
from gantry.common.runtime.auditing.trail import AuditTrail
from gantry.common.runtime.followed_subscriptions import NOTIFICATIONS, FollowedSubscriptions
from gantry.common.runtime.restricted_index import RestrictedIndex
from gantry.common.runtime.subscribed_studies import SubscribedStudies
from gantry.common.runtime.subscription_seal import SubscriptionSeal
from gantry.common.subscriptions.fold import Subscription
from gantry.common.subscriptions.model import Content, Status, SubscriptionRequest, owner_of
from gantry.common.subscriptions.resources import Urls
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.metrics import Metrics
from gantry.services.webhooks.notifier import Notifier
from gantry.services.webhooks.posting import Poster
from gantry.services.webhooks.subscribers import Subscribers
from tests.support.entries import entry
from tests.support.subscriber import Subscriber

EHR = Identity("ehr", "ehr", Means.TOKEN)
DAY_US = 24 * 3600 * 1_000_000


class Process:
    """One process that tells subscribers."""

    def __init__(self, log: SqliteLog, index: ReadIndex, settings: Settings) -> None:
        clock = SystemClock()
        self.metrics = Metrics()
        self.followed = FollowedSubscriptions(log, clock)
        self.poster = Poster(10)
        urls = Urls.below("https://archive.example", "/fhir/r4", "/dicom-web")
        studies = SubscribedStudies(RestrictedIndex(index), Systems(), urls)
        subscribers = Subscribers(settings, SubscriptionSeal(settings))
        audit = AuditTrail(clock, self.metrics, "indexer", "here:1", on=False)
        parts = log, self.followed, studies, subscribers, self.poster, settings.subscriptions
        self.notifier = Notifier(*parts, clock, self.metrics, audit)
        self.tasks = [asyncio.create_task(self.followed.run()), asyncio.create_task(self.notifier.run())]

    async def end(self) -> None:
        await self.notifier.stop()
        await end_tasks(*self.tasks)
        await self.poster.close()

    def known(self, name: str) -> Subscription:
        """A subscription as far as it was read."""
        return self.followed.known.named(name) or Subscription()


class Site:
    """A log, an index with two studies, and who is told."""

    def __init__(self, log: SqliteLog, index: ReadIndex, folder: Path, subscriber: Subscriber) -> None:
        self.log, self.index, self.folder, self.subscriber = log, index, folder, subscriber
        self.processes: list[Process] = []
        (folder / "key").write_text("a secret of thirty-two characters or more\n")
        self.tokens("ehr:0123456789abcdef\n")

    def tokens(self, text: str) -> None:
        (self.folder / "tokens").write_text(text)

    def settings(self, **fields: Any) -> Settings:
        section = {
            "endpoints": [self.subscriber.base],
            "key_file": self.folder / "key",
            "retry_first": 0.02,
            "retry_longest": 0.1,
            "error_after": 0.2,
            "timeout": 1.0,
            **fields,
        }
        http = {"url": "https://archive.example", "tokens_file": self.folder / "tokens", "may_subscribe": ["ehr"]}
        return Settings.model_validate({"subscriptions": section, "http": http})

    def begin(self, **fields: Any) -> Process:
        self.processes.append(Process(self.log, self.index, self.settings(**fields)))
        return self.processes[-1]

    async def subscribe(self, name: str, identity: Identity = EHR, age_us: int = 0, **fields: Any) -> None:
        values = {"endpoint": self.subscriber.base, "content": Content.ID_ONLY, "reason": "why", **fields}
        sealed = SubscriptionSeal(self.settings()).seal(SubscriptionRequest(**values), identity)
        now = SystemClock().now_us()
        about = sealed, "127.0.0.1", owner_of(identity), identity.name, now + DAY_US, now - age_us
        await self.log.append(SubscriptionCreated("default", "", name, *about))

    async def note(self, name: str, *numbers: int, study: str = "1.1") -> None:
        await self.log.append(
            *(SubscribedStudyNoted("default", "", name, f"e{number}", study, "created", 1) for number in numbers)
        )


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    index = await open_sqlite_index(tmp_path / "index.db")
    await index.apply([entry(1, "1.1.1.1", "1.1", "1.1.1", PatientID="P1")])
    with Subscriber().running() as subscriber:
        made = Site(log, index, tmp_path, subscriber)
        yield made
        for process in made.processes:
            await process.end()
    await index.close()
    await log.close()


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.02)


def told(site: Site, kind: str = "event-notification") -> int:
    return len(site.subscriber.of_type(kind))


async def test_handshake_comes_first_then_events_in_order_and_heartbeats_in_silence(site: Site) -> None:
    process = site.begin()
    await site.subscribe("s1", heartbeat=1, most=2)
    await site.note("s1", 1, 2, 3)
    await until(lambda: told(site) == 2 and told(site, "heartbeat") == 1)
    assert [event[0] for event in site.subscriber.events()] == [1, 2, 3]
    kinds = [site.subscriber.bundles.index(site.subscriber.of_type(k)[0]) for k in ("handshake", "heartbeat")]
    assert kinds == [0, 3]
    await until(lambda: process.known("s1").status is Status.ACTIVE)
    value = process.metrics.registry.get_sample_value
    labels = {"type": "event-notification", "outcome": "accepted"}
    assert value("gantry_subscription_posts_total", labels) == 2
    await until(lambda: value("gantry_subscriptions_open", {"status": "active"}) == 1)
    assert value("gantry_subscriptions_changed_total", {"change": "active"}) == 1


async def test_receiver_that_takes_nothing_is_in_error_and_then_off(site: Site) -> None:
    site.subscriber.status = 500
    process = site.begin(give_up=1e-5)
    await site.subscribe("s1")
    await until(lambda: process.known("s1").status is Status.ERROR)
    assert "the answer was 500" in process.known("s1").reason
    await until(lambda: process.known("s1").status is Status.OFF)
    posts = site.subscriber.posts
    await asyncio.sleep(0.3)
    assert site.subscriber.posts == posts


async def test_one_that_takes_nothing_is_in_nobodys_way(site: Site) -> None:
    site.begin(endpoints=[site.subscriber.base, "http://127.0.0.1:9/"])
    await site.subscribe("dead", endpoint="http://127.0.0.1:9/")
    await site.subscribe("well")
    await site.note("dead", 1)
    await site.note("well", 2)
    await until(lambda: site.subscriber.events("well"))


async def test_it_is_well_again_once_it_takes_something(site: Site) -> None:
    process = site.begin()
    await site.subscribe("s1")
    await until(lambda: process.known("s1").status is Status.ACTIVE)
    site.subscriber.status = 503
    await site.note("s1", 1)
    await until(lambda: process.known("s1").status is Status.ERROR)
    site.subscriber.status = 200
    await until(lambda: process.known("s1").status is Status.ACTIVE)
    assert site.subscriber.events() == [(1, "PUT", "1.1")]
    assert process.known("s1").told == 1


@pytest.mark.parametrize(
    ("tokens", "identity", "endpoints", "why"),
    [
        ("other:0123456789abcdef\n", EHR, None, "not known here any more"),
        ("ehr:0123456789abcdef\n", Identity("x", "sso:x", Means.ISSUER, issuer="sso"), None, "not known here any more"),
        (
            "ehr:0123456789abcdef\nris:fedcba9876543210\n",
            Identity("ris", "ris", Means.TOKEN),
            None,
            "may not subscribe",
        ),
        ("ehr:0123456789abcdef\n", Identity("s1", "share link s1", Means.SHARE), None, "not known here any more"),
        ("ehr:0123456789abcdef\n", EHR, ["https://elsewhere.example/"], "channel.endpoint"),
    ],
)
async def test_who_may_not_be_told_any_more_is_off_and_told_nothing(
    site: Site, tokens: str, identity: Identity, endpoints: list[str] | None, why: str
) -> None:
    site.tokens(tokens)
    process = site.begin(**({} if endpoints is None else {"endpoints": endpoints}))
    await site.subscribe("s1", identity)
    await site.note("s1", 1)
    await until(lambda: process.known("s1").status is Status.OFF)
    assert why in process.known("s1").reason
    assert site.subscriber.posts == 0


async def test_what_another_secret_sealed_is_in_error_and_told_nothing(site: Site) -> None:
    await site.subscribe("s1")
    (site.folder / "key").write_text("another secret of thirty-two characters or more\n")
    process = site.begin()
    await until(lambda: process.known("s1").status is Status.ERROR)
    assert "subscriptions.key_file" in process.known("s1").reason
    assert site.subscriber.posts == 0


async def test_of_two_processes_one_tells_and_the_other_goes_on_when_it_ends(site: Site) -> None:
    first, second = site.begin(), site.begin()
    await site.subscribe("s1")
    await until(lambda: first.known("s1").status is Status.ACTIVE)
    await site.note("s1", 1)
    await until(lambda: site.subscriber.events())
    assert (told(site, "handshake"), told(site)) == (1, 1)
    begun = first.followed.known.notifier
    await site.processes.pop(0).end()
    await until(lambda: second.followed.known.notifier != begun)
    await site.note("s1", 2)
    await until(lambda: len(site.subscriber.events()) == 2)
    assert (told(site, "handshake"), told(site)) == (1, 2)


async def test_process_that_reads_that_another_one_began_tells_nothing_more(site: Site) -> None:
    """Kafka may have given the partition to another member without this one's knowing."""
    process = site.begin()
    await site.subscribe("s1")
    await until(lambda: process.known("s1").status is Status.ACTIVE)
    await site.log.append(NotifierBegan("default", "", "*", "another", 1))
    await until(lambda: process.followed.known.notifier == "another")
    await asyncio.sleep(0.3)
    await site.note("s1", 1)
    await asyncio.sleep(0.5)
    assert told(site) == 0


async def test_subscription_that_is_turned_off_by_somebody_is_told_nothing(site: Site) -> None:
    process = site.begin()
    await site.subscribe("s1")
    await until(lambda: process.known("s1").status is Status.ACTIVE)
    await site.log.append(SubscriptionStatusChanged("default", "", "s1", "off", "", "ehr", 1))
    await site.note("s1", 1)
    await asyncio.sleep(0.5)
    assert told(site) == 0


async def test_numbers_are_told_to_the_log_once_a_day(site: Site) -> None:
    await site.subscribe("s1", age_us=2 * DAY_US)
    await site.note("s1", 1, 2)
    process = site.begin()
    await until(lambda: process.known("s1").counted == 2)
    await asyncio.sleep(0.3)
    events = [decode(record.payload) async for record in site.log.replay(NOTIFICATIONS)]
    assert [event.number for event in events if isinstance(event, SubscriptionEventsCounted)] == [2]


async def test_redirect_is_an_answer_that_is_not_followed(site: Site) -> None:
    site.subscriber.status = 307
    process = site.begin()
    await site.subscribe("s1")
    await until(lambda: process.known("s1").status is Status.ERROR)
    assert "307" in process.known("s1").reason
