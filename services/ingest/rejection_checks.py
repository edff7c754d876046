"""A rejection note is accepted if it can be carried out (IHE IOCM): every instance is stored, with that class, and not
yet rejected (or with a code that this one may follow), or may still arrive within the time; its code and its sender are
allowed. A note that revokes is accepted if the instances that it names were rejected with codes that may be revoked.
Otherwise the whole note is refused, and nothing is stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress

from gantry.common.clock import Clock
from gantry.common.dicom.model.rejection_notes import REVOKE, RejectedInstance, RejectionNote
from gantry.common.errors import DependencyUnavailable, Held, NotAuthorised, RejectionRefused
from gantry.common.events import InstanceStored
from gantry.common.ids import Receipt
from gantry.common.lifecycle import RetentionRule, SentAgain
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import DecidedReceipt, InstanceKey, Location, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.elsewhere import CommittedElsewhere
from gantry.common.runtime.following import has_followed
from gantry.common.runtime.protection import Protection
from gantry.common.runtime.rejections import RejectionAction, RejectionRules, note_in
from gantry.common.statuses import (
    DUPLICATE_REJECTION_NOTE,
    INSTANCE_ALREADY_REJECTED,
    REJECTED_INSTANCE_OF_ANOTHER_CLASS,
    REJECTED_INSTANCE_UNKNOWN,
    REJECTION_CODE_NOT_ALLOWED,
    RETENTION_NOT_OVER,
)
from gantry.common.telemetry.logs import get_logger

logger = get_logger("ingest")
_LOOK_AGAIN_SECONDS = 0.02
_PATIENCE_SECONDS = 8.0
"""Some senders of notes wait only half a minute for an answer."""
_AT_ONCE = 1000


class RejectionChecks:
    """Checks of one process, and the wait for the effect of a note."""

    def __init__(
        self,
        objects: BlobStore,
        index: ReadIndex,
        log: EventLog,
        clock: Clock,
        rules: RejectionRules,
        retention: Sequence[RetentionRule] = (),
        grace: float = 0.0,
    ) -> None:
        """`rules` define the effect of each code, `retention` what must not be deleted yet. Objects rejected for
        deletion longer ago than `grace` (seconds) may be collected at any moment; such a rejection is not revoked."""
        self._protection = Protection(log, index, clock, retention, CommittedElsewhere(objects))
        self._objects = objects
        self._index = index
        self._log = log
        self._clock = clock
        self._rules = rules
        self._policy = rules.policy
        self._grace_us = int(grace * 1e6)

    async def check(self, event: InstanceStored, *, may_reject: Container[str]) -> bool:
        """Whether the object, once published, hides something or brings it back. `may_reject` are the codes that its
        sender may use. Raises `RejectionRefused`, `NotAuthorised`, and `DependencyUnavailable` while the index cannot
        answer."""
        note = await note_in(self._objects, event, self._rules.revoking)
        if note is None:
            return False
        action = RejectionAction.HIDE if note.code == REVOKE else self._rules.actions.get(note.code)
        if action is None:
            raise RejectionRefused(REJECTION_CODE_NOT_ALLOWED, f"rejection with {note.code} is not allowed here")
        if action is RejectionAction.SHOW:
            return False
        if note.code not in may_reject:
            raise NotAuthorised(f"this peer may not reject with {note.code}")
        # What was received before the note is indexed first: modalities send both on one association.
        if not await self._followed():
            raise DependencyUnavailable("index", "it is behind: the note can be taken when it has caught up")
        await self._check_note(event)
        if note.code == REVOKE:
            await self._check_revoked(event, note)
        else:
            await self._check_instances(event, note, action)
        return True

    async def settle(self) -> None:
        """Wait, for a limited time, until the indexers have read the note and applied its effect. Never raises: after a
        failure here, the effect follows later."""
        with suppress(DependencyUnavailable):
            if await self._followed() and await self._followed():
                return
        logger.warning("a rejection is taken, and hides when the indexers follow")

    async def _check_note(self, event: InstanceStored) -> None:
        key = InstanceKey(event.study_instance_uid, event.series_instance_uid, event.sop_instance_uid)
        hidden = await self._hidden(event.partition, key.study_instance_uid, [key])
        if key in hidden or await self._index.current(event.partition, [key]):
            raise RejectionRefused(DUPLICATE_REJECTION_NOTE, "this rejection note was received before")

    async def _check_instances(self, event: InstanceStored, note: RejectionNote, action: RejectionAction) -> None:
        for study, instances in _by_study(note).items():
            for start in range(0, len(instances), _AT_ONCE):
                await self._check_some(event, note.code, study, instances[start : start + _AT_ONCE])
            try:
                # A note that only hides keeps the objects, so retention does not matter.
                await self._protection.check(event.partition, study, bytes_stay=action is not RejectionAction.DELETE)
            except Held as error:
                words = "a hold or its retention keeps a study that the note names"
                raise RejectionRefused(RETENTION_NOT_OVER, words) from error

    async def _check_some(
        self, event: InstanceStored, code: str, study: str, instances: Sequence[RejectedInstance]
    ) -> None:
        keys = {_key(study, instance): instance for instance in instances}
        known = await self._index.current(event.partition, list(keys))
        missing = [key for key in keys if key not in known]
        if missing:
            self._check_missing(code, missing, await self._hidden(event.partition, study, missing), keys)
        if any(key in known and known[key].sop_class_uid != instance.sop_class_uid for key, instance in keys.items()):
            raise RejectionRefused(REJECTED_INSTANCE_OF_ANOTHER_CLASS, "an instance is of another class than named")
        await self._check_receipts(event, code, known)

    def _check_missing(
        self,
        code: str,
        missing: Sequence[InstanceKey],
        hidden: Mapping[InstanceKey, Sequence[DecidedReceipt]],
        named: Mapping[InstanceKey, RejectedInstance],
    ) -> None:
        unknown = [key for key in missing if key not in hidden]
        if unknown and not self._policy.note_first:
            words = f"{len(unknown)} of the instances: each is not here"
            raise RejectionRefused(REJECTED_INSTANCE_UNKNOWN, words)
        final = [
            key
            for key, receipts in hidden.items()
            if not all(self._policy.may_overwrite(code, receipt.deletion_state) for receipt in receipts)
        ]
        if final:
            words = f"{len(final)} of the instances: each is rejected or deleted already"
            raise RejectionRefused(INSTANCE_ALREADY_REJECTED, words)
        for key, receipts in hidden.items():
            classes = {receipt.entry.sop_class_uid for receipt in receipts if receipt.entry is not None}
            if classes - {named[key].sop_class_uid}:
                raise RejectionRefused(REJECTED_INSTANCE_OF_ANOTHER_CLASS, "an instance is of another class than named")

    async def _check_receipts(self, event: InstanceStored, code: str, known: Mapping[InstanceKey, Location]) -> None:
        """A note rejects only older instances. Raises `DependencyUnavailable` if one arrived at the same time: it would
        silently stay, unless the policy hides it, too."""
        if self._policy.again.get(code, SentAgain.ACCEPT) is not SentAgain.ACCEPT:
            return
        begun = Receipt(event.receipt).milliseconds
        for receipts in (await self._index.receipts_of(event.partition, list(known))).values():
            younger = [receipt for receipt in receipts if Receipt(receipt.id).milliseconds > begun]
            if younger and not (self._policy.note_first and len(younger) == len(receipts)):
                raise DependencyUnavailable("index", "an instance came while the note did; send the note again")

    async def _check_revoked(self, event: InstanceStored, note: RejectionNote) -> None:
        """Require that some of the named instances are rejected, all of these with codes that may be revoked, and can
        come back."""
        now, revoked = self._clock.now_us(), 0
        for study, instances in _by_study(note).items():
            keys = [_key(study, instance) for instance in instances]
            for start in range(0, len(keys), _AT_ONCE):
                batch = keys[start : start + _AT_ONCE]
                hidden = await self._hidden(event.partition, study, batch)
                known = await self._index.current(event.partition, [key for key in batch if key not in hidden])
                if any(key not in hidden and key not in known for key in batch):
                    raise RejectionRefused(REJECTED_INSTANCE_UNKNOWN, "an instance is not here")
                deletion_states = [receipt.deletion_state for receipts in hidden.values() for receipt in receipts]
                if not all(self._policy.may_overwrite(REVOKE, deletion_state) for deletion_state in deletion_states):
                    words = "an instance is deleted, or its rejection must not be revoked by a note"
                    raise RejectionRefused(REJECTION_CODE_NOT_ALLOWED, words)
                if any(deletion_state.is_due(now, self._grace_us) for deletion_state in deletion_states):
                    raise RejectionRefused(REJECTED_INSTANCE_UNKNOWN, "the grace time of an instance is over")
                revoked += len(deletion_states)
        if not revoked:
            raise RejectionRefused(REJECTED_INSTANCE_UNKNOWN, "the note names no instance that is rejected")

    async def _hidden(
        self, partition: str, study: str, instances: Sequence[InstanceKey]
    ) -> dict[InstanceKey, list[DecidedReceipt]]:
        """The hidden receipts of instances of a study."""
        keys = set(instances)
        receipts: defaultdict[InstanceKey, list[DecidedReceipt]] = defaultdict(list)
        uids = sorted({instance.sop_instance_uid for instance in instances})
        async for page in self._index.find_decided(partition, study, uids):
            for receipt in page:
                if receipt.deletion_state.hidden and receipt.instance in keys:
                    receipts[receipt.instance].append(receipt)
        return dict(receipts)

    async def _followed(self) -> bool:
        """Wait until the indexers have read the log up to now; False if they did not in time."""
        return await has_followed(self._log, self._clock, _PATIENCE_SECONDS, look_again=_LOOK_AGAIN_SECONDS)


def _by_study(note: RejectionNote) -> dict[str, list[RejectedInstance]]:
    if not note.instances:
        raise RejectionRefused(REJECTED_INSTANCE_UNKNOWN, "the rejection note names no instance")
    by_study: defaultdict[str, list[RejectedInstance]] = defaultdict(list)
    for instance in note.instances:
        by_study[instance.study_instance_uid].append(instance)
    return dict(by_study)


def _key(study: str, instance: RejectedInstance) -> InstanceKey:
    return InstanceKey(study, instance.series_instance_uid, instance.sop_instance_uid)
