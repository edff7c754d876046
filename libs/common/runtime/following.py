"""What consumer groups have not read of the instances' topic yet: waiting until they have, and looking at it."""

from __future__ import annotations

from gantry.common.clock import Clock
from gantry.common.errors import UndecodableEvent
from gantry.common.events import INDEXERS, TOPICS, Event, InstanceStored, decode
from gantry.common.lifecycle import StudyState, fold
from gantry.common.ports.log import EventLog

_INSTANCES = TOPICS[InstanceStored].name


async def has_followed(
    log: EventLog, clock: Clock, patience: float, group: str = INDEXERS, look_again: float = 0.05
) -> bool:
    """Wait until a group has passed what is on the log now; False if it has not within `patience` seconds. Raises
    `DependencyUnavailable`."""
    ends = await log.ends(_INSTANCES)
    until = clock.monotonic() + patience
    while not await log.has_passed(group, _INSTANCES, ends):
        if clock.monotonic() >= until:
            return False
        await clock.sleep(look_again)
    return True


async def unfollowed(log: EventLog, partition: str, key: str) -> StudyState:
    """What happened to a study, or to the holds on a patient, that the indexers have not read yet. Raises
    `DependencyUnavailable`."""
    return fold(await unfollowed_events(log, partition, key))


async def unfollowed_events(log: EventLog, partition: str, key: str) -> list[Event]:
    """The same as events, in order."""
    events: list[Event] = []
    for record in await log.uncommitted(INDEXERS, _INSTANCES, key):
        try:
            events.append(decode(record.payload))
        except UndecodableEvent:
            continue  # the indexer puts it among the dead letters
    return [event for event in events if event.partition == partition]
