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
from gantry.common.ports.index import DecidedReceipt, InstanceKey, KnownReceipt, SearchIndex
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

    def withdraw(self, decided: DecidedReceipt) -> None:
        self.names |= {deletion.id for deletion in decided.deletion_state.standing}
        self.withdrawn.append(_reference(decided.instance, decided.id))


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
        for instance in note.instances:
            key = InstanceKey(instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid)
            by_study[key.study_instance_uid].append(key)
        done: dict[str, _Study] = {}
        for study, instances in by_study.items():
            done[study] = _Study()
            for start in range(0, len(instances), _ASKED):
                await self._decide(event, note, instances[start : start + _ASKED], done[study])
        if action is not RejectionAction.NOTE and any(study.rejected or study.withdrawn for study in done.values()):
            own = ReceiptReference(event.series_instance_uid, event.sop_instance_uid, event.receipt)
            done.setdefault(event.study_instance_uid, _Study()).rejected.append(own)
        for study, change in done.items():
            if note.code != REVOKE and await is_held(self._index, event.partition, study):
                logger.warning("not rejected: a hold stands", study_instance_uid=study, trace=event.trace)
            else:
                await self._publish(event, note, study, change, is_kept=action is not RejectionAction.DELETE)

    async def _decide(
        self, event: InstanceStored, note: RejectionNote, instances: Sequence[InstanceKey], study: _Study
    ) -> None:
        by_instance = {} if note.code == REVOKE else await self._index.receipts_of(event.partition, instances)
        older = {key: _older(event, receipts) for key, receipts in by_instance.items()}
        study.rejected += [_reference(key, receipt) for key, receipts in older.items() for receipt in receipts]
        left = [key for key in instances if not older.get(key)]
        decided = await self._hidden(event.partition, left) if left else {}
        for key in left:
            hidden = decided.get(key, [])
            if note.code == REVOKE:
                self._revoke(event, hidden, study)
            elif hidden:
                self._overwrite(event, note, hidden, study)
            elif self._policy.note_first:
                waiting = waiting_receipt(event.receipt, key.series_instance_uid, key.sop_instance_uid)
                study.rejected.append(_reference(key, waiting))

    def _revoke(self, event: InstanceStored, hidden: Sequence[DecidedReceipt], study: _Study) -> None:
        for receipt in hidden:
            if self._policy.may_overwrite(REVOKE, receipt.deletion_state) and _is_older(event, receipt):
                study.withdraw(receipt)

    def _overwrite(
        self, event: InstanceStored, note: RejectionNote, hidden: Sequence[DecidedReceipt], study: _Study
    ) -> None:
        if not all(
            self._policy.may_overwrite(note.code, receipt.deletion_state) and _is_older(event, receipt)
            for receipt in hidden
        ):
            return
        for decided in hidden:
            study.withdraw(decided)
            at = decided.instance.series_instance_uid, decided.instance.sop_instance_uid
            waits = any(is_waiting(decided.id, deletion, *at) for deletion in decided.deletion_state.standing)
            # If an earlier note waits for this instance, so does this one.
            receipt = waiting_receipt(event.receipt, *at) if waits else decided.id
            study.rejected.append(_reference(decided.instance, receipt))

    async def _hidden(
        self, partition: str, instances: Sequence[InstanceKey]
    ) -> dict[InstanceKey, list[DecidedReceipt]]:
        """The hidden receipts of instances of one study."""
        keys = set(instances)
        receipts: defaultdict[InstanceKey, list[DecidedReceipt]] = defaultdict(list)
        uids = sorted({instance.sop_instance_uid for instance in instances})
        async for page in self._index.find_decided(partition, instances[0].study_instance_uid, uids):
            for receipt in page:
                if receipt.instance in keys and receipt.deletion_state.hidden:
                    receipts[receipt.instance].append(receipt)
        return receipts

    async def _publish(
        self, event: InstanceStored, note: RejectionNote, study: str, outcome: _Study, *, is_kept: bool
    ) -> None:
        reason, now = f"{note.code} {note.meaning}, note {event.sop_instance_uid}", self._clock.now_us()
        at, by = (event.partition, event.trace, study), event.calling_ae_title
        # Rejected anew before the earlier rejection is withdrawn: nothing shows up in between.
        for start in range(0, len(outcome.rejected), _AT_ONCE):
            batch = tuple(outcome.rejected[start : start + _AT_ONCE])
            await self._log.append(
                InstancesDeleted(*at, event.receipt, batch, reason, by, now, final=False, kept=is_kept, code=note.code)
            )
        names = tuple(sorted(outcome.names))
        for start in range(0, len(outcome.withdrawn), _AT_ONCE):
            batch = tuple(outcome.withdrawn[start : start + _AT_ONCE])
            await self._log.append(InstancesRestored(*at, names, batch, reason, by, now))
        if outcome.rejected or outcome.withdrawn:
            logger.info(
                "rejection revoked" if note.code == REVOKE else "instances rejected",
                study_instance_uid=study,
                code=note.code,
                receipts=len(outcome.withdrawn if note.code == REVOKE else outcome.rejected),
                calling=event.calling_ae_title,
                trace=event.trace,
            )


def _older(event: InstanceStored, receipts: Sequence[KnownReceipt]) -> list[str]:
    # Within a millisecond receipts have no order; an image and its note may come so close to each other.
    begun = Receipt(event.receipt).milliseconds
    return [receipt.id for receipt in receipts if Receipt(receipt.id).milliseconds <= begun]


def _is_older(event: InstanceStored, decided: DecidedReceipt) -> bool:
    """Whether all decisions in force on a receipt are older than the note: names of deletions begin with their time."""
    begun = Receipt(event.receipt).milliseconds
    return all(
        deletion.id != event.receipt and Receipt(deletion.id).milliseconds <= begun
        for deletion in decided.deletion_state.standing
    )


def _reference(instance: InstanceKey, receipt: str) -> ReceiptReference:
    return ReceiptReference(instance.series_instance_uid, instance.sop_instance_uid, receipt)
