"""Exports that somebody asked for by workitems (Unified Procedure Steps, PS3.4 CC): each is claimed, the studies of its
input are exported, and it is completed, or cancelled with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import click
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from gantry.cli.exporting.engine import StudyExport
from gantry.cli.identifiers import BOTH, encode, text
from gantry.cli.query import ask
from gantry.common.clock import SystemClock
from gantry.common.dicom.standard.sop_classes import UNIFIED_PROCEDURE_STEP_PULL, UNIFIED_PROCEDURE_STEP_PUSH
from gantry.common.dimse import Element
from gantry.common.errors import PeerError
from gantry.common.ids import new_uid
from gantry.common.net import Association, Peer, connect, scu
from gantry.common.statuses import SUCCESS, status_words

_CHANGE_STATE = 1
_MOST = 100
_LONGEST_REASON = 64


@dataclass(frozen=True, slots=True)
class Claimed:
    """A workitem that is ours to perform, and the studies that it names."""

    uid: str
    transaction: str
    studies: tuple[str, ...]
    code: Dataset | None = None
    begun: str = field(default_factory=lambda: _now())


@dataclass(frozen=True, slots=True)
class ExportWorklist:
    """The workitems of a Worklist Label at an archive."""

    peer: Peer
    label: str
    timeout: float

    async def claim(self) -> list[Claimed]:
        """Those that are scheduled, and are ours from now on: another worker may have been faster with some."""
        async with connect(self.peer, [(UNIFIED_PROCEDURE_STEP_PULL, BOTH)]) as association:
            found = await ask(
                association, UNIFIED_PROCEDURE_STEP_PULL, _wanted(self.label), timeout=self.timeout, limit=_MOST
            )
            if found.status != SUCCESS and not found.matches:
                raise PeerError(f"the workitems cannot be listed: {status_words(found.status)} {found.comment}".strip())
            claimed = []
            for one in found.matches:
                mine = Claimed(text(one, "SOPInstanceUID"), new_uid(), _studies(one), _code(one))
                if await self._state(association, mine, "IN PROGRESS"):
                    claimed.append(mine)
            return claimed

    async def conclude(self, claimed: list[Claimed], outcomes: Mapping[str, StudyExport], failed: str = "") -> None:
        """Say what came of each; `failed` is why nothing came of any."""
        async with connect(self.peer, [(UNIFIED_PROCEDURE_STEP_PULL, BOTH)]) as association:
            for one in claimed:
                why = failed or _why_not(one, outcomes)
                said = _cancelled(one, why) if why else _performed(one, outcomes)
                if await self._told(association, one, said):
                    await self._state(association, one, "CANCELED" if why else "COMPLETED")

    async def _told(self, association: Association, one: Claimed, said: Dataset) -> bool:
        context = scu.need_context(association, UNIFIED_PROCEDURE_STEP_PULL)
        response = await scu.set_attributes(
            association,
            UNIFIED_PROCEDURE_STEP_PUSH,
            one.uid,
            encode(said, context),
            over=UNIFIED_PROCEDURE_STEP_PULL,
            timeout=self.timeout,
        )
        return _is_done(one, response.status, response.text(Element.ERROR_COMMENT))

    async def _state(self, association: Association, one: Claimed, state: str) -> bool:
        context = scu.need_context(association, UNIFIED_PROCEDURE_STEP_PULL)
        asked = Dataset()
        asked.TransactionUID, asked.ProcedureStepState = one.transaction, state
        response = await scu.act(
            association,
            UNIFIED_PROCEDURE_STEP_PUSH,
            one.uid,
            _CHANGE_STATE,
            encode(asked, context),
            over=UNIFIED_PROCEDURE_STEP_PULL,
            timeout=self.timeout,
        )
        return _is_done(one, response.status, response.text(Element.ERROR_COMMENT))


def _is_done(one: Claimed, status: int, comment: str) -> bool:
    if status == SUCCESS:
        return True
    click.echo(f"workitem {one.uid}: {comment or status_words(status)}", err=True)
    return False


def _wanted(label: str) -> Dataset:
    asked = Dataset()
    asked.SpecificCharacterSet = "ISO_IR 192"
    asked.SOPInstanceUID = ""
    asked.ProcedureStepState, asked.WorklistLabel, asked.InputReadinessState = "SCHEDULED", label, "READY"
    asked.InputInformationSequence = asked.ScheduledWorkitemCodeSequence = Items([])
    return asked


def _studies(workitem: Dataset) -> tuple[str, ...]:
    items = workitem.get("InputInformationSequence") or []
    return tuple(dict.fromkeys(uid for item in items if (uid := text(item, "StudyInstanceUID"))))


def _code(workitem: Dataset) -> Dataset | None:
    return next(iter(workitem.get("ScheduledWorkitemCodeSequence") or []), None)


def _why_not(one: Claimed, outcomes: Mapping[str, StudyExport]) -> str:
    """Why a workitem is not completed; "" where all of its studies are exported whole."""
    if not one.studies:
        return "its input names no study"
    for uid in one.studies:
        outcome = outcomes.get(uid)
        if outcome is None:
            return "it was not exported"
        if not outcome.is_whole:
            reasons = (outcome.reason, *outcome.failed.values(), *outcome.left_out.values())
            return next(reason for reason in reasons if reason)
    return ""


def _cancelled(one: Claimed, why: str) -> Dataset:
    """PS3.4 table CC.2.5-3: what the state CANCELED needs."""
    progress = Dataset()
    progress.ProcedureStepDiscontinuationReasonCodeSequence = Items([_coded("110501", "DCM", "Equipment failure")])
    progress.ReasonForCancellation = why[:_LONGEST_REASON]
    progress.ProcedureStepCancellationDateTime = _now()
    return _set(one, ProcedureStepProgressInformationSequence=Items([progress]))


def _performed(one: Claimed, outcomes: Mapping[str, StudyExport]) -> Dataset:
    """The same: what the state COMPLETED needs. What was made has no place that others could fetch it from."""
    done, progress = Dataset(), Dataset()
    done.PerformedStationNameCodeSequence = Items([_coded("export", "99GANTRY", "gantry export")])
    done.PerformedProcedureStepStartDateTime, done.PerformedProcedureStepEndDateTime = one.begun, _now()
    done.PerformedWorkitemCodeSequence = Items([one.code or _coded("EXPORT", "99GANTRY", "Export")])
    done.OutputInformationSequence = Items([])
    count = sum(outcomes[uid].exported + outcomes[uid].already for uid in one.studies)
    progress.ProcedureStepProgress = "100"
    progress.ProcedureStepProgressDescription = f"{count} instances of {len(one.studies)} studies exported"
    return _set(
        one,
        UnifiedProcedureStepPerformedProcedureSequence=Items([done]),
        ProcedureStepProgressInformationSequence=Items([progress]),
    )


def _set(one: Claimed, **values: object) -> Dataset:
    said = Dataset()
    said.SpecificCharacterSet = "ISO_IR 192"
    said.TransactionUID = one.transaction
    for keyword, value in values.items():
        setattr(said, keyword, value)
    return said


def _coded(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _now() -> str:
    return datetime.fromtimestamp(SystemClock().now_us() / 1e6).astimezone().strftime("%Y%m%d%H%M%S%z")
