"""Performed procedure step × event → verdict and step: the state machine of Modality Performed Procedure Steps (PS3.4
F.7.1, pure).

    (nothing)   --N-CREATE, IN PROGRESS-->  IN PROGRESS
    IN PROGRESS --N-SET-->                  IN PROGRESS | COMPLETED | DISCONTINUED
    COMPLETED, DISCONTINUED                 are final
    any         --erased-->                 (nothing), and nothing comes of it any more
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from gantry.common.dicom.standard.tags import PERFORMED_PROCEDURE_STEP_STATUS
from gantry.common.errors import NotUnderstood
from gantry.common.events import ProcedureStepCreated, ProcedureStepErased, ProcedureStepSet
from gantry.common.orders.commands import Verdict
from gantry.common.orders.model import Attributes, first, unpack
from gantry.common.orders.requirements import fixed, problem_of_creation, problem_of_final_state
from gantry.common.orders.values import ERASED, is_apart
from gantry.common.statuses import (
    ATTRIBUTE_LIST_ERROR,
    DUPLICATE_SOP_INSTANCE,
    INVALID_ATTRIBUTE_VALUE,
    NO_SUCH_OBJECT_INSTANCE,
    PERFORMED_PROCEDURE_STEP_IS_FINAL,
    PROCESSING_FAILURE,
    SUCCESS,
)


class PerformedState(StrEnum):
    """Performed Procedure Step Status (PS3.3 C.4.14)."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


FINAL = frozenset((PerformedState.COMPLETED, PerformedState.DISCONTINUED))
_STATES = {state.value: state for state in PerformedState}
StepEvent = ProcedureStepCreated | ProcedureStepSet | ProcedureStepErased


@dataclass(frozen=True, slots=True)
class PerformedStep:
    """A Modality Performed Procedure Step as it stands."""

    partition: str
    uid: str
    state: PerformedState
    attributes: Attributes


def fold_step(step: PerformedStep | None, event: StepEvent) -> Verdict[PerformedStep]:
    """The verdict on an event, with the DIMSE status to answer, and the step after it; `step` is what stood under its
    UID before, None for nothing. A refused event changes nothing."""
    if isinstance(event, ProcedureStepErased):
        return Verdict(True, "", None)
    if is_apart(event):
        return refused_as_erased(event)
    try:
        attributes = unpack(event.attributes)
    except NotUnderstood as error:
        return Verdict(False, str(error), step, PROCESSING_FAILURE)
    if isinstance(event, ProcedureStepCreated):
        return _created(step, event, attributes)
    if step is None:
        return Verdict(False, "there is no such performed procedure step", None, NO_SUCH_OBJECT_INSTANCE)
    if step.state in FINAL:
        # PS3.4 F.7.2.2.2: Error ID A710H with status 0110H.
        words = "performed procedure step may no longer be updated"
        return Verdict(False, words, step, PROCESSING_FAILURE, PERFORMED_PROCEDURE_STEP_IS_FINAL)
    return _set(step, attributes)


def refused_as_erased(event: StepEvent) -> Verdict[PerformedStep]:
    """The verdict on an event of a step that is erased: its UID is never used again."""
    status = DUPLICATE_SOP_INSTANCE if isinstance(event, ProcedureStepCreated) else NO_SUCH_OBJECT_INSTANCE
    return Verdict(False, ERASED, None, status)


def _created(
    step: PerformedStep | None, event: ProcedureStepCreated, attributes: dict[int, list[Any]]
) -> Verdict[PerformedStep]:
    if step is not None:
        return Verdict(False, "there is a performed procedure step with this uid", step, DUPLICATE_SOP_INSTANCE)
    problem = problem_of_creation(attributes)
    if problem is not None:
        return Verdict(False, problem.words, None, problem.status)
    # PS3.4 F.7.2.1.2: it is created in progress, whatever is known of it already.
    if _state(attributes) is not PerformedState.IN_PROGRESS:
        return Verdict(False, "a performed procedure step begins as IN PROGRESS", None, INVALID_ATTRIBUTE_VALUE)
    made = PerformedStep(event.partition, event.sop_instance_uid, PerformedState.IN_PROGRESS, attributes)
    return Verdict(True, "", made)


def _set(step: PerformedStep, attributes: dict[int, list[Any]]) -> Verdict[PerformedStep]:
    state = step.state
    if PERFORMED_PROCEDURE_STEP_STATUS in attributes:
        new_state = _state(attributes)
        if new_state is None:
            words = "performed procedure step status is none of IN PROGRESS, COMPLETED, DISCONTINUED"
            return Verdict(False, words, step, INVALID_ATTRIBUTE_VALUE)
        state = new_state
    unsettable = fixed(attributes)
    contradicts = any(step.attributes.get(tag, []) != attributes[tag] for tag in unsettable)
    settable = {tag: values for tag, values in attributes.items() if tag not in unsettable}
    after = replace(step, state=state, attributes={**step.attributes, **settable})
    if state in FINAL:
        problem = problem_of_final_state(after.attributes)
        if problem is not None:
            return Verdict(False, problem.words, step, problem.status)
    # PS3.7 10.1.3.1.7: what may not be set stays, and is a warning; the step must not stay open for it.
    return Verdict(True, "", after, ATTRIBUTE_LIST_ERROR if contradicts else SUCCESS)


def _state(attributes: Attributes) -> PerformedState | None:
    return _STATES.get(first(attributes, PERFORMED_PROCEDURE_STEP_STATUS))
