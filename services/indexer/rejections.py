"""What a rejection note does: the receipts there were when it came are hidden, by an event (`InstancesDeleted`).

The deletion has the name of the note's receipt, and names only receipts that are not younger: the same note read again,
after a crash or in a rebuild, publishes the same deletion, and what was sent again since stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from gantry.common.clock import Clock
from gantry.common.dicom.model.rejection_notes import RejectionNote
from gantry.common.events import InstancesDeleted, InstanceStored, ReceiptReference
from gantry.common.ids import Receipt
from gantry.common.lifecycle import holder_of
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import InstanceKey, SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.rejections import RejectionAction, note_in
from gantry.common.runtime.study_facts import known_study
from gantry.common.telemetry.logs import get_logger

_AT_ONCE = 2000
"""Receipts that one event names."""
logger = get_logger("indexer")


class Rejections:
    """Follows the notes among the objects that were indexed."""

    def __init__(
        self,
        objects: BlobStore,
        log: EventLog,
        index: SearchIndex,
        clock: Clock,
        rules: Mapping[str, RejectionAction],
    ) -> None:
        self._objects = objects
        self._log = log
        self._index = index
        self._clock = clock
        self._rules = rules

    async def __call__(self, events: Sequence[InstanceStored]) -> None:
        """Publish what the notes among the events hide. Raises `DependencyUnavailable`."""
        for event in events:
            note = await note_in(self._objects, event)
            action = self._rules.get(note.code) if note is not None else None
            if note is not None and action not in (None, RejectionAction.SHOW):
                await self._reject(event, note, action)

    async def _reject(self, event: InstanceStored, note: RejectionNote, action: RejectionAction | None) -> None:
        by_study: defaultdict[str, list[ReceiptReference]] = defaultdict(list)
        for one in note.instances:
            key = InstanceKey(one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid)
            by_study[key.study_instance_uid] += await self._older(event, key)
        hidden = sum(map(len, by_study.values()))
        if hidden and action is not RejectionAction.NOTE:
            own = ReceiptReference(event.series_instance_uid, event.sop_instance_uid, event.receipt)
            by_study[event.study_instance_uid].append(own)
        for study, receipts in by_study.items():
            if await self._is_held(event.partition, study):
                logger.warning("not rejected: a hold stands", study_instance_uid=study, trace=event.trace)
            else:
                await self._publish(event, note, study, receipts, kept=action is not RejectionAction.DELETE)

    async def _is_held(self, partition: str, study: str) -> bool:
        known = await known_study(self._index, partition, study)
        patients = [] if known is None else await known.patients(self._index)
        keys = [study, *map(holder_of, patients)]
        return any([await self._index.holds(partition, key) for key in keys])

    async def _older(self, event: InstanceStored, key: InstanceKey) -> list[ReceiptReference]:
        receipts = await self._index.receipts(event.partition, key)
        # Within a millisecond receipts have no order; an image and its note may come so close to each other.
        begun = Receipt(event.receipt).milliseconds
        return [
            ReceiptReference(key.series_instance_uid, key.sop_instance_uid, one.receipt)
            for one in receipts
            if Receipt(one.receipt).milliseconds <= begun
        ]

    async def _publish(
        self, event: InstanceStored, note: RejectionNote, study: str, receipts: list[ReceiptReference], *, kept: bool
    ) -> None:
        reason, now = f"{note.code} {note.meaning}, note {event.sop_instance_uid}", self._clock.now_us()
        at = event.partition, event.trace, study, event.receipt
        for start in range(0, len(receipts), _AT_ONCE):
            some = tuple(receipts[start : start + _AT_ONCE])
            await self._log.append(
                InstancesDeleted(*at, some, reason, event.calling_ae_title, now, final=False, kept=kept)
            )
        if receipts:
            logger.info(
                "instances rejected",
                study_instance_uid=study,
                code=note.code,
                receipts=len(receipts),
                calling=event.calling_ae_title,
                trace=event.trace,
            )
