"""Deletions, restorations and holds: the events that they append, and what prevents them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace

from gantry.common.amounts import counted
from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.common.errors import Conflicting, NotFound
from gantry.common.events import (
    INDEXERS,
    TOPICS,
    Event,
    HoldPlaced,
    HoldReleased,
    InstancesDeleted,
    InstancesRestored,
    PatientHoldPlaced,
    PatientHoldReleased,
    ReceiptReference,
)
from gantry.common.ids import DEFAULT_PARTITION, Receipt
from gantry.common.lifecycle import ALIVE, RetentionRule, StudyState, held_patient, holder_of, patient_of
from gantry.common.ports.index import DecidedReceipt, InstanceKey, Location, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.elsewhere import CommittedElsewhere
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.runtime.following import has_followed, unfollowed
from gantry.common.runtime.losses import instance_of
from gantry.common.runtime.protection import Protection
from gantry.common.telemetry.logs import get_logger
from gantry.services.requester import Requester

_INSTANCES = TOPICS[InstancesDeleted].name
_AT_ONCE = 2000
"""Most receipts of one event; a larger deletion is several events with one name."""
logger = get_logger("lifecycle")


@dataclass(frozen=True, slots=True)
class DeletionTarget:
    """A study, a series of it, or an instance of that."""

    study: str
    series: str = ""
    instance: str = ""

    def covers(self, series: str, instance: str) -> bool:
        """Whether it includes an instance of the study."""
        return self.series in ("", series) and self.instance in ("", instance)

    @property
    def query(self) -> Query:
        """The query for it in the index."""
        uids = {STUDY_INSTANCE_UID: self.study, SERIES_INSTANCE_UID: self.series, SOP_INSTANCE_UID: self.instance}
        level = Level.IMAGE if self.instance else Level.SERIES if self.series else Level.STUDY
        return Query(DEFAULT_PARTITION, level, {tag: Single((uid,)) for tag, uid in uids.items() if uid})


@dataclass(frozen=True, slots=True)
class Done:
    """How many receipts were named, and whether the indexers have followed yet."""

    receipts: int
    settled: bool


class Deletions:
    """For one process; `grace` and `patience` are in seconds."""

    def __init__(
        self,
        log: EventLog,
        index: ReadIndex,
        clock: Clock,
        grace: float,
        patience: float = 10.0,
        rules: Sequence[RetentionRule] = (),
        elsewhere: CommittedElsewhere | None = None,
    ) -> None:
        """Objects deleted longer ago than `grace` may be collected at any moment, and are not restored. `patience` is
        how long to wait for indexers. Studies that `rules` retain are not deleted; if these wait for other archives,
        `elsewhere` knows what those have committed."""
        self._protection = Protection(log, index, clock, rules, elsewhere)
        self._log = log
        self._index = index
        self._clock = clock
        self._grace_us = int(grace * 1e6)
        self._patience = patience

    async def delete(
        self, target: DeletionTarget, requester: Requester, *, final: bool = False, settle: bool = True
    ) -> Done:
        """Delete everything present; with `final` also what was deleted before, and for good. Without `settle` it does
        not wait for the indexers. Raises `NotFound` if there is nothing, `Held` under a hold or while a rule retains
        the study, `DependencyUnavailable`."""
        recent = await unfollowed(self._log, DEFAULT_PARTITION, target.study)
        await self._protection.check(DEFAULT_PARTITION, target.study, recent)
        receipts = await self._present_receipts(target, recent)
        if final:
            receipts |= {reference.receipt: reference for reference in await self._hidden(target)}
        if not receipts:
            raise NotFound("nothing of that is there")
        name, now = Receipt.at(self._clock.now_us()).id, self._clock.now_us()
        at = DEFAULT_PARTITION, requester.trace, target.study
        events = [
            InstancesDeleted(*at, name, batch, requester.reason, requester.by, now, final)
            for batch in _slices(list(receipts.values()))
        ]
        return await self._append(events, settle=settle)

    async def delete_receipts(
        self,
        study: str,
        receipts: Sequence[ReceiptReference],
        requester: Requester,
        *,
        settle: bool = True,
        bytes_stay: bool = False,
    ) -> Done:
        """Delete some receipts of a study, and leave the others. With `bytes_stay`, other receipts of the same bytes
        remain, so that retention does not matter. Raises `Held` and `DependencyUnavailable`."""
        recent = await unfollowed(self._log, DEFAULT_PARTITION, study)
        await self._protection.check(DEFAULT_PARTITION, study, recent, bytes_stay=bytes_stay)
        name, now = Receipt.at(self._clock.now_us()).id, self._clock.now_us()
        events = [
            InstancesDeleted(
                DEFAULT_PARTITION, requester.trace, study, name, batch, requester.reason, requester.by, now
            )
            for batch in _slices(list(receipts))
        ]
        return await self._append(events, settle=settle)

    async def restore(self, target: DeletionTarget, requester: Requester) -> Done:
        """Restore what was deleted and can be restored. Instances that a note rejected stay rejected, unless nothing
        was deleted, or the instance is named: then the rejection is revoked. Raises `NotFound` if there is nothing to
        restore, `Conflicting` if what was deleted is restored already, or can no longer be, and the rest is
        rejected."""
        await self.settle()
        now = self._clock.now_us()
        receipts: list[DecidedReceipt] = []
        gone = set[InstanceKey]()
        was_restored = False
        async for receipt in self._find_decided(target):
            was_restored |= receipt.deletion_state.was_restored
            if receipt.deletion_state.restorable and not receipt.deletion_state.is_due(now, self._grace_us):
                receipts.append(receipt)
            elif receipt.deletion_state.hidden and not receipt.deletion_state.moved_away:
                gone.add(receipt.instance)
        # Images that were rejected for a patient's safety must not come back with a study that was deleted by mistake.
        deleted = [
            receipt for receipt in receipts if not all(deletion.rejects for deletion in receipt.deletion_state.standing)
        ]
        if not deleted and not target.instance:
            # Deleting a copy was not a loss: its instance is still present.
            gone -= {receipt.instance for receipt in receipts} | (
                await self._index.current(DEFAULT_PARTITION, list(gone))
            ).keys()
            _refuse(len(receipts), was_restored=was_restored, too_late=bool(gone))
        if not receipts:
            raise NotFound("nothing of that can be restored")
        receipts = deleted or receipts
        withdrawn = {
            deletion.id
            for receipt in receipts
            for deletion in receipt.deletion_state.standing
            if not (deleted and deletion.rejects)
        }
        names = tuple(sorted(withdrawn))
        at = DEFAULT_PARTITION, requester.trace, target.study
        references = [_reference(receipt) for receipt in receipts]
        return await self._append(
            InstancesRestored(*at, names, batch, requester.reason, requester.by, now) for batch in _slices(references)
        )

    async def restore_rejected(self, study: str, note: str, requester: Requester) -> Done:
        """Restore what one rejection note hides, and nothing else; the note stays hidden. Instances that are also
        hidden for another reason stay hidden. Raises `NotFound` if the note hides nothing that can be restored."""
        await self.settle()
        now = self._clock.now_us()
        decided = [receipt async for receipt in self._find_decided(DeletionTarget(study))]
        names = {receipt.id for receipt in decided if receipt.instance.sop_instance_uid == note}
        for location in (await self._index.resolve(DEFAULT_PARTITION, [note])).get(note, ()):
            names |= {receipt.id for receipt in await self._index.receipts(DEFAULT_PARTITION, instance_of(location))}
        receipts = [
            receipt
            for receipt in decided
            if receipt.instance.sop_instance_uid != note
            and receipt.deletion_state.restorable
            and not receipt.deletion_state.is_due(now, self._grace_us)
            and any(deletion.rejects and deletion.id in names for deletion in receipt.deletion_state.standing)
        ]
        if not receipts:
            raise NotFound("this note hides nothing that can be restored")
        at = DEFAULT_PARTITION, requester.trace, study
        standing = {deletion.id for receipt in receipts for deletion in receipt.deletion_state.standing}
        withdrawn = tuple(sorted(names & standing))
        references = [_reference(receipt) for receipt in receipts]
        return await self._append(
            InstancesRestored(*at, withdrawn, batch, requester.reason, requester.by, now)
            for batch in _slices(references)
        )

    async def place_hold(self, study: str, requester: Requester) -> str:
        """Place a hold on a study, known or not. Returns its name. Raises `DependencyUnavailable`."""
        name = Receipt.at(self._clock.now_us()).id
        at = DEFAULT_PARTITION, requester.trace, study
        await self._append([HoldPlaced(*at, name, requester.reason, requester.by, self._clock.now_us())])
        return name

    async def release_holds(self, study: str, requester: Requester) -> Done:
        """Release all holds on a study. Raises `NotFound` if there is none."""
        await self.settle()
        names = await self._index.holds(DEFAULT_PARTITION, study)
        if not names:
            raise NotFound("no hold stands on this study")
        at, now = (DEFAULT_PARTITION, requester.trace, study), self._clock.now_us()
        done = await self._append([HoldReleased(*at, name, requester.reason, requester.by, now) for name in names])
        return Done(len(names), done.settled)

    async def release_hold(self, holder: str, hold: str, requester: Requester) -> Done:
        """Release one hold by its name; `holder` is the study, or the key of the patient (`holder_of`), that it is on.
        Raises `NotFound` if there is no such hold."""
        await self.settle()
        if hold not in await self._index.holds(DEFAULT_PARTITION, holder):
            raise NotFound("no such hold stands: it was released before")
        patient, now = patient_of(holder), self._clock.now_us()
        at = DEFAULT_PARTITION, requester.trace, patient or holder
        release = PatientHoldReleased if patient else HoldReleased
        return await self._append([release(*at, hold, requester.reason, requester.by, now)])

    async def place_patient_hold(self, patient_id: str, issuer: str, requester: Requester) -> str:
        """Place a hold on a patient, known or not: on all studies of the ID and issuer, or of the ID with any issuer if
        that is "". Returns its name. Raises `DependencyUnavailable`."""
        name, patient = Receipt.at(self._clock.now_us()).id, held_patient(patient_id, issuer)
        at = DEFAULT_PARTITION, requester.trace, patient
        await self._append([PatientHoldPlaced(*at, name, requester.reason, requester.by, self._clock.now_us())])
        return name

    async def release_patient_holds(self, patient_id: str, issuer: str, requester: Requester) -> Done:
        """Release the holds that were placed on this very ID and issuer. Raises `NotFound` if there is none."""
        await self.settle()
        patient = held_patient(patient_id, issuer)
        names = await self._index.holds(DEFAULT_PARTITION, holder_of(patient))
        if not names:
            raise NotFound("no hold stands on a patient of this ID and issuer")
        at, now = (DEFAULT_PARTITION, requester.trace, patient), self._clock.now_us()
        return await self._append(
            [PatientHoldReleased(*at, name, requester.reason, requester.by, now) for name in names]
        )

    async def _present_receipts(self, target: DeletionTarget, recent: StudyState) -> dict[str, ReceiptReference]:
        """All receipts that are present, including those aside or redundant, and those not indexed yet."""
        references: dict[str, ReceiptReference] = {}
        deletion_states = await self._index.deletion_states(DEFAULT_PARTITION, list(recent.receipts))
        for receipt, state in recent.receipts.items():
            decided = replace(state, deletion_state=state.deletion_state | deletion_states.get(receipt, ALIVE))
            if decided.is_present and target.covers(*state.instance):
                references[receipt] = ReceiptReference(*state.instance, receipt)
        async for page in self._index.locate(target.query):
            references |= {reference.receipt: reference for reference in await self._receipts(page, recent)}
        return references

    async def _receipts(self, page: Sequence[Location], recent: StudyState) -> list[ReceiptReference]:
        known = await self._index.receipts_of(DEFAULT_PARTITION, [instance_of(location) for location in page])
        deleted = {receipt for receipt, state in recent.receipts.items() if state.deletion_state.hidden}
        return [
            ReceiptReference(instance.series_instance_uid, instance.sop_instance_uid, receipt.id)
            for instance, receipts in known.items()
            for receipt in receipts
            if receipt.id not in deleted
        ]

    async def _hidden(self, target: DeletionTarget) -> list[ReceiptReference]:
        """The receipts that were deleted and are not collected."""
        # Receipts that were moved away belong to another study.
        return [
            _reference(receipt)
            async for receipt in self._find_decided(target)
            if receipt.deletion_state.hidden
            and not receipt.deletion_state.collected
            and not receipt.deletion_state.moved_away
        ]

    async def _find_decided(self, target: DeletionTarget) -> AsyncIterator[DecidedReceipt]:
        async for page in self._index.find_decided(DEFAULT_PARTITION, target.study):
            for receipt in page:
                if target.covers(receipt.instance.series_instance_uid, receipt.instance.sop_instance_uid):
                    yield receipt

    async def _append(
        self,
        events: Iterable[
            InstancesDeleted | InstancesRestored | HoldPlaced | HoldReleased | PatientHoldPlaced | PatientHoldReleased
        ],
        *,
        settle: bool = True,
    ) -> Done:
        every = list(events)
        await reach(FailPoint.BEFORE_PUBLISH)
        await self._log.append(*every)
        await reach(FailPoint.AFTER_PUBLISH)
        count = sum(len(event.receipts) for event in every if isinstance(event, InstancesDeleted | InstancesRestored))
        for event in every:
            # The patient of a hold does not belong in a log line, not even as a digest.
            study = "" if isinstance(event, PatientHoldPlaced | PatientHoldReleased) else event.study_instance_uid
            logger.info(_WORDS[type(event)], study_instance_uid=study, by=event.by, receipts=count)
        return Done(count, settle and await self.settle())

    async def behind(self) -> int:
        """How many records the indexers have not read."""
        return (await self._log.lag(INDEXERS)).get(_INSTANCES, 0)

    async def settle(self) -> bool:
        """Wait for the indexers. Returns whether they have read the log up to now."""
        return await has_followed(self._log, self._clock, self._patience)


_WORDS: dict[type[Event], str] = {
    InstancesDeleted: "instances deleted",
    InstancesRestored: "instances restored",
    HoldPlaced: "hold placed",
    HoldReleased: "hold released",
    PatientHoldPlaced: "hold on a patient placed",
    PatientHoldReleased: "hold on a patient released",
}


def _reference(receipt: DecidedReceipt) -> ReceiptReference:
    return ReceiptReference(receipt.instance.series_instance_uid, receipt.instance.sop_instance_uid, receipt.id)


def _refuse(rejected: int, *, was_restored: bool, too_late: bool) -> None:
    """Nothing deleted is left to restore. Raises `Conflicting` if something was deleted before, and there are rejected
    receipts: the request means the former, not these."""
    if rejected and (was_restored or too_late):
        problem = "what was deleted can no longer be restored" if too_late else "what was deleted is back"
        rest = f"{counted(rejected, 'rejected object')} can come back one by one, by SOP Instance UID"
        raise Conflicting(f"{problem}; {rest}")


def _slices(references: Sequence[ReceiptReference]) -> list[tuple[ReceiptReference, ...]]:
    return [tuple(references[start : start + _AT_ONCE]) for start in range(0, len(references), _AT_ONCE)]


async def target_of(index: ReadIndex, uid: str) -> DeletionTarget:
    """What a UID names: a study, a series or an instance, present or deleted. Raises `NotFound`, and `Ambiguous` if it
    names several (some modalities assign UIDs badly)."""
    targets: dict[DeletionTarget, None] = {}
    for tag, level in (
        (STUDY_INSTANCE_UID, Level.STUDY),
        (SERIES_INSTANCE_UID, Level.SERIES),
        (SOP_INSTANCE_UID, Level.IMAGE),
    ):
        async for page in index.locate(Query(DEFAULT_PARTITION, level, {tag: Single((uid,))})):
            for at in page:
                uids = at.study_instance_uid, at.series_instance_uid, at.sop_instance_uid
                targets[DeletionTarget(*uids[: level.depth])] = None
                if len(targets) > 1:
                    raise _ambiguous(targets)
        if targets:
            return next(iter(targets))
    async for decided in index.find_decided(DEFAULT_PARTITION):
        for receipt in decided:
            key = receipt.instance
            uids = key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid
            if uid in uids:
                targets[DeletionTarget(*uids[: uids.index(uid) + 1])] = None
    if len(targets) > 1:
        raise _ambiguous(targets)
    if targets:
        return next(iter(targets))
    raise NotFound(f"{uid}: neither a study nor a series nor an instance that is there or was deleted")


class Ambiguous(NotFound):
    """A UID that names several studies, series or instances."""


def _ambiguous(targets: Iterable[DeletionTarget]) -> Ambiguous:
    paths = ", ".join("/".join(part for part in (t.study, t.series, t.instance) if part) for t in targets)
    return Ambiguous(f"it means several: {paths}, …; delete over HTTP by the whole path")
