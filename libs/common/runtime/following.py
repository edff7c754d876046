"""What consumer groups have not read yet of the topics that are indexed: waiting until they have, and looking at it."""

from __future__ import annotations

from gantry.common.clock import Clock
from gantry.common.errors import UndecodableEvent
from gantry.common.events import INDEXED, INDEXERS, TOPICS, InstanceStored, decode
from gantry.common.lifecycle import StudyState, fold
from gantry.common.ports.log import EventLog

_INSTANCES = TOPICS[InstanceStored].name


async def has_followed(
    log: EventLog, clock: Clock, patience: float, group: str = INDEXERS, look_again: float = 0.05
) -> bool:
    """Wait until a group has passed what is on the log now; False if it has not within `patience` seconds. Raises
    `DependencyUnavailable`."""
    ends = {topic: await log.ends(topic) for topic in INDEXED}
    until = clock.monotonic() + patience
    for topic in INDEXED:
        while not await log.has_passed(group, topic, ends[topic]):
            if clock.monotonic() >= until:
                return False
            await clock.sleep(look_again)
    return True


async def unfollowed(log: EventLog, partition: str, study: str) -> StudyState:
    """What happened to a study that the indexers have not read yet. Raises `DependencyUnavailable`."""
    events = []
    for record in await log.uncommitted(INDEXERS, _INSTANCES, study):
        try:
            events.append(decode(record.payload))
        except UndecodableEvent:
            continue  # the indexer puts it among the dead letters
    return fold(event for event in events if event.partition == partition)
