"""Lets consumer groups start after the events that a restore appended, which they had handled before the log was
lost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from gantry.common.ports.log import EventLog, Record
from gantry.common.telemetry.logs import get_logger

_PLACE_SECONDS = 30.0
"""How long to wait for partitions in a group: a new Kafka first creates its topic of offsets, and waits for more
members. A running member keeps its partitions."""
logger = get_logger("restore")


async def pass_over(log: EventLog, groups: Mapping[str, Sequence[str]]) -> None:
    """For each of `groups` with its topics, commit what is on the log now. If a process is a member already, it reads
    the rest. Raises `DependencyUnavailable`."""
    passed = await asyncio.gather(*(_pass_over(log, *item) for item in groups.items()))
    for group, done in zip(groups, passed, strict=True):
        if not done:
            logger.warning(
                "a process of this group runs, or the log is slow: restored events are read again, and reported again",
                group=group,
            )


async def _pass_over(log: EventLog, group: str, topics: Sequence[str]) -> bool:
    """Whether it was committed."""
    ends = {topic: await log.ends(topic) for topic in topics}
    behind = [
        Record(topic, partition, end - 1, "", b"", 0)
        for topic, offsets in ends.items()
        for partition, end in offsets.items()
        if end
    ]
    if not behind or all([await log.has_passed(group, topic, offsets) for topic, offsets in ends.items()]):
        return True
    async with log.consumer(group, topics) as consumer:
        try:
            async with asyncio.timeout(_PLACE_SECONDS):
                await consumer.poll()
        except TimeoutError:
            return False
        await consumer.commit(behind)
    # Beside another member of a Kafka group only our own partitions are committed.
    return all([await log.has_passed(group, topic, offsets) for topic, offsets in ends.items()])
