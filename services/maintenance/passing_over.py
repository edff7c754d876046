"""Consumer groups that begin behind what a restore appended: those for whom it was history before the log was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from gantry.common.ports.log import EventLog, Record
from gantry.common.telemetry.logs import get_logger

_PLACE_SECONDS = 10.0
"""How long to wait for a place in a group, which a running member does not leave."""
logger = get_logger("restore")


async def pass_over(log: EventLog, groups: Mapping[str, Sequence[str]]) -> None:
    """For each of `groups` with its topics, commit what is on the log now. Where a process is a member already, it
    reads everything. Raises `DependencyUnavailable`."""
    passed = await asyncio.gather(*(_pass_over(log, *one) for one in groups.items()))
    for group, done in zip(groups, passed, strict=True):
        if not done:
            logger.warning("a process is running that reads again what was restored", group=group)


async def _pass_over(log: EventLog, group: str, topics: Sequence[str]) -> bool:
    """Whether it was done."""
    ends = {topic: await log.ends(topic) for topic in topics}
    behind = [
        Record(topic, partition, end - 1, "", b"", 0)
        for topic, some in ends.items()
        for partition, end in some.items()
        if end
    ]
    if not behind or all([await log.has_passed(group, topic, some) for topic, some in ends.items()]):
        return True
    async with log.consumer(group, topics) as consumer:
        try:
            async with asyncio.timeout(_PLACE_SECONDS):
                await consumer.poll()
        except TimeoutError:
            return False
        await consumer.commit(behind)
    return True
