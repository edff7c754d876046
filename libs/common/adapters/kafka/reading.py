"""Reading outside any group: all records of a topic, and the lag of groups."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from gantry.common.adapters.kafka.connection import KafkaCluster, within
from gantry.common.clock import SystemClock

_TIME = SystemClock()


@asynccontextmanager
async def reader(cluster: KafkaCluster) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer outside any group."""
    consumer: AIOKafkaConsumer = AIOKafkaConsumer(
        **cluster.client_options(), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        async with within(cluster.deadline):
            await consumer.start()
        yield consumer
    finally:
        # A consumer that is stopped before the event loop has run once ends with a CancelledError of its own.
        await _TIME.sleep(0)
        await consumer.stop()


@asynccontextmanager
async def administrator(cluster: KafkaCluster) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for topics, groups and offsets."""
    admin = AIOKafkaAdminClient(**cluster.client_options())
    try:
        async with within(cluster.deadline):
            await admin.start()
        yield admin
    finally:
        await admin.close()


async def partitions_of(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> dict[str, list[TopicPartition]]:
    """The partitions of topics, as the brokers report them now; a missing topic has none."""
    return {
        description["topic"]: [
            TopicPartition(description["topic"], n) for n in sorted(p["partition"] for p in description["partitions"])
        ]
        for description in await admin.describe_topics(list(topics))
    }


async def everything(
    cluster: KafkaCluster, topic: str, since_ms: int = 0
) -> AsyncIterator[ConsumerRecord[bytes, bytes]]:
    """All records that a topic had at the beginning of the call, oldest first by their time; within a
    partition in order of offset. With `since_ms` each partition begins with its first record of that time or later."""
    name = cluster.topic(topic)
    async with administrator(cluster) as admin, within(cluster.deadline):
        places = (await partitions_of(admin, [name]))[name]
    async with reader(cluster) as consumer:
        async with within(cluster.deadline):
            ends = await consumer.end_offsets(places)
            begins = await consumer.beginning_offsets(places)
            if since_ms:
                later = await consumer.offsets_for_times(dict.fromkeys(places, since_ms))
                begins = {tp: position.offset if (position := later[tp]) is not None else ends[tp] for tp in places}
        waiting = {tp: deque[ConsumerRecord[bytes, bytes]]() for tp in places if begins[tp] < ends[tp]}
        if not waiting:
            return
        consumer.assign(list(waiting))
        for tp in waiting:
            consumer.seek(tp, begins[tp])
        last = dict(begins)
        while waiting:
            empty = [tp for tp, records in waiting.items() if not records]
            if empty:
                async with within(cluster.deadline):
                    await _fill(consumer, waiting, last, ends, empty)
            for tp in [tp for tp, records in waiting.items() if not records and last[tp] >= ends[tp]]:
                del waiting[tp]
            if waiting and all(waiting.values()):
                tp = min(waiting, key=lambda place: (waiting[place][0].timestamp, place.partition))
                yield waiting[tp].popleft()


async def _fill(
    consumer: AIOKafkaConsumer,
    waiting: dict[TopicPartition, deque[ConsumerRecord[bytes, bytes]]],
    last: dict[TopicPartition, int],
    ends: dict[TopicPartition, int],
    empty: list[TopicPartition],
) -> None:
    for tp, batch in (await consumer.getmany(*empty, timeout_ms=500, max_records=2000)).items():
        for record in batch:
            if record.offset < ends[tp]:
                waiting[tp].append(record)
            last[tp] = record.offset + 1
    for tp in empty:
        # The last offsets may not be records (control batches): the position shows the end.
        last[tp] = max(last[tp], await consumer.position(tp))


async def behind(cluster: KafkaCluster, group: str, joined: set[str]) -> dict[str, int]:
    """For each topic that a group has joined, how many records it has not committed; `joined` are topics that, as this
    process knows, the group has joined."""
    async with administrator(cluster) as admin, reader(cluster) as consumer, within(cluster.deadline):
        committed = {
            tp: position.offset
            for tp, position in (await admin.list_consumer_group_offsets(f"{cluster.prefix}.{group}")).items()
            if position.offset >= 0
        }
        topics = {tp.topic for tp in committed} | {cluster.topic(topic) for topic in joined}
        lag: dict[str, int] = {}
        for topic, places in (await partitions_of(admin, sorted(topics))).items():
            ends, begins = await consumer.end_offsets(places), await consumer.beginning_offsets(places)
            lag[cluster.own_name(topic)] = sum(
                max(0, ends[tp] - max(begins[tp], committed.get(tp, begins[tp]))) for tp in places
            )
        return lag
