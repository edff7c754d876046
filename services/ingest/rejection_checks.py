"""A rejection note is taken if it says what can be done (IHE IOCM): every instance is there, of that class, and not
rejected yet; its code is allowed, and so is its sender. Otherwise it is refused whole, and nothing is stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress

from gantry.common.clock import Clock
from gantry.common.dicom.model.rejection_notes import RejectedInstance, RejectionNote
from gantry.common.errors import DependencyUnavailable, Held, NotAuthorised, RefusedDataSet
from gantry.common.events import InstanceStored
from gantry.common.ids import Receipt
from gantry.common.lifecycle import ALIVE, Fate, RetentionRule
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import InstanceKey, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.following import has_followed
from gantry.common.runtime.protection import Protection
from gantry.common.runtime.rejections import RejectionAction, note_in
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
"""Senders of notes wait half a minute for an answer, some of them."""
_AT_ONCE = 1000


class RejectionRefused(RefusedDataSet):
    """Why a rejection note is refused; `dicom_status` is one of A770H to A776H."""

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(comment)
        self.dicom_status = status


class RejectionChecks:
    """Checks of one process, and the wait for what a note does."""

    def __init__(
        self,
        objects: BlobStore,
        index: ReadIndex,
        log: EventLog,
        clock: Clock,
        rules: Mapping[str, RejectionAction],
        retention: Sequence[RetentionRule] = (),
    ) -> None:
        """`rules` say what a code does, `retention` what must not be deleted yet."""
        self._protection = Protection(log, index, clock, retention)
        self._objects = objects
        self._index = index
        self._log = log
        self._clock = clock
        self._rules = rules

    async def check(self, event: InstanceStored, *, may_reject: bool) -> bool:
        """Whether the object hides something when it is published. Raises `RejectionRefused`, `NotAuthorised`, and
        `DependencyUnavailable` while the index cannot tell."""
        note = await note_in(self._objects, event)
        if note is None:
            return False
        action = self._rules.get(note.code)
        if action is None:
            raise RejectionRefused(REJECTION_CODE_NOT_ALLOWED, f"rejection with {note.code} is not allowed here")
        if action is RejectionAction.SHOW:
            return False
        if not may_reject:
            raise NotAuthorised("this peer may not reject")
        # What was received before the note is indexed first: modalities send both on one association.
        if not await self._followed():
            raise DependencyUnavailable("index", "it is behind: the note can be taken when it has caught up")
        await self._check_note(event)
        await self._check_instances(event, note, action)
        return True

    async def settle(self) -> None:
        """Wait until the indexers have read the note and followed what it does; not for ever, and never in vain: what
        fails here is done later."""
        with suppress(DependencyUnavailable):
            if await self._followed() and await self._followed():
                return
        logger.warning("a rejection is taken, and hides when the indexers follow")

    async def _check_note(self, event: InstanceStored) -> None:
        key = InstanceKey(event.study_instance_uid, event.series_instance_uid, event.sop_instance_uid)
        fates = await self._fates(event.partition, event.study_instance_uid)
        if key in fates or await self._index.current(event.partition, [key]):
            raise RejectionRefused(DUPLICATE_REJECTION_NOTE, "this rejection note was received before")

    async def _check_instances(self, event: InstanceStored, note: RejectionNote, action: RejectionAction) -> None:
        if not note.instances:
            raise RejectionRefused(REJECTED_INSTANCE_UNKNOWN, "the rejection note names no instance")
        by_study: defaultdict[str, list[RejectedInstance]] = defaultdict(list)
        for one in note.instances:
            by_study[one.study_instance_uid].append(one)
        for study, instances in by_study.items():
            for start in range(0, len(instances), _AT_ONCE):
                await self._check_some(event, study, instances[start : start + _AT_ONCE])
            try:
                # What only hides keeps its objects: that is no matter of retention.
                await self._protection.check(event.partition, study, bytes_stay=action is not RejectionAction.DELETE)
            except Held as error:
                words = "a hold or its retention keeps a study that the note names"
                raise RejectionRefused(RETENTION_NOT_OVER, words) from error

    async def _check_some(self, event: InstanceStored, study: str, instances: Sequence[RejectedInstance]) -> None:
        partition = event.partition
        keys = {InstanceKey(study, one.series_instance_uid, one.sop_instance_uid): one for one in instances}
        known = await self._index.current(partition, list(keys))
        missing = [key for key in keys if key not in known]
        if missing:
            fates = await self._fates(partition, study)
            status, words = (
                (INSTANCE_ALREADY_REJECTED, "is rejected or deleted already")
                if all(fates.get(key, ALIVE).hidden for key in missing)
                else (REJECTED_INSTANCE_UNKNOWN, "is not here")
            )
            raise RejectionRefused(status, f"{len(missing)} of the instances: each {words}")
        if any(known[key].sop_class_uid != one.sop_class_uid for key, one in keys.items()):
            raise RejectionRefused(REJECTED_INSTANCE_OF_ANOTHER_CLASS, "an instance is of another class than named")
        # What a note rejects is older than the note. One that came while the note did would stay, and nobody be told.
        receipts = await self._index.receipts_of(partition, list(keys))
        begun = Receipt(event.receipt).milliseconds
        if any(Receipt(one.receipt).milliseconds > begun for some in receipts.values() for one in some):
            raise DependencyUnavailable("index", "an instance came while the note did; send the note again")

    async def _fates(self, partition: str, study: str) -> dict[InstanceKey, Fate]:
        return {
            one.instance: one.fate
            async for page in self._index.fated(partition, study)
            for one in page
            if one.fate.hidden
        }

    async def _followed(self) -> bool:
        """Wait until the indexers have passed what is on the log now; False if they did not in time."""
        return await has_followed(self._log, self._clock, _PATIENCE_SECONDS, look_again=_LOOK_AGAIN_SECONDS)
