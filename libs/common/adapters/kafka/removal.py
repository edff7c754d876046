"""Removes an installation's share of the brokers: its topics, and everything in them, for ever."""

from __future__ import annotations

from gantry.common.adapters.kafka import reading
from gantry.common.adapters.kafka.connection import DEPENDENCY, KafkaCluster, within
from gantry.common.adapters.kafka.topics import table
from gantry.common.clock import SystemClock
from gantry.common.errors import DependencyUnavailable

_LOOK_SECONDS = 0.2
_TIME = SystemClock()


async def remove_topics(cluster: KafkaCluster) -> int:
    """Remove all topics of the table, and return their number when the brokers no longer list them. Committed offsets
    of groups expire by the brokers' own retention: they name no one. Raises `DependencyUnavailable`."""
    names = {cluster.topic(topic.name) for topic in table()}
    async with reading.administrator(cluster) as admin, within(cluster.deadline):
        topics = names & set(await admin.list_topics())
        if topics:
            answer = await admin.delete_topics(sorted(topics))
            for name, code, *_ in answer.topic_error_codes:
                if code:
                    raise DependencyUnavailable(DEPENDENCY, f"topic {name} cannot be removed (error {code})")
        while names & set(await admin.list_topics()):
            await _TIME.sleep(_LOOK_SECONDS)
    return len(topics)
