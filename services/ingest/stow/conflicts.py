"""Which objects of a request are in conflict: their UID is stored with other bytes, and they are stored beside these.

The indexers find conflicts, after the answer. A client that sends `Prefer: report-conflicts` gets them in the response
(PS3.18 10.5.3, a Warning Reason of our own): the index is asked once for all objects of the request, and so is the log
for events not indexed yet. This costs other clients nothing, and decides nothing: if conflicts cannot be determined,
none are reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import NamedTuple

from gantry.common.errors import DependencyUnavailable
from gantry.common.events import InstanceStored
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.index import InstanceKey, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.following import unfollowed_events
from gantry.common.telemetry.logs import get_logger
from gantry.services.ingest.stow.response import ANOTHER_OBJECT_OF_THIS_UID, StowOutcome

PREFERENCE = "report-conflicts"
_PATIENCE_SECONDS = 2.0
_AT_ONCE = 500
_MOST_STUDIES = 20
"""Most studies of one request that are looked up on the log, too."""
logger = get_logger("ingest")


class KnownInstance(NamedTuple):
    """A stored object. `receipt` is "" for the current one, which arrived first."""

    receipt: str
    instance: InstanceKey
    digest: str
    transfer_syntax_uid: str

    def is_same_as(self, other: KnownInstance) -> bool:
        """Whether both are the same object of the same instance."""
        return self[1:] == other[1:]


def is_preferred(preferences: Iterable[str]) -> bool:
    """Whether the fields of the header Prefer (RFC 7240) ask for it."""
    named = (part.partition(";")[0].strip().lower() for field in preferences for part in field.split(","))
    return PREFERENCE in named


def in_conflict(outcomes: Sequence[StowOutcome], known: Iterable[KnownInstance]) -> list[bool]:
    """For each outcome, whether it is stored and differs from the first object of its instance, or from the first
    instance of its UID. Pure."""
    arrived = [_known(outcome) for outcome in outcomes]
    first_of_uid: dict[str, KnownInstance] = {}
    first: dict[InstanceKey, KnownInstance] = {}
    for version in sorted((*known, *(version for version in arrived if version is not None)), key=itemgetter(0)):
        first.setdefault(version.instance, version)
        first_of_uid.setdefault(version.instance.sop_instance_uid, version)
    return [
        version is not None
        and not (
            version.is_same_as(first[version.instance])
            and first_of_uid[version.instance.sop_instance_uid].instance == version.instance
        )
        for version in arrived
    ]


def _known(outcome: StowOutcome) -> KnownInstance | None:
    if not outcome.receipt:
        return None
    key = InstanceKey(outcome.study_instance_uid, outcome.series_instance_uid, outcome.sop_instance_uid)
    return KnownInstance(outcome.receipt, key, outcome.digest, outcome.transfer_syntax_uid)


class ConflictReports:
    """The conflict reports of one process."""

    def __init__(self, index: ReadIndex, log: EventLog) -> None:
        """`index` shows each caller only what the caller may see."""
        self._index = index
        self._log = log

    async def of(self, outcomes: Sequence[StowOutcome], *, sees_all: bool) -> list[StowOutcome] | None:
        """The outcomes, those in conflict with their Warning Reason; None if conflicts cannot be determined now. A
        caller that does not see everything (`sees_all`) gets no reports from the log."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                # The log first: events that the indexers commit in between are in the index when it is asked.
                known = await self._unfollowed(outcomes) if sees_all else []
                known += await self._indexed(outcomes)
        except (DependencyUnavailable, TimeoutError) as error:
            logger.warning("conflicts cannot be looked up", error=error)
            return None
        pairs = zip(outcomes, in_conflict(outcomes, known), strict=True)
        return [
            replace(outcome, warning=ANOTHER_OBJECT_OF_THIS_UID) if conflict else outcome for outcome, conflict in pairs
        ]

    async def _indexed(self, outcomes: Sequence[StowOutcome]) -> list[KnownInstance]:
        uids = list(dict.fromkeys(outcome.sop_instance_uid for outcome in outcomes if outcome.receipt))
        versions: list[KnownInstance] = []
        for start in range(0, len(uids), _AT_ONCE):
            located = await self._index.resolve(DEFAULT_PARTITION, uids[start : start + _AT_ONCE])
            for place in (location for locations in located.values() for location in locations):
                key = InstanceKey(place.study_instance_uid, place.series_instance_uid, place.sop_instance_uid)
                versions.append(KnownInstance("", key, place.digest, place.transfer_syntax_uid))
        return versions

    async def _unfollowed(self, outcomes: Sequence[StowOutcome]) -> list[KnownInstance]:
        studies = list(dict.fromkeys(outcome.study_instance_uid for outcome in outcomes if outcome.receipt))
        uids = {outcome.sop_instance_uid for outcome in outcomes if outcome.receipt}
        versions: list[KnownInstance] = []
        for study in studies[:_MOST_STUDIES]:
            for event in await unfollowed_events(self._log, DEFAULT_PARTITION, study):
                if isinstance(event, InstanceStored) and event.sop_instance_uid in uids:
                    key = InstanceKey(event.study_instance_uid, event.series_instance_uid, event.sop_instance_uid)
                    versions.append(KnownInstance(event.receipt, key, event.digest, event.transfer_syntax_uid))
        return versions
