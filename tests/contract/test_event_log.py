"""What every event log promises (libs/common/ports/log.py). Each test quotes the sentence that it checks."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence

import pytest

from gantry.common.clock import ManualClock, SystemClock
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import AssociationRefused, InstanceStored, decode
from gantry.common.ports.log import Consumer, EventLog, Record
from gantry.common.runtime.consumer import ConsumerLimits, ConsumerLoop, Delivery
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.metrics import Metrics
from gantry.services.maintenance import sealing
from tests.contract.conftest import OpenEventLog
from tests.support.facts import conflict, requested, stored


async def take(consumer: Consumer, count: int) -> list[Record]:
    """Poll until `count` records came, and fail if that takes long."""
    records: list[Record] = []
    async with asyncio.timeout(20):
        while len(records) < count:
            records += await consumer.poll()
    assert len(records) == count
    return records


async def nothing_comes(consumer: Consumer) -> bool:
    try:
        await asyncio.wait_for(consumer.poll(), 0.3)
    except TimeoutError:
        return True
    return False


def receipts(records: list[Record]) -> list[int]:
    events = [decode(record.payload) for record in records]
    return [int(event.receipt, 16) for event in events if isinstance(event, InstanceStored)]


async def test_appended_event_reaches_a_waiting_consumer(log: EventLog) -> None:
    """ "An event is durable, and visible to every consumer, when `append` returns." """
    async with log.consumer("indexer", ["instances"]) as consumer:
        waiting = asyncio.create_task(consumer.poll())
        await asyncio.sleep(0.1)
        event = stored(7)
        await log.append(event)
        (record,) = await asyncio.wait_for(waiting, 20)
        assert decode(record.payload) == event
        assert (record.topic, record.key) == ("instances", event.study_instance_uid)


async def test_appended_event_is_there_after_a_restart(open_event_log: OpenEventLog) -> None:
    """ "An event is durable, and visible to every consumer, when `append` returns." """
    log = await open_event_log()
    await log.append(stored(1), stored(2))
    await log.close()
    again = await open_event_log()
    async with again.consumer("indexer", ["instances"]) as consumer:
        assert receipts(await take(consumer, 2)) == [1, 2]


async def test_a_backlog_of_one_of_many_topics_is_not_waited_for(log: EventLog) -> None:
    """A member of many topics that lingers between small batches does not linger while one of them has a backlog: the
    archiver sealed 33 events a second, however many came."""
    for start in range(0, 3000, 500):
        await log.append(*(stored(n, f"1.2.{n % 50}") for n in range(start, start + 500)))
    await log.append(requested("1.9.1"), conflict(1))
    came: set[int] = set()

    async def handler(batch: Sequence[Delivery]) -> None:
        came.update(receipts([delivery.record for delivery in batch]))
        if len(came) == 3000:
            loop.stop()

    limits = ConsumerLimits(batch=2000, linger=3600.0)
    loop = ConsumerLoop(log, "archiver", sealing.topics(), handler, SystemClock(), Metrics(), limits)
    async with asyncio.timeout(60):
        await loop.run()
    assert came == set(range(3000))


async def test_events_of_one_key_keep_their_order(log: EventLog) -> None:
    """ "Events with the same topic and key are in the order of their appends." """
    numbers = itertools.count()

    async def append_study(study: str) -> None:
        for _ in range(30):
            await log.append(stored(next(numbers), study), stored(next(numbers), study))

    await asyncio.gather(*(append_study(f"1.2.{n}") for n in range(8)))
    async with log.consumer("indexer", ["instances"]) as consumer:
        records = await take(consumer, 480)
    for n in range(8):
        order = receipts([record for record in records if record.key == f"1.2.{n}"])
        assert len(order) == 60
        assert order == sorted(order)


async def test_records_of_a_partition_come_in_order_of_offset(log: EventLog) -> None:
    """ "Records of one partition come in order of offset. Each is returned once per member until it leaves"."""
    await asyncio.gather(*(log.append(stored(n, f"1.{n % 9}"), conflict(n)) for n in range(200)))
    async with log.consumer("audit", ["instances", "conflicts"]) as consumer:
        records = await take(consumer, 400)
        assert await nothing_comes(consumer)
    offsets: dict[tuple[str, int], list[int]] = {}
    for record in records:
        offsets.setdefault((record.topic, record.partition), []).append(record.offset)
    for of_partition in offsets.values():
        assert of_partition == sorted(set(of_partition))


async def test_poll_gives_no_more_than_asked_for(log: EventLog) -> None:
    """ "The next records, at least one"."""
    await log.append(*(stored(n) for n in range(10)), *(conflict(n) for n in range(10)))
    async with log.consumer("g", ["instances", "conflicts"]) as consumer:
        seen = 0
        while seen < 20:
            records = await consumer.poll(3)
            assert 1 <= len(records) <= 3
            seen += len(records)


async def test_uncommitted_records_come_again(open_event_log: OpenEventLog) -> None:
    """ "a record that was not committed is returned again to the next member of the partition." """
    log = await open_event_log()
    await log.append(*(stored(n) for n in range(5)))
    async with log.consumer("g", ["instances"]) as consumer:
        records = await take(consumer, 5)
        await consumer.commit(records[:3])
    async with log.consumer("g", ["instances"]) as consumer:
        assert receipts(await take(consumer, 2)) == [3, 4]
    await log.close()
    again = await open_event_log()
    async with again.consumer("g", ["instances"]) as consumer:
        assert receipts(await take(consumer, 2)) == [3, 4]


async def test_commit_covers_what_came_before_and_never_goes_back(log: EventLog) -> None:
    """ "Commit these records and all before them in their partitions"."""
    await log.append(*(stored(n) for n in range(5)))
    async with log.consumer("g", ["instances"]) as consumer:
        records = await take(consumer, 5)
        await consumer.commit([records[3]])
        await consumer.commit([records[0]])
        await consumer.commit([])
    assert await log.lag("g") == {"instances": 1}


async def test_new_group_begins_with_what_is_retained(log: EventLog) -> None:
    """ "or since the beginning of what is retained for a new group"."""
    await log.append(*(stored(n) for n in range(3)))
    for group in ("first", "second"):
        async with log.consumer(group, ["instances"]) as consumer:
            records = await take(consumer, 3)
            await consumer.commit(records)


async def test_groups_do_not_affect_each_other(log: EventLog) -> None:
    """ "several groups do not affect each other." """
    await log.append(stored(1))
    async with log.consumer("one", ["instances"]) as first, log.consumer("other", ["instances"]) as other:
        await first.commit(await take(first, 1))
        assert receipts(await take(other, 1)) == [1]
        assert await log.lag("one") == {"instances": 0}
        assert await log.lag("other") == {"instances": 1}


async def test_one_member_of_a_group_consumes_and_the_next_takes_over(open_event_log: OpenEventLog) -> None:
    """ "Within a group, a partition belongs to one member at a time". One key is one partition in every backend."""
    log, other_log = await open_event_log(), await open_event_log()
    async with other_log.consumer("g", ["instances"]) as second:
        async with log.consumer("g", ["instances"]) as first:
            await log.append(stored(0))
            polls = {asyncio.create_task(c.poll()): c for c in (first, second)}
            done, pending = await asyncio.wait(polls, timeout=20, return_when=asyncio.FIRST_COMPLETED)
            assert len(done) == 1
            active = polls[done.pop()]
            await log.append(stored(1))
            assert receipts(await take(active, 1)) == [1]
            (waiting,) = pending
            assert not waiting.done()
            if active is second:
                waiting.cancel()
                return
        assert receipts(await asyncio.wait_for(waiting, 20)) == [0, 1]


async def test_group_name_and_topic_are_checked(log: EventLog) -> None:
    """ "A member of a group; it joins when it is entered as a context manager." """
    with pytest.raises(ValueError):
        log.consumer("../etc", ["instances"])
    with pytest.raises(ValueError):
        log.consumer("g", ["nonsense"])


async def test_replay_is_whole_and_ends(log: EventLog) -> None:
    """ "Everything retained in a topic that was appended before the iteration began, oldest first"."""
    for at in range(0, 1200, 100):
        await log.append(*(stored(n) for n in range(at, at + 100)))
    await log.append(requested("1.9"))
    seen = []
    async for record in log.replay("instances"):
        if not seen:
            await log.append(stored(5000))
        seen.append(record)
    assert receipts(seen) == list(range(1200))
    assert [record.key async for record in log.replay("commitment")] == ["1.9"]
    assert [record async for record in log.replay("dead-letters")] == []


async def test_replay_since_a_time_leaves_nothing_out(log: EventLog, clock: ManualClock) -> None:
    """ "nothing appended at that time or later is left out"."""
    for n in range(30):
        clock.advance(1)
        await log.append(stored(n))
    since = clock.now_us() - 9_000_000
    records = [record async for record in log.replay("instances", since)]
    assert receipts(records) == list(range(20, 30))
    assert [record async for record in log.replay("instances", clock.now_us() + 1_000_000)] == []


async def test_lag_counts_what_is_not_committed(log: EventLog) -> None:
    """ "For each topic that the group has joined, how many records it has not committed." """
    assert await log.lag("g") == {}
    async with log.consumer("g", ["instances", "conflicts"]) as consumer:
        assert await log.lag("g") == {"instances": 0, "conflicts": 0}
        await log.append(stored(1), stored(2), conflict(1))
        assert await log.lag("g") == {"instances": 2, "conflicts": 1}
        await consumer.commit(await take(consumer, 3))
        assert await log.lag("g") == {"instances": 0, "conflicts": 0}


async def test_appended_at_is_the_time_of_the_append(log: EventLog, clock: ManualClock) -> None:
    """ "`appended_at` is in microseconds since the epoch." """
    clock.advance(5)
    await log.append(stored(1))
    (record,) = [record async for record in log.replay("instances")]
    assert record.appended_at == clock.now_us()


async def test_check_returns_and_appends_nothing(log: EventLog) -> None:
    """ "Return if an event could be appended now"."""
    await log.check()
    assert [record async for record in log.replay("instances")] == []


async def test_close_finishes_events_under_way(open_event_log: OpenEventLog) -> None:
    """ "Release the resources; events in progress are finished first." """
    log = await open_event_log()
    appends = [asyncio.create_task(log.append(stored(n))) for n in range(50)]
    await asyncio.sleep(0)
    await log.close()
    await asyncio.gather(*appends)
    again = await open_event_log()
    assert len([record async for record in again.replay("instances")]) == 50


async def committed_up_to(log: EventLog, count: int) -> None:
    """The indexers take `count` records and commit them."""
    async with log.consumer("indexer", ["instances"]) as consumer:
        await consumer.commit(await take(consumer, count))


async def test_a_group_has_passed_what_it_has_committed(log: EventLog) -> None:
    """ "Whether a group has committed everything before `ends`. False if it has not joined the topic." """
    before = await log.ends("instances")
    await log.append(*[stored(n, f"1.{n % 5}") for n in range(20)])
    ends = await log.ends("instances")
    assert sum(ends.values()) == sum(before.values()) + 20
    assert not await log.has_passed("indexer", "instances", ends)
    assert not await log.has_passed("indexer", "instances", before)
    await committed_up_to(log, 20)
    assert await log.has_passed("indexer", "instances", ends)
    assert await log.has_passed("indexer", "instances", before)
    await log.append(stored(99, "1.3"))
    # What has come since does not count; what is asked about now does.
    assert await log.has_passed("indexer", "instances", ends)
    assert not await log.has_passed("indexer", "instances", await log.ends("instances"))


async def test_what_is_not_committed_of_one_key_is_read_in_order(log: EventLog) -> None:
    """ "The records with this key that a group has not committed, in order; all with this key for a group that has not
    joined. `DependencyUnavailable` if more than `most` records would have to be examined." """
    await log.append(*[stored(n, f"1.{n % 3}") for n in range(30)])
    assert receipts(await log.uncommitted("indexer", "instances", "1.1")) == list(range(1, 30, 3))
    await committed_up_to(log, 30)
    assert await log.uncommitted("indexer", "instances", "1.1") == []
    await log.append(*[stored(n, f"1.{n % 3}") for n in range(30, 60)])
    records = await log.uncommitted("indexer", "instances", "1.2")
    assert receipts(records) == list(range(32, 60, 3))
    assert {(record.topic, record.key) for record in records} == {("instances", "1.2")}
    assert await log.uncommitted("indexer", "instances", "1.9") == []
    with pytest.raises(DependencyUnavailable):
        await log.uncommitted("indexer", "instances", "1.2", most=9)
    # And again when it has caught up.
    await committed_up_to(log, 30)
    assert await log.uncommitted("indexer", "instances", "1.2", most=9) == []


async def test_the_last_that_a_group_committed_is_known(log: EventLog) -> None:
    """ "The last records of each partition that a group has committed and that are still retained, at most `most`" """
    await log.append(*[stored(n, "1.1") for n in range(10)])
    assert await log.last_committed("indexer", "instances") == []
    await committed_up_to(log, 10)
    await log.append(*[stored(n, "1.1") for n in range(10, 20)])
    assert sorted(receipts(await log.last_committed("indexer", "instances", most=4))) == [6, 7, 8, 9]
    assert sorted(receipts(await log.last_committed("indexer", "instances"))) == list(range(10))


class Watcher:
    """What `follow` gave, as it came."""

    def __init__(self, log: EventLog, after: Mapping[int, int] | None = None, group: str | None = "indexer") -> None:
        self.records: list[Record] = []
        self.ends: dict[int, int] = {}
        self._following = log.follow("instances", group, after)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Watcher:
        first = await anext(self._following)
        assert not first.records
        self.ends = dict(first.ends)
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._task is not None
        await end_tasks(self._task)
        await self._following.aclose()

    async def _watch(self) -> None:
        async for passed in self._following:
            self.records += passed.records
            self.ends = dict(passed.ends)

    async def has(self, *expected: int) -> None:
        async with asyncio.timeout(20):
            while len(self.records) < len(expected):
                await asyncio.sleep(0.02)
        assert sorted(receipts(self.records)) == sorted(expected)


async def test_a_watcher_is_given_what_a_group_has_committed_and_nothing_else(log: EventLog) -> None:
    """ "records come in order of offset, each once, within a second of its commit; uncommitted records are left
    out." """
    async with log.consumer("indexer", ["instances"]) as consumer:
        await log.append(stored(1, "1.2.1"))
        await consumer.commit(await take(consumer, 1))
        async with Watcher(log) as watcher:
            await log.append(*(stored(n, "1.2.1") for n in range(2, 7)))
            records = await take(consumer, 5)
            await asyncio.sleep(0.7)
            assert watcher.records == []
            await consumer.commit(records[:3])
            begun = asyncio.get_running_loop().time()
            await watcher.has(2, 3, 4)
            assert asyncio.get_running_loop().time() - begun < 1.5  # a second, and a slow machine
            await consumer.commit(records)
            await watcher.has(2, 3, 4, 5, 6)
            assert receipts(watcher.records) == [2, 3, 4, 5, 6]  # of one study: in its order


async def test_a_watcher_begins_where_the_group_is_and_goes_on_behind_what_it_was_given(log: EventLog) -> None:
    """ "It begins behind the offsets in `after`, which come from `Passed.ends` or `ends`; in other partitions, at the
    group's current offset." """
    async with log.consumer("indexer", ["instances"]) as consumer:
        await log.append(*(stored(n, f"1.2.{n}") for n in range(10)))
        await consumer.commit(await take(consumer, 10))
        async with Watcher(log) as watcher:
            begin = watcher.ends
            await log.append(*(stored(n, f"1.2.{n}") for n in range(10, 30)))
            await consumer.commit(await take(consumer, 20))
            await watcher.has(*range(10, 30))
            middle = watcher.ends
        await log.append(*(stored(n, f"1.2.{n}") for n in range(30, 35)))
        await consumer.commit(await take(consumer, 5))
        async with Watcher(log, begin) as watcher:
            await watcher.has(*range(10, 35))
        async with Watcher(log, middle) as watcher:
            await watcher.has(*range(30, 35))
        async with Watcher(log, await log.ends("instances")) as watcher:
            await log.append(stored(99, "1.2.3"))
            await consumer.commit(await take(consumer, 1))
            await watcher.has(99)


async def test_a_watcher_of_no_group_sees_what_is_appended(log: EventLog) -> None:
    """ "or with None what is appended" """
    await log.append(stored(1))
    async with Watcher(log, group=None) as watcher:
        await log.append(stored(2), stored(3))
        await watcher.has(2, 3)
    async with Watcher(log, dict.fromkeys(await log.ends("instances"), 0), group=None) as watcher:
        await watcher.has(1, 2, 3)


async def test_a_watcher_of_a_group_that_never_joined_waits(log: EventLog) -> None:
    """ "uncommitted records are left out" """
    await log.append(stored(1), stored(2))
    async with Watcher(log, group="nobody") as watcher:
        await asyncio.sleep(0.7)
        assert watcher.records == []
    with pytest.raises(ValueError, match="no such topic"):
        await anext(log.follow("nonsense", "indexer"))


async def what_is_left(log: EventLog, topic: str) -> int:
    """The number of records once the expired ones are removed. The log removes them by itself too when the clock is
    advanced, so how many a call removes depends on who comes first."""
    await log.remove_expired()  # type: ignore[attr-defined]  # of both backends
    return len([record async for record in log.replay(topic)])


async def test_a_watcher_holds_no_retention_up_and_passes_over_what_is_removed(
    log: EventLog, clock: ManualClock
) -> None:
    """ "belongs to no group, does not delay retention"; "Records that retention has removed are skipped." """
    async with log.consumer("indexer", ["instances"]) as consumer, Watcher(log) as watcher:
        begin = watcher.ends
        await log.append(stored(1, "1.2.1"), stored(2, "1.2.1"))
        await consumer.commit(await take(consumer, 2))
        await watcher.has(1, 2)
        clock.advance(8 * 24 * 3600)
        assert await what_is_left(log, "instances") == 0
        await log.append(stored(3, "1.2.1"))
        await consumer.commit(await take(consumer, 1))
        async with Watcher(log, begin) as late:
            await late.has(3)


async def test_what_no_group_reads_goes_when_it_is_old(log: EventLog, clock: ManualClock) -> None:
    """Of `gantry.common.events.Topic`: "What is not `sealed` is gone then"."""
    refused = AssociationRefused("default", "", "all", "STRANGER", "GANTRY", "192.0.2.1", 1, 1, 3, "unknown", 1)
    await log.append(refused)
    clock.advance(13 * 24 * 3600)
    await log.append(refused)
    assert await what_is_left(log, "associations") == 2
    clock.advance(2 * 24 * 3600)
    assert await what_is_left(log, "associations") == 1
