"""Webhooks from a real log to a real HTTP receiver: in order, signed, again until accepted, and never in the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gantry.common.adapters.sqlite import SqliteLog, open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.config.settings import WebhookSettings
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.consumer import ConsumerLimits, ConsumerLoop
from gantry.common.runtime.feed import FEED_TOPICS
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.metrics import Metrics
from gantry.services.webhooks.app import group_of
from gantry.services.webhooks.delivery import Webhook
from tests.support.facts import conflict, stored
from tests.support.hook_receiver import SECRET, HookReceiver


class Site:
    def __init__(self, log: SqliteLog) -> None:
        self.log = log
        self.metrics = Metrics()
        self.tasks: list[asyncio.Task[None]] = []
        self.hooks: list[Webhook] = []

    def begin(self, url: str, name: str = "ris", secret: bytes = SECRET, **fields: object) -> None:
        values = {"name": name, "url": url, "secret_file": "unread", "timeout": 1.0, **fields}
        settings = WebhookSettings.model_validate(values)
        clock = SystemClock()
        hook = Webhook(settings, secret, clock, self.metrics)
        limits = ConsumerLimits(settings.batch, delays=Delays(0.05, 0.1))
        loop = ConsumerLoop(self.log, group_of(settings), FEED_TOPICS, hook, clock, self.metrics, limits)
        self.hooks.append(hook)
        self.tasks.append(asyncio.create_task(loop.run()))

    async def end(self) -> None:
        await end_tasks(*self.tasks)
        for hook in self.hooks:
            await hook.close()
        self.tasks, self.hooks = [], []

    def posts(self, outcome: str, name: str = "ris") -> float:
        value: float = self.metrics.webhook_posts.labels(name, outcome)._value.get()
        return value


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    made = Site(log)
    yield made
    await made.end()
    await log.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.02)


def uids(*numbers: int) -> list[str]:
    return [f"1.2.3.1.{number}" for number in numbers]


async def test_changes_are_posted_signed_and_in_order_one_post_at_a_time(site: Site) -> None:
    with HookReceiver().running() as receiver:
        receiver.delay = 0.02
        site.begin(receiver.url, batch=3)
        for start in (1, 6, 11):
            await site.log.append(*(stored(number) for number in range(start, start + 5)))
        await until(lambda: len(receiver.instances()) == 15)
        assert receiver.instances() == uids(*range(1, 16))
        assert receiver.most_at_once == 1
        assert receiver.posts >= 5
        await until(lambda: site.posts("accepted") == receiver.posts)  # it is counted when its answer is read


async def test_what_is_refused_comes_again_in_order_until_it_is_accepted(site: Site) -> None:
    with HookReceiver().running() as receiver:
        receiver.status = 503
        site.begin(receiver.url, batch=2)
        await site.log.append(*(stored(number) for number in range(1, 6)))
        await until(lambda: receiver.posts >= 3)
        assert receiver.changes == []
        assert site.posts("refused") >= 2
        receiver.status = 200
        await until(lambda: len(receiver.instances()) == 5)
        assert receiver.instances() == uids(1, 2, 3, 4, 5)


async def test_a_restart_goes_on_where_the_receiver_had_accepted(site: Site) -> None:
    with HookReceiver().running() as receiver:
        site.begin(receiver.url)
        await site.log.append(stored(1), stored(2))
        await until(lambda: len(receiver.changes) == 2)
        await asyncio.sleep(0.2)
        await site.end()
        await site.log.append(stored(3))
        site.begin(receiver.url)
        await until(lambda: len(receiver.instances()) == 3)
        assert [change["SOPInstanceUID"] for change in receiver.changes] == uids(1, 2, 3)


async def test_a_receiver_that_is_dead_or_slow_is_in_nobodys_way(site: Site) -> None:
    with HookReceiver().running() as well, HookReceiver().running() as slow:
        slow.delay = 0.5
        site.begin(well.url, "well")
        site.begin(slow.url, "slow")
        site.begin("http://127.0.0.1:9/", "dead")
        begun = asyncio.get_running_loop().time()
        await site.log.append(stored(1), stored(2))
        await until(lambda: len(well.changes) == 2)
        assert asyncio.get_running_loop().time() - begun < 0.5
        await until(lambda: site.posts("unreachable", "dead") >= 2 and len(slow.changes) == 2)
        lags = await site.log.lag("webhook-dead")
        assert lags["instances"] == 2


async def test_a_post_that_is_not_answered_in_time_comes_again(site: Site) -> None:
    with HookReceiver().running() as receiver:
        receiver.delay = 2.0
        site.begin(receiver.url, timeout=0.2)
        await site.log.append(stored(1))
        await until(lambda: site.posts("unreachable") >= 1)
        receiver.delay = 0.0
        await until(lambda: site.posts("accepted") == 1)
        assert receiver.instances() == uids(1)


async def test_a_receiver_with_another_secret_gets_nothing_that_it_believes(site: Site) -> None:
    with HookReceiver().running() as receiver:
        site.begin(receiver.url, secret=b"another secret, a long one")
        await site.log.append(stored(1))
        await until(lambda: site.posts("refused") >= 1)
        assert receiver.changes == []


async def test_only_the_types_that_are_asked_for_are_posted(site: Site) -> None:
    with HookReceiver().running() as receiver:
        site.begin(receiver.url, types=["conflicted"])
        await site.log.append(stored(1), conflict(1), stored(2))
        await until(lambda: bool(receiver.changes))
        assert {change["type"] for change in receiver.changes} == {"conflicted"}


async def test_what_is_older_than_its_days_is_passed_over_and_counted(site: Site) -> None:
    site.begin("http://127.0.0.1:9/", give_up=1e-5)
    await site.log.append(stored(1))
    await until(lambda: site.posts("unreachable") >= 1)
    with HookReceiver().running() as receiver:
        await until(lambda: site.posts("given_up") >= 1)
        assert receiver.changes == []
    async with asyncio.timeout(10):
        while (await site.log.lag("webhook-ris"))["instances"]:
            await asyncio.sleep(0.05)
