"""Exports that workitems request (Unified Procedure Steps, PS3.4 CC): each workitem is claimed, the studies of its
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
from gantry.common.dicom.standard.sop_classes import (
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    UNIFIED_PROCEDURE_STEP_PULL,
    UNIFIED_PROCEDURE_STEP_PUSH,
)
from gantry.common.dimse import Command
from gantry.common.errors import AssociationAborted, PeerError, PeerTimeout
from gantry.common.ids import is_uid, new_uid
from gantry.common.net import Peer, connect, scu
from gantry.common.statuses import SUCCESS, WORKITEM_ALREADY_IN_PROGRESS, status_words

_CHANGE_STATE = 1
_MOST = 100
_LONGEST_REASON = 64


@dataclass(frozen=True, slots=True)
class Claimed:
    """A workitem that we have claimed, and the studies that it names."""

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

    async def scheduled(self) -> list[Dataset]:
        """The workitems that can be claimed. Also raises a `PeerError` if the archive does not let us retrieve studies:
        we must not claim workitems that we would have to cancel."""
        async with connect(self.peer, [(UNIFIED_PROCEDURE_STEP_PULL, BOTH)]) as association:
            answer = await ask(
                association,
                UNIFIED_PROCEDURE_STEP_PULL,
                _query_identifier(self.label),
                timeout=self.timeout,
                limit=_MOST,
            )
        if answer.status != SUCCESS and not answer.matches:
            raise PeerError(f"the workitems cannot be listed: {status_words(answer.status)} {answer.comment}".strip())
        for service in (STUDY_ROOT_FIND, STUDY_ROOT_GET) if answer.matches else ():
            async with connect(self.peer, [(service, BOTH)]) as association:
                scu.need_context(association, service)
        return answer.matches

    async def claim(self, workitem: Dataset) -> Claimed | None:
        """Claim a workitem; None if another worker was faster. If the answer is lost, the claim is repeated with the
        same Transaction UID: C302H then means that the first claim succeeded (PS3.4 table CC.1.1-2)."""
        mine = Claimed(text(workitem, "SOPInstanceUID"), new_uid(), _studies(workitem), _code(workitem))
        try:
            response = await self._change_state(mine, "IN PROGRESS")
        except (AssociationAborted, PeerTimeout):
            try:
                response = await self._change_state(mine, "IN PROGRESS")
            except PeerError as error:
                click.echo(
                    f"workitem {mine.uid}: it may stay IN PROGRESS, since the claim got no answer: {error}", err=True
                )
                raise
            if response.status == WORKITEM_ALREADY_IN_PROGRESS:
                return mine
        if response.status == SUCCESS:
            return mine
        click.echo(f"workitem {mine.uid}: {_words(response)}", err=True)
        return None

    async def conclude(self, workitem: Claimed, outcomes: Mapping[str, StudyExport], failed: str = "") -> bool:
        """Complete a workitem, or cancel it with the reason `failed`; returns whether it is COMPLETED. If it stays IN
        PROGRESS, a message is printed."""
        why = failed or _why_not(workitem, outcomes)
        try:
            response = await self._tell(workitem, _cancelled(workitem, why) if why else _performed(workitem, outcomes))
            if response.status == SUCCESS:
                response = await self._change_state(workitem, "CANCELED" if why else "COMPLETED")
            refused = "" if response.status == SUCCESS else _words(response)
        except PeerError as error:
            refused = str(error)
        if refused:
            click.echo(f"workitem {workitem.uid} stays IN PROGRESS: {refused}", err=True)
        elif why:
            click.echo(f"workitem {workitem.uid} is cancelled: {why}", err=True)
        return not (refused or why)

    async def _tell(self, workitem: Claimed, dataset: Dataset) -> Command:
        async with connect(self.peer, [(UNIFIED_PROCEDURE_STEP_PULL, BOTH)]) as association:
            context = scu.need_context(association, UNIFIED_PROCEDURE_STEP_PULL)
            return await scu.set_attributes(
                association,
                UNIFIED_PROCEDURE_STEP_PUSH,
                workitem.uid,
                encode(dataset, context),
                over=UNIFIED_PROCEDURE_STEP_PULL,
                timeout=self.timeout,
            )

    async def _change_state(self, workitem: Claimed, state: str) -> Command:
        dataset = Dataset()
        dataset.TransactionUID, dataset.ProcedureStepState = workitem.transaction, state
        async with connect(self.peer, [(UNIFIED_PROCEDURE_STEP_PULL, BOTH)]) as association:
            context = scu.need_context(association, UNIFIED_PROCEDURE_STEP_PULL)
            return await scu.act(
                association,
                UNIFIED_PROCEDURE_STEP_PUSH,
                workitem.uid,
                _CHANGE_STATE,
                encode(dataset, context),
                over=UNIFIED_PROCEDURE_STEP_PULL,
                timeout=self.timeout,
            )


def _words(response: Command) -> str:
    return response.comment or status_words(response.status)


def _query_identifier(label: str) -> Dataset:
    identifier = Dataset()
    identifier.SpecificCharacterSet = "ISO_IR 192"
    identifier.SOPInstanceUID = ""
    identifier.ProcedureStepState, identifier.WorklistLabel, identifier.InputReadinessState = (
        "SCHEDULED",
        label,
        "READY",
    )
    identifier.InputInformationSequence = identifier.ScheduledWorkitemCodeSequence = Items([])
    return identifier


def _studies(workitem: Dataset) -> tuple[str, ...]:
    items = workitem.get("InputInformationSequence") or []
    return tuple(dict.fromkeys(uid for item in items if (uid := text(item, "StudyInstanceUID"))))


def _code(workitem: Dataset) -> Dataset | None:
    return next(iter(workitem.get("ScheduledWorkitemCodeSequence") or []), None)


def not_performable(workitem: Claimed) -> str:
    """Why the input of a workitem cannot be exported; "" if the export can be tried."""
    if not workitem.studies:
        return "its input names no study"
    return next((f"{uid!r} is not a Study Instance UID" for uid in workitem.studies if not is_uid(uid)), "")


def _why_not(workitem: Claimed, outcomes: Mapping[str, StudyExport]) -> str:
    """Why a workitem is not completed; "" if all of its studies were exported completely."""
    for uid in workitem.studies:
        outcome = outcomes.get(uid)
        if outcome is None:
            return "it was not exported"
        if not outcome.is_whole:
            reasons = (outcome.reason, *outcome.failed.values(), *outcome.left_out.values())
            return next(reason for reason in reasons if reason)
    return ""


def _cancelled(workitem: Claimed, why: str) -> Dataset:
    """The attributes that the state CANCELED requires (PS3.4 table CC.2.5-3)."""
    progress = Dataset()
    progress.ProcedureStepDiscontinuationReasonCodeSequence = Items([_coded("110501", "DCM", "Equipment failure")])
    progress.ReasonForCancellation = " ".join(why.replace("\\", "/").split())[:_LONGEST_REASON].rstrip()
    progress.ProcedureStepCancellationDateTime = _now()
    return _set(workitem, ProcedureStepProgressInformationSequence=Items([progress]))


def _performed(workitem: Claimed, outcomes: Mapping[str, StudyExport]) -> Dataset:
    """The attributes that the state COMPLETED requires. The result has no address from which others could fetch it."""
    done, progress = Dataset(), Dataset()
    done.PerformedStationNameCodeSequence = Items([_coded("export", "99GANTRY", "gantry export")])
    done.PerformedProcedureStepStartDateTime, done.PerformedProcedureStepEndDateTime = workitem.begun, _now()
    done.PerformedWorkitemCodeSequence = Items([workitem.code or _coded("EXPORT", "99GANTRY", "Export")])
    done.OutputInformationSequence = Items([])
    count = sum(outcomes[uid].exported + outcomes[uid].already for uid in workitem.studies)
    progress.ProcedureStepProgress = "100"
    progress.ProcedureStepProgressDescription = f"{count} instances of {len(workitem.studies)} studies exported"
    return _set(
        workitem,
        UnifiedProcedureStepPerformedProcedureSequence=Items([done]),
        ProcedureStepProgressInformationSequence=Items([progress]),
    )


def _set(workitem: Claimed, **values: object) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.TransactionUID = workitem.transaction
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def _coded(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _now() -> str:
    return datetime.fromtimestamp(SystemClock().now_us() / 1e6).astimezone().strftime("%Y%m%d%H%M%S%z")
