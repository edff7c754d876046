"""The effect of a rejection note: the receipts that existed when it arrived are hidden, by an event
(`InstancesDeleted`).

The deletion is named by the note's receipt, and covers only receipts that are not younger: the same note read again,
after a crash or in a rebuild, publishes the same deletion, and objects sent again since remain. An instance that is
rejected already is rejected anew if the policy lets this code follow, and the earlier rejection is withdrawn; a note
that revokes only withdraws. Nothing younger than the note is ever withdrawn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from gantry.common.clock import Clock
from gantry.common.dicom.model.rejection_notes import REVOKE, RejectionNote
from gantry.common.events import InstancesDeleted, InstancesRestored, InstanceStored, ReceiptReference
from gantry.common.ids import Receipt
from gantry.common.lifecycle import is_waiting, waiting_receipt
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import FatedReceipt, InstanceKey, KnownReceipt, SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.protection import is_held
from gantry.common.runtime.rejections import RejectionAction, RejectionRules, note_in
from gantry.common.telemetry.logs import get_logger

_AT_ONCE = 2000
"""Receipts that one event names."""
_ASKED = 1000
"""Instances of one query."""
logger = get_logger("indexer")


@dataclass(slots=True)
class _Study:
    """The effect of a note on one study: receipts that it rejects, and rejections that it withdraws, with their
    receipts."""

    rejected: list[ReceiptReference] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    withdrawn: list[ReceiptReference] = field(default_factory=list)

    def withdraw(self, fated: FatedReceipt) -> None:
        self.names |= {one.id for one in fated.fate.standing}
        self.withdrawn.append(_reference(fated.instance, fated.receipt))


class Rejections:
    """Carries out the notes among the indexed objects."""

    def __init__(
        self, objects: BlobStore, log: EventLog, index: SearchIndex, clock: Clock, rules: RejectionRules
    ) -> None:
        self._objects = objects
        self._log = log
        self._index = index
        self._clock = clock
        self._rules = rules
        self._policy = rules.policy

    async def __call__(self, events: Sequence[InstanceStored]) -> None:
        """Publish what the notes among the events hide and bring back. Raises `DependencyUnavailable`."""
        for event in events:
            note = await note_in(self._objects, event, self._rules.revoking)
            action = RejectionAction.HIDE if note is not None and note.code == REVOKE else None
            if note is not None and action is None:
                action = self._rules.actions.get(note.code)
            if note is not None and action not in (None, RejectionAction.SHOW):
                await self._follow(event, note, action)

    async def _follow(self, event: InstanceStored, note: RejectionNote, action: RejectionAction | None) -> None:
        by_study: defaultdict[str, list[InstanceKey]] = defaultdict(list)
        for one in note.instances:
            key = InstanceKey(one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid)
            by_study[key.study_instance_uid].append(key)
        done: dict[str, _Study] = {}
        for study, instances in by_study.items():
            done[study] = _Study()
            for start in range(0, len(instances), _ASKED):
                await self._decide(event, note, instances[start : start + _ASKED], done[study])
        if action is not RejectionAction.NOTE and any(one.rejected or one.withdrawn for one in done.values()):
            own = ReceiptReference(event.series_instance_uid, event.sop_instance_uid, event.receipt)
            done.setdefault(event.study_instance_uid, _Study()).rejected.append(own)
        for study, change in done.items():
            if note.code != REVOKE and await is_held(self._index, event.partition, study):
                logger.warning("not rejected: a hold stands", study_instance_uid=study, trace=event.trace)
            else:
                await self._publish(event, note, study, change, kept=action is not RejectionAction.DELETE)

    async def _decide(
        self, event: InstanceStored, note: RejectionNote, instances: Sequence[InstanceKey], study: _Study
    ) -> None:
        there = {} if note.code == REVOKE else await self._index.receipts_of(event.partition, instances)
        older = {key: _older(event, receipts) for key, receipts in there.items()}
        study.rejected += [_reference(key, receipt) for key, receipts in older.items() for receipt in receipts]
        left = [key for key in instances if not older.get(key)]
        fated = await self._hidden(event.partition, left) if left else {}
        for key in left:
            hidden = fated.get(key, [])
            if note.code == REVOKE:
                self._revoke(event, hidden, study)
            elif hidden:
                self._overwrite(event, note, hidden, study)
            elif self._policy.note_first:
                waiting = waiting_receipt(event.receipt, key.series_instance_uid, key.sop_instance_uid)
                study.rejected.append(_reference(key, waiting))

    def _revoke(self, event: InstanceStored, hidden: Sequence[FatedReceipt], study: _Study) -> None:
        for one in hidden:
            if self._policy.may_overwrite(REVOKE, one.fate) and _is_older(event, one):
                study.withdraw(one)

    def _overwrite(
        self, event: InstanceStored, note: RejectionNote, hidden: Sequence[FatedReceipt], study: _Study
    ) -> None:
        if not all(self._policy.may_overwrite(note.code, one.fate) and _is_older(event, one) for one in hidden):
            return
        for one in hidden:
            study.withdraw(one)
            at = one.instance.series_instance_uid, one.instance.sop_instance_uid
            waits = any(is_waiting(one.receipt, deletion, *at) for deletion in one.fate.standing)
            # If an earlier note waits for this instance, so does this one.
            receipt = waiting_receipt(event.receipt, *at) if waits else one.receipt
            study.rejected.append(_reference(one.instance, receipt))

    async def _hidden(self, partition: str, instances: Sequence[InstanceKey]) -> dict[InstanceKey, list[FatedReceipt]]:
        """The hidden receipts of instances of one study."""
        asked = set(instances)
        found: defaultdict[InstanceKey, list[FatedReceipt]] = defaultdict(list)
        uids = sorted({one.sop_instance_uid for one in instances})
        async for page in self._index.fated(partition, instances[0].study_instance_uid, uids):
            for one in page:
                if one.instance in asked and one.fate.hidden:
                    found[one.instance].append(one)
        return found

    async def _publish(
        self, event: InstanceStored, note: RejectionNote, study: str, one: _Study, *, kept: bool
    ) -> None:
        reason, now = f"{note.code} {note.meaning}, note {event.sop_instance_uid}", self._clock.now_us()
        at, by = (event.partition, event.trace, study), event.calling_ae_title
        # Rejected anew before the earlier rejection is withdrawn: nothing shows up in between.
        for start in range(0, len(one.rejected), _AT_ONCE):
            some = tuple(one.rejected[start : start + _AT_ONCE])
            await self._log.append(
                InstancesDeleted(*at, event.receipt, some, reason, by, now, final=False, kept=kept, code=note.code)
            )
        names = tuple(sorted(one.names))
        for start in range(0, len(one.withdrawn), _AT_ONCE):
            some = tuple(one.withdrawn[start : start + _AT_ONCE])
            await self._log.append(InstancesRestored(*at, names, some, reason, by, now))
        if one.rejected or one.withdrawn:
            logger.info(
                "rejection revoked" if note.code == REVOKE else "instances rejected",
                study_instance_uid=study,
                code=note.code,
                receipts=len(one.withdrawn if note.code == REVOKE else one.rejected),
                calling=event.calling_ae_title,
                trace=event.trace,
            )


def _older(event: InstanceStored, receipts: Sequence[KnownReceipt]) -> list[str]:
    # Within a millisecond receipts have no order; an image and its note may come so close to each other.
    begun = Receipt(event.receipt).milliseconds
    return [one.receipt for one in receipts if Receipt(one.receipt).milliseconds <= begun]


def _is_older(event: InstanceStored, fated: FatedReceipt) -> bool:
    """Whether all decisions in force on a receipt are older than the note: names of deletions begin with their time."""
    begun = Receipt(event.receipt).milliseconds
    return all(one.id != event.receipt and Receipt(one.id).milliseconds <= begun for one in fated.fate.standing)


def _reference(instance: InstanceKey, receipt: str) -> ReceiptReference:
    return ReceiptReference(instance.series_instance_uid, instance.sop_instance_uid, receipt)
