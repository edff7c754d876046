"""Events of the indexed topics that consumer groups have not read yet: waiting for the groups, and reading these
events."""

from __future__ import annotations

from gantry.common.clock import Clock
from gantry.common.errors import UndecodableEvent
from gantry.common.events import INDEXED, INDEXERS, TOPICS, Event, InstanceStored, PatientHoldPlaced, decode
from gantry.common.lifecycle import StudyState, fold
from gantry.common.ports.log import EventLog

_FIRST_LOOK_SECONDS = 0.004
_INSTANCES, _PATIENTS = TOPICS[InstanceStored].name, TOPICS[PatientHoldPlaced].name


async def has_followed(
    log: EventLog, clock: Clock, patience: float, group: str = INDEXERS, look_again: float = 0.05
) -> bool:
    """Wait until a group has read the log up to now; False if it has not within `patience` seconds. Checks often at
    first, since an indexer mostly needs milliseconds, then every `look_again` seconds. Raises
    `DependencyUnavailable`."""
    pause = min(_FIRST_LOOK_SECONDS, look_again)
    ends = {topic: await log.ends(topic) for topic in INDEXED}
    until = clock.monotonic() + patience
    for topic in INDEXED:
        while not await log.has_passed(group, topic, ends[topic]):
            if clock.monotonic() >= until:
                return False
            await clock.sleep(pause)
            pause = min(2 * pause, look_again)
    return True


async def unfollowed(log: EventLog, partition: str, study: str) -> StudyState:
    """The changes of a study that the indexers have not read yet. Raises `DependencyUnavailable`."""
    return fold(await unfollowed_events(log, partition, study))


async def unfollowed_holds(log: EventLog, partition: str, patient: str) -> StudyState:
    """The holds on a patient (`gantry.common.lifecycle.patient_key`) that the indexers have not read yet. Raises
    `DependencyUnavailable`."""
    return fold(await unfollowed_events(log, partition, patient, _PATIENTS))


async def unfollowed_events(log: EventLog, partition: str, key: str, topic: str = _INSTANCES) -> list[Event]:
    """The events of a key that the indexers have not read yet, in order. Raises `DependencyUnavailable`."""
    events: list[Event] = []
    for record in await log.uncommitted(INDEXERS, topic, key):
        try:
            events.append(decode(record.payload))
        except UndecodableEvent:
            continue  # the indexer puts it among the dead letters
    return [event for event in events if event.partition == partition]
