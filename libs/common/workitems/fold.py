"""Workitem × event → verdict and workitem: the state machine of Unified Procedure Steps (PS3.4 table CC.1.1-2, pure).

(nothing)    --N-CREATE-->                                        SCHEDULED
SCHEDULED    --IN PROGRESS, with a Transaction UID-->             IN PROGRESS, locked by it
SCHEDULED    --cancellation requested-->                          CANCELED
IN PROGRESS  --COMPLETED or CANCELED, with its Transaction UID--> that, if the final state has what it needs
COMPLETED, CANCELED                                               are final
any          --erased-->                                          (nothing), and nothing comes of it any more
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import NotUnderstood
from gantry.common.events import (
    WorkitemCancelRequested,
    WorkitemCreated,
    WorkitemErased,
    WorkitemSet,
    WorkitemStateRequested,
)
from gantry.common.orders import ERASED, Verdict, first, is_apart, items, unpack
from gantry.common.statuses import (
    DUPLICATE_SOP_INSTANCE,
    INVALID_ARGUMENT_VALUE,
    PROCESSING_FAILURE,
    SUCCESS,
    WORKITEM_ALREADY_CANCELED,
    WORKITEM_ALREADY_COMPLETED,
    WORKITEM_ALREADY_IN_PROGRESS,
    WORKITEM_CREATED_WITH_MODIFICATIONS,
    WORKITEM_IS_COMPLETED,
    WORKITEM_MAY_NOT_BE_UPDATED,
    WORKITEM_NOT_IN_PROGRESS,
    WORKITEM_ONLY_CREATED_AS_SCHEDULED,
    WORKITEM_UNKNOWN,
    WORKITEM_WRONG_TRANSACTION_UID,
)
from gantry.common.workitems.model import (
    CANCELLED_AT,
    FINAL,
    MODIFIED,
    PROCEDURE_STEP_STATE,
    PROGRESS,
    WHY_DISCONTINUED,
    WORKLIST_LABEL,
    Attributes,
    Workitem,
    WorkitemState,
    moment,
)
from gantry.common.workitems.requirements import (
    problem_of_creation,
    problem_of_final_state,
    problem_of_setting,
    without,
)

WorkitemEvent = WorkitemCreated | WorkitemSet | WorkitemStateRequested | WorkitemCancelRequested | WorkitemErased
_STATES = {state.value: state for state in WorkitemState}
DEFAULT_LABEL = "DEFAULT"
"""Worklist Label of a workitem that was created without one: it needs a value (PS3.4 table CC.2.5-3, 2/1)."""
_UNSPECIFIED = {
    TAGS["CodeValue"]: ["110513"],
    TAGS["CodingSchemeDesignator"]: ["DCM"],
    TAGS["CodeMeaning"]: ["Discontinued for unspecified reason"],
}
"""Of PS3.16 CID 9300: why a workitem was cancelled, where whoever asked for it gives no code."""
_TOLD = frozenset((TAGS["ReasonForCancellation"], WHY_DISCONTINUED, TAGS["ContactURI"], TAGS["ContactDisplayName"]))
"""What a request for cancellation may say (PS3.4 table CC.2.2-1)."""


def fold_workitem(workitem: Workitem | None, event: WorkitemEvent) -> Verdict[Workitem]:
    """The verdict on an event, with the DIMSE status to answer, and the workitem after it; `workitem` is what stood
    under its UID before, None for nothing. A refused event changes nothing."""
    if isinstance(event, WorkitemErased):
        return Verdict(True, "", None)
    if is_apart(event):
        return refused_as_erased(event)
    try:
        if isinstance(event, WorkitemCreated):
            return _created(workitem, event, unpack(event.attributes))
        if workitem is None:
            return Verdict(False, "there is no such workitem", None, WORKITEM_UNKNOWN)
        if isinstance(event, WorkitemSet):
            return _set(workitem, event, unpack(event.attributes))
        if isinstance(event, WorkitemCancelRequested):
            return _cancel_requested(workitem, event, unpack(event.attributes))
    except NotUnderstood as error:
        return Verdict(False, str(error), workitem, PROCESSING_FAILURE)
    return _state_requested(workitem, event)


def refused_as_erased(event: WorkitemEvent) -> Verdict[Workitem]:
    """The verdict on an event of a workitem that is erased: its UID is never used again."""
    status = DUPLICATE_SOP_INSTANCE if isinstance(event, WorkitemCreated) else WORKITEM_UNKNOWN
    return Verdict(False, ERASED, None, status)


def _created(workitem: Workitem | None, event: WorkitemCreated, attributes: dict[int, list[Any]]) -> Verdict[Workitem]:
    if workitem is not None:
        return Verdict(False, "there is a workitem with this uid", workitem, DUPLICATE_SOP_INSTANCE)
    problem = problem_of_creation(attributes)
    if problem is not None:
        return Verdict(False, problem.words, None, problem.status)
    taken = without(attributes)
    taken.pop(PROCEDURE_STEP_STATE)
    labelled = bool(first(taken, WORKLIST_LABEL))
    if not labelled:
        taken[WORKLIST_LABEL] = [DEFAULT_LABEL]
    made = Workitem(
        event.partition,
        event.sop_instance_uid,
        WorkitemState.SCHEDULED,
        {**taken, MODIFIED: [moment(event.at)]},
        changed_at=event.at,
        created_at=event.at,
    )
    return Verdict(True, "", made, SUCCESS if labelled else WORKITEM_CREATED_WITH_MODIFICATIONS)


def _set(workitem: Workitem, event: WorkitemSet, attributes: dict[int, list[Any]]) -> Verdict[Workitem]:
    if workitem.state in FINAL:
        return _refused(workitem, WORKITEM_MAY_NOT_BE_UPDATED, f"the workitem is {workitem.state}")
    if workitem.state is WorkitemState.SCHEDULED and event.lock:
        return _refused(workitem, WORKITEM_NOT_IN_PROGRESS, "nobody has claimed the workitem: no transaction uid")
    if workitem.state is WorkitemState.IN_PROGRESS and event.lock != workitem.lock:
        return _wrong_lock(workitem, event.lock)
    problem = problem_of_setting(attributes)
    if problem is not None:
        return _refused(workitem, problem.status, problem.words)
    after = {**workitem.attributes, **without(attributes), MODIFIED: [moment(event.at)]}
    return Verdict(True, "", replace(workitem, attributes=after))


def _state_requested(workitem: Workitem, event: WorkitemStateRequested) -> Verdict[Workitem]:
    """PS3.4 table CC.1.1-2."""
    wanted = _STATES.get(event.state)
    if wanted is None:
        words = "procedure step state is none of IN PROGRESS, COMPLETED, CANCELED"
        return _refused(workitem, INVALID_ARGUMENT_VALUE, words)
    if wanted is WorkitemState.SCHEDULED:
        return _refused(workitem, WORKITEM_ONLY_CREATED_AS_SCHEDULED, "a workitem is SCHEDULED by creating it only")
    # Of one that was cancelled before anybody claimed it there is no Transaction UID that could be wrong.
    if not event.lock or (workitem.lock and event.lock != workitem.lock):
        return _wrong_lock(workitem, event.lock)
    return _MOVES[workitem.state](workitem, wanted, event)


def _from_scheduled(workitem: Workitem, wanted: WorkitemState, event: WorkitemStateRequested) -> Verdict[Workitem]:
    if wanted is not WorkitemState.IN_PROGRESS:
        return _refused(workitem, WORKITEM_NOT_IN_PROGRESS, "the workitem is not yet IN PROGRESS")
    return _moved(replace(workitem, lock=event.lock), wanted, event.at)


def _from_in_progress(workitem: Workitem, wanted: WorkitemState, event: WorkitemStateRequested) -> Verdict[Workitem]:
    if wanted is WorkitemState.IN_PROGRESS:
        return _refused(workitem, WORKITEM_ALREADY_IN_PROGRESS, "the workitem is IN PROGRESS already")
    if wanted is WorkitemState.CANCELED:
        workitem = replace(workitem, attributes=_with_cancellation(workitem.attributes, event.at, {}))
    problem = problem_of_final_state(workitem.attributes, wanted)
    if problem is not None:
        return _refused(workitem, problem.status, problem.words)
    return _moved(workitem, wanted, event.at)


def _from_final(workitem: Workitem, wanted: WorkitemState, event: WorkitemStateRequested) -> Verdict[Workitem]:
    if wanted is not workitem.state:
        return _refused(workitem, WORKITEM_MAY_NOT_BE_UPDATED, f"the workitem is {workitem.state}")
    # A warning: it is as was wanted, and nothing changes.
    completed = wanted is WorkitemState.COMPLETED
    status = WORKITEM_ALREADY_COMPLETED if completed else WORKITEM_ALREADY_CANCELED
    return Verdict(True, f"the workitem is {wanted} already", workitem, status)


_Move = Callable[[Workitem, WorkitemState, WorkitemStateRequested], Verdict[Workitem]]
_MOVES: dict[WorkitemState, _Move] = {
    WorkitemState.SCHEDULED: _from_scheduled,
    WorkitemState.IN_PROGRESS: _from_in_progress,
    WorkitemState.COMPLETED: _from_final,
    WorkitemState.CANCELED: _from_final,
}


def _cancel_requested(
    workitem: Workitem, event: WorkitemCancelRequested, attributes: dict[int, list[Any]]
) -> Verdict[Workitem]:
    """PS3.4 CC.2.2.3: what nobody has begun is cancelled; who performs it decides for himself, and is told."""
    if workitem.state is WorkitemState.COMPLETED:
        return _refused(workitem, WORKITEM_IS_COMPLETED, "the workitem is COMPLETED")
    if workitem.state is WorkitemState.CANCELED:
        return Verdict(True, "the workitem is CANCELED already", workitem, WORKITEM_ALREADY_CANCELED)
    if workitem.state is WorkitemState.IN_PROGRESS:
        return Verdict(True, "", workitem)
    information = {tag: values for tag, values in attributes.items() if tag in _TOLD and values}
    information.setdefault(WHY_DISCONTINUED, [_UNSPECIFIED])
    cancelled = replace(workitem, attributes=_with_cancellation(workitem.attributes, event.at, information))
    return _moved(cancelled, WorkitemState.CANCELED, event.at)


def _with_cancellation(attributes: Attributes, at: int, information: Attributes) -> dict[int, list[Any]]:
    """With the time in Procedure Step Progress Information Sequence, where the performer gave none (PS3.4 CC.2.1.3)."""
    progress = items(attributes, PROGRESS)
    item = {**(progress[0] if progress else {}), **information}
    if not first(item, CANCELLED_AT):
        item[CANCELLED_AT] = [moment(at)]
    return {**attributes, PROGRESS: [item]}


def _moved(workitem: Workitem, state: WorkitemState, at: int) -> Verdict[Workitem]:
    return Verdict(True, "", replace(workitem, state=state, changed_at=at))


def _wrong_lock(workitem: Workitem, lock: str) -> Verdict[Workitem]:
    words = "the transaction uid is incorrect" if lock else "the transaction uid is missing"
    return _refused(workitem, WORKITEM_WRONG_TRANSACTION_UID, words)


def _refused(workitem: Workitem, status: int, words: str) -> Verdict[Workitem]:
    return Verdict(False, words, workitem, status)
