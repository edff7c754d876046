"""Objects that arrive after they were rejected or deleted, or after a note that waits for them: hidden as the policy
says.

This runs before objects become searchable, so that rejected ones do not show up even for a moment. A decision is
published first, and then applied to the index: after a crash in between, reading the batch again has the same result.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gantry.common.clock import Clock
from gantry.common.dicom.model.rejection_notes import MEANINGS
from gantry.common.events import InstancesDeleted, InstanceStored, ReceiptReference
from gantry.common.lifecycle import ALIVE, Deletion, DeletionState, RejectionPolicy, subsequent
from gantry.common.ports.index import InstanceKey, SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.decisions import decisions_of
from gantry.common.runtime.protection import is_held
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics

_AT_ONCE = 1000
"""Instances of one query."""
BY = "gantry"
logger = get_logger("indexer")


@dataclass(slots=True)
class _Study:
    """The events of a batch about the instances of one study."""

    arrived: defaultdict[InstanceKey, set[str]] = field(default_factory=lambda: defaultdict(set))
    rejected: set[InstanceKey] = field(default_factory=set)
    trace: str = ""

    @property
    def instances(self) -> list[InstanceKey]:
        return list(dict.fromkeys([*self.arrived, *self.rejected]))


class Subsequent:
    """Runs for each batch of the indexer."""

    def __init__(
        self, log: EventLog, index: SearchIndex, clock: Clock, metrics: Metrics, policy: RejectionPolicy
    ) -> None:
        self._log = log
        self._index = index
        self._clock = clock
        self._metrics = metrics
        self._policy = policy

    async def __call__(self, stored: Iterable[InstanceStored], deleted: Iterable[InstancesDeleted]) -> None:
        """Hide what must be hidden, among new receipts and newly rejected instances. The index already knows the
        deletions of this batch, but not its new receipts. Raises `DependencyUnavailable`."""
        if not self._policy.follows:
            return
        for (partition, study), changes in _by_study(stored, deleted).items():
            instances = changes.instances
            for start in range(0, len(instances), _AT_ONCE):
                await self._follow(partition, study, instances[start : start + _AT_ONCE], changes)

    async def _follow(self, partition: str, study: str, instances: Sequence[InstanceKey], changes: _Study) -> None:
        decided = await self._deletion_states(partition, study, instances)
        receipts = await self._index.receipts_of(partition, list(decided)) if decided else {}
        by_deletion: defaultdict[Deletion, list[ReceiptReference]] = defaultdict(list)
        for key, deletion_states in decided.items():
            arrived = {
                receipt for receipt in changes.arrived.get(key, ()) if not deletion_states.get(receipt, ALIVE).hidden
            }
            at = key.series_instance_uid, key.sop_instance_uid
            known = {receipt.id for receipt in receipts.get(key, ())} | arrived
            falls = subsequent(
                *at, known, deletion_states, self._policy, arrived=arrived, rejected=key in changes.rejected
            )
            for receipt, deletion in falls.items():
                by_deletion[deletion].append(ReceiptReference(*at, receipt))
        if by_deletion and await is_held(self._index, partition, study):
            logger.warning("not rejected: a hold stands", study_instance_uid=study, trace=changes.trace)
            return
        events = [
            self._event(partition, study, deletion, references, changes.trace)
            for deletion, references in by_deletion.items()
        ]
        if not events:
            return
        await self._log.append(*events)
        await self._index.decide(decisions_of(events))
        for event in events:
            self._metrics.subsequent_occurrences.labels("hidden").inc(len(event.receipts))
            logger.warning(
                "rejected or deleted instances were received again, or their note came first: they are hidden",
                study_instance_uid=study,
                code=event.code,
                receipts=len(event.receipts),
                trace=event.trace,
            )

    async def _deletion_states(
        self, partition: str, study: str, instances: Sequence[InstanceKey]
    ) -> dict[InstanceKey, Mapping[str, DeletionState]]:
        """The decisions about receipts of instances, for those that have any."""
        keys = set(instances)
        deletion_states: defaultdict[InstanceKey, dict[str, DeletionState]] = defaultdict(dict)
        uids = sorted({instance.sop_instance_uid for instance in instances})
        async for page in self._index.find_decided(partition, study, uids):
            for receipt in page:
                if receipt.instance in keys:
                    deletion_states[receipt.instance][receipt.id] = receipt.deletion_state
        return dict(deletion_states)

    def _event(
        self, partition: str, study: str, deletion: Deletion, receipts: Sequence[ReceiptReference], trace: str
    ) -> InstancesDeleted:
        code = deletion.code
        words = f"{code} {MEANINGS[code]}" if code in MEANINGS else "deleted before"
        is_kept = deletion.kept if not code else code in self._policy.stays
        now = self._clock.now_us()
        at = partition, trace, study, deletion.id
        return InstancesDeleted(*at, tuple(receipts), f"{words}, and came after that", BY, now, kept=is_kept, code=code)


def _by_study(stored: Iterable[InstanceStored], deleted: Iterable[InstancesDeleted]) -> dict[tuple[str, str], _Study]:
    studies: defaultdict[tuple[str, str], _Study] = defaultdict(_Study)
    for event in stored:
        changes = studies[event.partition, event.study_instance_uid]
        key = InstanceKey(event.study_instance_uid, event.series_instance_uid, event.sop_instance_uid)
        changes.arrived[key].add(event.receipt)
        changes.trace = changes.trace or event.trace
    for deletion in deleted:
        if deletion.code in MEANINGS:
            changes = studies[deletion.partition, deletion.study_instance_uid]
            changes.rejected |= {
                InstanceKey(deletion.study_instance_uid, reference.series_instance_uid, reference.sop_instance_uid)
                for reference in deletion.receipts
            }
            changes.trace = changes.trace or deletion.trace
    return dict(studies)
