"""Moves of series or instances to another study, and their withdrawal: what is written and appended.

The order is that of corrections: the changes of the headers are durable in an object of their own, then one event is
acknowledged by the log. When the indexers have followed, it hides the instances in the one study and shows them in the
other. Objects are neither copied nor changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gantry.common.clock import Clock
from gantry.common.dicom.model.json_writing import keys_as_attributes
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.errors import Conflicting, DependencyUnavailable, NotFound, NotUnderstood
from gantry.common.events import InstancesMoved, InstancesMovedBack, ReceiptReference
from gantry.common.ids import DEFAULT_PARTITION, Receipt, is_uid, new_uid
from gantry.common.lifecycle import Correction, RetentionRule, Values, successor
from gantry.common.lifecycle.correctable import (
    OF_ITS_STUDY,
    OF_SERIES,
    OF_STUDY,
    correctable_of,
    require_correctable,
    unpadded,
)
from gantry.common.lifecycle.patients import values_of
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import CorrectedStudy, DecidedReceipt, InstanceKey, ReadIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.corrections import CorrectionSubject, read_values, write_values
from gantry.common.runtime.elsewhere import CommittedElsewhere
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.runtime.following import has_followed
from gantry.common.runtime.losses import instance_of
from gantry.common.runtime.protection import Protection
from gantry.common.telemetry.logs import get_logger
from gantry.services.lifecycle.deletions import DeletionTarget
from gantry.services.requester import Requester

_AT_ONCE = 2000
"""Most receipts of one event; a larger move is several events with one name."""
NEW = "new"
"""The target is a study that the move creates."""
logger = get_logger("lifecycle")


@dataclass(frozen=True, slots=True)
class SeriesMoved:
    """A series, or part of one, that was moved."""

    move: str
    series: str
    into_series: str
    receipts: int


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved into which study, and whether the indexers have followed yet."""

    into: str
    series: tuple[SeriesMoved, ...]
    settled: bool


@dataclass(slots=True)
class _Series:
    whole: bool
    receipts: list[ReceiptReference] = field(default_factory=list)


class MoveDesk:
    """Moves, for one process; `patience` is how long to wait for indexers, in seconds."""

    def __init__(
        self,
        objects: BlobStore,
        log: EventLog,
        index: ReadIndex,
        clock: Clock,
        patience: float = 10.0,
        rules: Sequence[RetentionRule] = (),
    ) -> None:
        """Instances are not moved to a study where the retention `rules` keep them for a shorter time."""
        self._objects = objects
        self._log = log
        self._index = index
        self._clock = clock
        self._patience = patience
        self._protection = Protection(log, index, clock, rules, CommittedElsewhere(objects))

    async def move(
        self, targets: Sequence[DeletionTarget], into: str, requester: Requester, values: Values | None = None
    ) -> Moved:
        """Move a study, series or instances of one study `into` another one, or into a new one (`NEW`, or an unused
        UID), whose attributes `values` may correct.

        A whole series keeps its UID if the other study has no part of it; otherwise the instances become a new series.
        Raises `NotUnderstood`, `NotFound`, `Held` under a hold or if retention would be shorter, `Conflicting` if the
        other study has one of the instances already or was deleted, `DependencyUnavailable`."""
        study = targets[0].study
        if into != NEW and not is_uid(into):
            raise NotUnderstood(f"into: a Study Instance UID, or {NEW!r}")
        if into == study:
            raise Conflicting("it is in that study already")
        if values:
            values = unpadded(values)
            require_correctable(values, OF_STUDY)
        await self._must_settle()
        elements = {int(name, 16): values_of(element) for name, element in (values or {}).items()}
        await self._protection.check_move(DEFAULT_PARTITION, study, "" if into == NEW else into, elements)
        series = await self._series(targets)
        known = None if into == NEW else await self._index.corrected(DEFAULT_PARTITION, into)
        if values and known is not None:
            raise NotUnderstood("values are for a new study: correct the other one instead")
        if known is not None:
            await self._require_not_there(into, series)
        elif into != NEW:
            await self._require_not_deleted(into)
        into = new_uid() if into == NEW else into
        origin = await self._index.corrected(DEFAULT_PARTITION, study)
        if origin is None:
            raise NotFound("no such study")
        return await self._move(study, into, series, origin, known, values or {}, requester)

    async def move_back(self, study: str, requester: Requester, move: str = "") -> Moved:
        """Withdraw a move out of `study`, or all moves of the last request if none is named. Raises `NotFound` if
        nothing was moved away, `Conflicting` if the instances were deleted or moved on since, `Held`,
        `DependencyUnavailable`."""
        await self._must_settle()
        away: dict[str, list[DecidedReceipt]] = {}
        made: dict[str, int] = {}
        async for page in self._index.find_decided(DEFAULT_PARTITION, study):
            for receipt in page:
                for deletion in receipt.deletion_state.standing:
                    if deletion.moved and not deletion.final:
                        away.setdefault(deletion.id, []).append(receipt)
                        made[deletion.id] = deletion.at
        names = [move] if move else [name for name, at in made.items() if at == max(made.values())]
        if not names or not all(name in away for name in names):
            raise NotFound("nothing was moved away like this")
        now, events = self._clock.now_us(), list[InstancesMovedBack]()
        for name in sorted(names):
            into_study, into_series = await self._destination(name)
            await self._protection.check_move(DEFAULT_PARTITION, into_study, study, {})
            await self._require_there([successor(receipt.id, name) for receipt in away[name]], into_study)
            at = DEFAULT_PARTITION, requester.trace, study, name
            events += [
                InstancesMovedBack(*at, batch, into_study, into_series, requester.reason, requester.by, now)
                for batch in _slices([_reference(receipt) for receipt in away[name]])
            ]
        return await self._append(events)

    async def _move(
        self,
        study: str,
        into: str,
        series: Mapping[str, _Series],
        origin: CorrectedStudy,
        known: CorrectedStudy | None,
        values: Values,
        requester: Requester,
    ) -> Moved:
        taken = await self._series_of(into)
        now, events = self._clock.now_us(), list[InstancesMoved]()
        for uid, selection in series.items():
            target_uid = uid if selection.whole and uid not in taken else new_uid()
            name = Receipt.at(now).id
            uids = {
                f"{STUDY_INSTANCE_UID:08X}": {"vr": "UI", "Value": [into]},
                f"{SERIES_INSTANCE_UID:08X}": {"vr": "UI", "Value": [target_uid]},
            }
            made = {**_header_values(uid, origin, known), **values, **uids}
            await write_values(self._objects, DEFAULT_PARTITION, name, CorrectionSubject(study=into), made)
            at = DEFAULT_PARTITION, requester.trace, study, name
            events += [
                InstancesMoved(*at, part, into, target_uid, requester.reason, requester.by, now)
                for part in _slices(selection.receipts)
            ]
        return await self._append(events)

    async def _series(self, targets: Sequence[DeletionTarget]) -> dict[str, _Series]:
        """All receipts to be moved, including those redundant or aside, by series."""
        series: dict[str, _Series] = {}
        seen: set[str] = set()
        for target in targets:
            size = len(seen)
            async for page in self._index.locate(target.query):
                receipts = await self._index.receipts_of(DEFAULT_PARTITION, [instance_of(at) for at in page])
                for instance, group in receipts.items():
                    of_series = series.setdefault(instance.series_instance_uid, _Series(whole=False))
                    of_series.whole = of_series.whole or not target.instance
                    of_series.receipts += [
                        _receipt(instance, receipt.id) for receipt in group if receipt.id not in seen
                    ]
                    seen.update(receipt.id for receipt in group)
            if len(seen) == size:
                raise NotFound(f"nothing of {target.instance or target.series or target.study} is there")
        return series

    async def _series_of(self, study: str) -> set[str]:
        """The series of a study, including those deleted or moved away: the meaning of a series UID never changes."""
        query = Query(DEFAULT_PARTITION, Level.STUDY, {STUDY_INSTANCE_UID: Single((study,))})
        uids = {at.series_instance_uid async for page in self._index.locate(query) for at in page}
        async for decided in self._index.find_decided(DEFAULT_PARTITION, study):
            uids |= {receipt.instance.series_instance_uid for receipt in decided if receipt.deletion_state.restorable}
        return uids

    async def _destination(self, move: str) -> tuple[str, str]:
        _, values = await read_values(self._objects, Receipt(move).values_key(DEFAULT_PARTITION))
        study, series = (
            str((values.get(f"{tag:08X}") or {}).get("Value", [""])[0])
            for tag in (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)
        )
        return study, series

    async def _require_not_deleted(self, study: str) -> None:
        async for page in self._index.find_decided(DEFAULT_PARTITION, study):
            if any(receipt.deletion_state.restorable for receipt in page):
                raise Conflicting("the other study was deleted: gantry undelete it first, or name another one")

    async def _require_not_there(self, into: str, series: Mapping[str, _Series]) -> None:
        uids = list({reference.sop_instance_uid for selection in series.values() for reference in selection.receipts})
        for start in range(0, len(uids), _AT_ONCE):
            known = await self._index.resolve(DEFAULT_PARTITION, uids[start : start + _AT_ONCE])
            conflicts = [
                uid for uid, locations in known.items() if any(at.study_instance_uid == into for at in locations)
            ]
            if conflicts:
                raise Conflicting(f"the other study has {conflicts[0]} already: delete one of the two first")

    async def _require_there(self, receipts: Sequence[str], study: str) -> None:
        decided = await self._index.decided_receipts(DEFAULT_PARTITION, receipts)
        if any(receipt.deletion_state.moved_away for receipt in decided.values()):
            raise Conflicting(f"it was moved on from {study} since: take that back first")
        if any(receipt.deletion_state.hidden for receipt in decided.values()):
            raise Conflicting(f"some of it was deleted in {study} since: gantry undelete it first")

    async def _append(self, events: Sequence[InstancesMoved] | Sequence[InstancesMovedBack]) -> Moved:
        await reach(FailPoint.BEFORE_PUBLISH)
        await self._log.append(*events)
        await reach(FailPoint.AFTER_PUBLISH)
        moved: dict[str, SeriesMoved] = {}
        for event in events:
            before = moved.get(event.move)
            count = len(event.receipts) + (before.receipts if before is not None else 0)
            series = event.receipts[0].series_instance_uid
            moved[event.move] = SeriesMoved(event.move, series, event.into_series, count)
        first = events[0]
        logger.info(
            "instances moved" if isinstance(first, InstancesMoved) else "instances moved back",
            study_instance_uid=first.study_instance_uid,
            into=first.into_study,
            receipts=sum(series.receipts for series in moved.values()),
            by=first.by,
        )
        return Moved(first.into_study, tuple(moved.values()), await self._settle())

    async def _must_settle(self) -> None:
        """Wait until all earlier decisions are applied, so that the move covers what is really present."""
        if not await self._settle():
            raise DependencyUnavailable("index", "it is behind: try again when the indexers have followed")

    async def _settle(self) -> bool:
        return await has_followed(self._log, self._clock, self._patience)


def _header_values(series: str, origin: CorrectedStudy, known: CorrectedStudy | None) -> dict[str, Mapping[str, Any]]:
    """The header values that a move of a series changes besides the UIDs. In an existing study, the series gets the
    patient and study values of that study's objects, and its corrections apply on top. In a new one they do not
    change."""
    standing = sorted(origin.corrections.standing(), key=lambda correction: (not correction.moves, correction.id))
    if known is None:
        return _joined(correction for correction in standing if correction.series in ("", series))
    own = keys_as_attributes({tag: values for tag, values in known.own.items() if tag in OF_ITS_STUDY})
    # Values of the previous study and its patient must not stay.
    emptied = {f"{tag:08X}": {"vr": vr_of(tag).decode("ascii")} for tag in OF_ITS_STUDY}
    of_series = _joined(correction for correction in standing if correction.series == series)
    elements = {name: element for name, element in of_series.items() if int(name, 16) in OF_SERIES}
    return {**elements, **emptied, **correctable_of(own, OF_ITS_STUDY)}


def _joined(corrections: Iterable[Correction]) -> dict[str, Mapping[str, Any]]:
    values: dict[str, Mapping[str, Any]] = {}
    for correction in corrections:
        values |= correction.values or {}
    return values


def _receipt(instance: InstanceKey, receipt: str) -> ReceiptReference:
    return ReceiptReference(instance.series_instance_uid, instance.sop_instance_uid, receipt)


def _reference(receipt: DecidedReceipt) -> ReceiptReference:
    return _receipt(receipt.instance, receipt.id)


def _slices(references: Sequence[ReceiptReference]) -> list[tuple[ReceiptReference, ...]]:
    return [tuple(references[start : start + _AT_ONCE]) for start in range(0, len(references), _AT_ONCE)]
