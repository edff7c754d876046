"""Objects sent again after they were rejected or deleted are refused if the policy says so (A771H).

Each object is checked once, against the index and the events not indexed yet. The check is not final: if it cannot be
made, or a note arrives at the same moment, the object is accepted, and the indexer hides it. So neither an unavailable
store nor an index that is behind stops a modality.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from prometheus_client import Counter

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable, RejectionRefused
from gantry.common.events import InstanceStored
from gantry.common.lifecycle import ALIVE, DeletionState, RejectionPolicy, SentAgain, StudyState, repeats
from gantry.common.ports.index import InstanceKey, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.following import unfollowed
from gantry.common.statuses import SUBSEQUENT_OCCURRENCE_OF_REJECTED_INSTANCE
from gantry.common.telemetry.logs import get_logger

_PATIENCE_SECONDS = 2.0
_FRESH_SECONDS = 1.0
"""Seconds for which a log lookup of a study is reused: a series is sent one object after the other."""
_AWAY_SECONDS = 10.0
"""Seconds before stores that did not answer are asked again."""
_MOST_STUDIES = 256
logger = get_logger("ingest")


class SubsequentChecks:
    """Checks of one process."""

    def __init__(
        self, index: ReadIndex, log: EventLog, clock: Clock, policy: RejectionPolicy, occurrences: Counter
    ) -> None:
        """`occurrences` counts by outcome."""
        self._index = index
        self._log = log
        self._clock = clock
        self._policy = policy
        self._refused = occurrences.labels("refused")
        self._recent: OrderedDict[tuple[str, str], tuple[float, StudyState]] = OrderedDict()
        self._away_until = 0.0

    async def check(self, event: InstanceStored) -> None:
        """Raises `RejectionRefused` for an object that is sent again and not wanted; nothing else."""
        if not self._policy.refuses or self._clock.monotonic() < self._away_until:
            return
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                refused = await self._is_refused(event)
        except (DependencyUnavailable, TimeoutError) as error:
            # The object is accepted, and hidden by the indexer if it must be.
            logger.warning("earlier rejections cannot be looked up", error=error)
            self._away_until = self._clock.monotonic() + _AWAY_SECONDS
            return
        if refused:
            self._refused.inc()
            words = "the instance was rejected or deleted before, and is not taken again"
            raise RejectionRefused(SUBSEQUENT_OCCURRENCE_OF_REJECTED_INSTANCE, words)

    async def _is_refused(self, event: InstanceStored) -> bool:
        key = InstanceKey(event.study_instance_uid, event.series_instance_uid, event.sop_instance_uid)
        at = key.series_instance_uid, key.sop_instance_uid
        # The log first: events that the indexers commit in between are in the index when it is asked.
        recent = await self._unfollowed(event.partition, key.study_instance_uid)
        deletion_states: dict[str, DeletionState] = {}
        async for page in self._index.find_decided(event.partition, key.study_instance_uid, (key.sop_instance_uid,)):
            deletion_states |= {receipt.id: receipt.deletion_state for receipt in page if receipt.instance == key}
        stored = set()
        for receipt, state in recent.receipts.items():
            if state.instance == at:
                deletion_states[receipt] = deletion_states.get(receipt, ALIVE) | state.deletion_state
                stored |= {receipt} if state.stored is not None else set()
        decision = repeats(*at, deletion_states, self._policy)
        if decision is None or decision[0] is not SentAgain.REFUSE:
            return False
        stored |= {receipt.id for receipt in await self._index.receipts(event.partition, key)}
        return all(deletion_states.get(receipt, ALIVE).hidden for receipt in stored)

    async def _unfollowed(self, partition: str, study: str) -> StudyState:
        now = self._clock.monotonic()
        known = self._recent.get((partition, study))
        if known is not None and now < known[0] + _FRESH_SECONDS:
            return known[1]
        state = await unfollowed(self._log, partition, study)
        self._recent[partition, study] = now, state
        self._recent.move_to_end((partition, study))
        if len(self._recent) > _MOST_STUDIES:
            self._recent.popitem(last=False)
        return state
