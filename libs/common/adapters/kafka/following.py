"""Watching what a consumer group commits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from gantry.common.adapters.kafka.connection import KafkaCluster, within
from gantry.common.adapters.kafka.places import LogPlaces
from gantry.common.adapters.kafka.reading import reader
from gantry.common.clock import SystemClock

_TIME = SystemClock()
_LOOK_AGAIN_SECONDS = 0.25
"""Brokers do not announce that a group has committed, so we poll."""
_AT_ONCE = 500
_Records = list[ConsumerRecord[bytes, bytes]]


async def follow(
    cluster: KafkaCluster, places: LogPlaces, topic: str, group: str | None, after: Mapping[int, int] | None
) -> AsyncGenerator[tuple[_Records, dict[int, int]], None]:
    """See `EventLog.follow`; records as the brokers have them."""

    async def reached() -> dict[int, int]:
        return await places.ends(topic) if group is None else await places.committed(group, topic)

    committed = await reached()
    following = {partition: (after or {}).get(partition, done) for partition, done in committed.items()}
    yield [], dict(following)
    async with reader(cluster) as consumer:
        every = [TopicPartition(cluster.topic(topic), partition) for partition in following]
        consumer.assign(every)
        consumer.pause(*every)
        while True:
            behind = [place for place in every if committed[place.partition] > following[place.partition]]
            if not behind:
                await _TIME.sleep(_LOOK_AGAIN_SECONDS)
                committed |= await reached()
                continue
            before = dict(following)
            cluster.renew(consumer._client)
            async with within(cluster.deadline):
                records = await _next_records(consumer, behind, following, committed)
            if following != before:  # without records where retention has removed them
                yield records, dict(following)


async def _next_records(
    consumer: AIOKafkaConsumer, behind: list[TopicPartition], following: dict[int, int], committed: Mapping[int, int]
) -> _Records:
    """Some committed records that were not returned yet; `following` is advanced past them."""
    for place in behind:
        consumer.seek(place, following[place.partition])
    consumer.resume(*behind)
    batches = await consumer.getmany(*behind, timeout_ms=500, max_records=_AT_ONCE)
    consumer.pause(*behind)
    records: _Records = []
    for place in behind:
        number = place.partition
        for record in batches.get(place, ()):
            if following[number] <= record.offset < committed[number]:
                records.append(record)
                following[number] = record.offset + 1
        if place not in batches:
            # Removed records and control batches return no records: the position shows the progress.
            following[number] = max(following[number], min(await consumer.position(place), committed[number]))
    return records
