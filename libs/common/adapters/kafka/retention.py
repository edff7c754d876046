"""Removing records that are older than their topic's retention and committed by every group that reads the topic.

Kafka's own retention ignores groups: a group that was down for longer than `retention.ms` would miss events. So the
brokers are configured to retain everything (`topics`), and this module asks them to delete.
"""

from __future__ import annotations

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from gantry.common.adapters.kafka.connection import KafkaCluster, within
from gantry.common.adapters.kafka.reading import administrator, partitions_of, reader
from gantry.common.adapters.kafka.topics import table


async def remove_expired(cluster: KafkaCluster, now_us: int) -> int:
    """Returns how many records were removed. A group counts as soon as it has committed any offset in a topic."""
    removed = 0
    async with administrator(cluster) as admin, reader(cluster) as consumer, within(4 * cluster.deadline):
        groups = await _committed(admin, cluster)
        partitions = await partitions_of(admin, [cluster.topic(topic.name) for topic in table()])
        for topic in table():
            if topic.retention_ms is None:
                continue
            places = partitions[cluster.topic(topic.name)]
            begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
            cutoff = now_us // 1000 - topic.retention_ms
            young = await consumer.offsets_for_times(dict.fromkeys(places, cutoff))
            doomed = {}
            for tp in places:
                first_young = young.get(tp)
                until = min(
                    ends[tp] if first_young is None else first_young.offset,
                    *(offsets.get(tp, begins[tp]) for offsets in groups if _reads(offsets, tp.topic)),
                    ends[tp],
                )
                if until > begins[tp]:
                    doomed[tp] = RecordsToDelete(until)
                    removed += until - begins[tp]
            if doomed:
                await admin.delete_records(doomed)
    return removed


async def _committed(admin: AIOKafkaAdminClient, cluster: KafkaCluster) -> list[dict[TopicPartition, int]]:
    names = [name for name, *_ in await admin.list_consumer_groups()]
    return [
        {
            tp: position.offset
            for tp, position in (await admin.list_consumer_group_offsets(name)).items()
            if position.offset >= 0
        }
        for name in names
        if name.startswith(f"{cluster.prefix}.")
    ]


def _reads(offsets: dict[TopicPartition, int], topic: str) -> bool:
    return any(tp.topic == topic for tp in offsets)
