"""The consumer loop on the real embedded log."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gantry.common.adapters.sqlite import SqliteLog, open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import DeadLetter, InstanceStored, decode
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.consumer import (
    Backoff,
    ConsumerLimits,
    ConsumerLoop,
    DeadLetterLimit,
    Delivery,
    Handler,
    Poison,
)
from gantry.common.telemetry.metrics import Metrics
from tests.support.facts import stored

FAST = Delays(first=0.001, longest=0.01)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteLog]:
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    yield log
    await log.close()


class Applied:
    """Remembers what was applied; subclasses of trouble are functions of the event's number."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def take(self, batch: Sequence[Delivery]) -> None:
        self.numbers += [number_of(delivery) for delivery in batch]

    async def count(self, wanted: int) -> None:
        async with asyncio.timeout(20):
            while len(set(self.numbers)) < wanted:
                await asyncio.sleep(0.005)


def number_of(delivery: Delivery) -> int:
    assert isinstance(delivery.event, InstanceStored)
    return int(delivery.event.receipt, 16)


def loop_of(log: SqliteLog, handler: Handler, metrics: Metrics | None = None, dead_letters: int = 100) -> ConsumerLoop:
    limits = ConsumerLimits(batch=50, dead_letters=dead_letters, delays=FAST)
    return ConsumerLoop(log, "g", ["instances"], handler, SystemClock(), metrics or Metrics(), limits)


async def letters(log: SqliteLog) -> list[DeadLetter]:
    events = [decode(record.payload) async for record in log.replay("dead-letters")]
    return [event for event in events if isinstance(event, DeadLetter)]


async def finish(loop: ConsumerLoop, running: asyncio.Task[None]) -> None:
    loop.stop()
    await asyncio.wait_for(running, 20)


async def test_loop_applies_commits_and_stops_when_asked(log: SqliteLog) -> None:
    applied = Applied()

    async def handler(batch: Sequence[Delivery]) -> None:
        applied.take(batch)

    await log.append(*(stored(n) for n in range(120)))
    loop = loop_of(log, handler)
    running = asyncio.create_task(loop.run())
    await applied.count(120)
    await finish(loop, running)
    assert applied.numbers == list(range(120))
    assert await log.lag("g") == {"instances": 0}


async def test_loop_that_is_stopped_while_it_applies_a_batch_commits_it(log: SqliteLog) -> None:
    async def handler(batch: Sequence[Delivery]) -> None:
        loop.stop()

    await log.append(*(stored(n) for n in range(10)))
    loop = loop_of(log, handler)
    await asyncio.wait_for(loop.run(), 20)
    assert await log.lag("g") == {"instances": 0}


async def test_batch_that_must_wait_is_applied_later_and_committed_only_then(log: SqliteLog) -> None:
    applied, metrics = Applied(), Metrics()
    troubles = [Backoff(), DependencyUnavailable("index", "away"), Backoff()]
    lags = []

    async def handler(batch: Sequence[Delivery]) -> None:
        lags.append(await log.lag("g"))
        if troubles:
            raise troubles.pop()
        applied.take(batch)

    await log.append(*(stored(n) for n in range(10)))
    loop = loop_of(log, handler, metrics)
    running = asyncio.create_task(loop.run())
    await applied.count(10)
    await finish(loop, running)
    assert lags == [{"instances": 10}] * 4
    assert applied.numbers == list(range(10))
    assert await letters(log) == []
    assert metrics.consumer_retries.labels("g")._value.get() == 3


async def test_loop_that_waits_for_a_dependency_stops_at_once_and_commits_nothing(log: SqliteLog) -> None:
    tried = asyncio.Event()

    async def handler(batch: Sequence[Delivery]) -> None:
        tried.set()
        raise Backoff

    await log.append(stored(1))
    limits = ConsumerLimits(delays=Delays(first=1000, longest=1000))
    loop = ConsumerLoop(log, "g", ["instances"], handler, SystemClock(), Metrics(), limits)
    running = asyncio.create_task(loop.run())
    await asyncio.wait_for(tried.wait(), 20)
    await asyncio.sleep(0.02)
    await finish(loop, running)
    assert await log.lag("g") == {"instances": 1}


async def test_poison_goes_to_the_dead_letters_and_the_others_go_on(log: SqliteLog) -> None:
    applied, metrics = Applied(), Metrics()

    async def handler(batch: Sequence[Delivery]) -> None:
        for delivery in batch:
            if number_of(delivery) % 4 == 1:
                raise Poison(delivery, "not to be applied")
        applied.take(batch)

    await log.append(*(stored(n) for n in range(20)))
    loop = loop_of(log, handler, metrics)
    running = asyncio.create_task(loop.run())
    await applied.count(15)
    await finish(loop, running)
    dead = await letters(log)
    assert [letter.offset for letter in dead] == [2, 6, 10, 14, 18]
    assert {(letter.group, letter.topic, letter.reason) for letter in dead} == {("g", "instances", "not to be applied")}
    assert decode(dead[0].payload) == replace(stored(1), header=None)
    assert await log.lag("g") == {"instances": 0}
    assert metrics.dead_letters.labels("g")._value.get() == 5


async def test_unexpected_error_of_one_event_stops_no_other(log: SqliteLog) -> None:
    applied = Applied()
    bad = set(random.Random(5).sample(range(50), 3))

    async def handler(batch: Sequence[Delivery]) -> None:
        if any(number_of(delivery) in bad for delivery in batch):
            raise KeyError("an error that nobody expects")
        applied.take(batch)

    await log.append(*(stored(n) for n in range(50)))
    loop = loop_of(log, handler)
    running = asyncio.create_task(loop.run())
    await applied.count(47)
    await finish(loop, running)
    assert applied.numbers == [n for n in range(50) if n not in bad]  # still in order
    assert {letter.offset - 1 for letter in await letters(log)} == bad
    assert {letter.reason for letter in await letters(log)} == {"unexpected KeyError"}


async def test_undecodable_payload_is_a_dead_letter(log: SqliteLog, tmp_path: Path) -> None:
    applied = Applied()

    async def handler(batch: Sequence[Delivery]) -> None:
        applied.take(batch)

    await log.append(stored(1))
    with sqlite3.connect(tmp_path / "log.db") as other:
        other.execute("INSERT INTO records_instances(key, appended_at, payload) VALUES('k', 1, x'C1')")
    await log.append(stored(2))
    loop = loop_of(log, handler)
    running = asyncio.create_task(loop.run())
    await applied.count(2)
    await finish(loop, running)
    (letter,) = await letters(log)
    assert letter.payload == b"\xc1"
    assert letter.reason.startswith("not an event")


async def test_too_many_dead_letters_stop_the_loop_before_it_commits(log: SqliteLog) -> None:
    async def handler(batch: Sequence[Delivery]) -> None:
        raise KeyError("everything fails: the fault is ours")

    await log.append(*(stored(n) for n in range(10)))
    with pytest.raises(DeadLetterLimit, match="4 dead letters"):
        await asyncio.wait_for(loop_of(log, handler, dead_letters=4).run(), 20)
    assert len(await letters(log)) == 4
    assert await log.lag("g") == {"instances": 10}
