"""The state of a scheduled step, computed from its order and from all performed steps that refer to it (pure).

Nothing stores it: orders and performed steps are on two topics without an order between them, and whichever comes
first, the same state comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    MODALITY,
    REFERENCED_SOP_INSTANCE_UID,
    REFERENCED_STUDY_SEQUENCE,
    SCHEDULED_PROCEDURE_STEP_ID,
    SCHEDULED_PROCEDURE_STEP_STATUS,
    SCHEDULED_STEP_ATTRIBUTES_SEQUENCE,
    STUDY_INSTANCE_UID,
)
from gantry.common.orders.model import Attributes, Order, ScheduledStep, first, items
from gantry.common.orders.mpps import PerformedState, PerformedStep


class StepState(StrEnum):
    """Scheduled Procedure Step Status (PS3.3 C.4.10), with what became of the step."""

    SCHEDULED = "SCHEDULED"
    ARRIVED = "ARRIVED"
    READY = "READY"
    STARTED = "STARTED"
    DEPARTED = "DEPARTED"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"
    CANCELLED = "CANCELLED"


IDLE = frozenset((StepState.SCHEDULED, StepState.ARRIVED, StepState.READY))
"""Nothing was performed yet, and may be."""
Links = Mapping[str, str]
"""Studies by UID, with the keys of the orders that they are linked to."""
NO_LINKS: Links = MappingProxyType({})
_SPELLINGS = {state.value: state for state in StepState} | {"CANCELED": StepState.CANCELLED}


@dataclass(frozen=True, slots=True)
class StepReference:
    """What a performed step says of one step that it performs (an item of Scheduled Step Attributes Sequence, PS3.3
    C.4.13). Values are "" where it says nothing: an unscheduled step names a Study Instance UID alone. `studies` are
    its own, which in the group case may be one that the modality made, and those that it refers to (PS3.4 F.7.2.1.2,
    note 2)."""

    studies: frozenset[str]
    accession: str
    step: str


def references_of(step: PerformedStep) -> list[StepReference]:
    """All of them: in the group case there are several (PS3.17 annex on the modality worklist)."""
    return [
        StepReference(_studies(item), first(item, ACCESSION_NUMBER), first(item, SCHEDULED_PROCEDURE_STEP_ID))
        for item in items(step.attributes, SCHEDULED_STEP_ATTRIBUTES_SEQUENCE)
    ]


def _studies(item: Attributes) -> frozenset[str]:
    referred = (first(study, REFERENCED_SOP_INSTANCE_UID) for study in items(item, REFERENCED_STUDY_SEQUENCE))
    return frozenset((first(item, STUDY_INSTANCE_UID), *referred)) - {""}


def refers_to(performed: PerformedStep, order: Order, step: ScheduledStep, links: Links = NO_LINKS) -> bool:
    """Whether a performed step performs a scheduled one. A Scheduled Procedure Step ID is unique within its system
    only, so the study or the accession number has to be the same, too; without an ID the study is enough, and of its
    steps those of the same modality are meant. What was performed for a study that is linked to an order performs that
    one's steps, and those that the modality chose no longer (IHE PIR: the wrong worklist entry)."""
    study, accession = first(order.attributes, STUDY_INSTANCE_UID), first(order.attributes, ACCESSION_NUMBER)
    for reference in references_of(performed):
        linked = {links[uid] for uid in reference.studies if uid in links}
        if linked:
            if order.key in linked and _agree(first(performed.attributes, MODALITY), first(step.attributes, MODALITY)):
                return True
            continue
        same_study = study in reference.studies
        if reference.step:
            same_order = same_study or (bool(accession) and reference.accession == accession)
            if reference.step == step.id and same_order:
                return True
        elif same_study and _agree(first(performed.attributes, MODALITY), first(step.attributes, MODALITY)):
            return True
    return False


def _agree(performed: str, scheduled: str) -> bool:
    return not performed or not scheduled or performed == scheduled


def scheduled_state(attributes: Attributes) -> StepState:
    """What the order itself says of a step."""
    return _SPELLINGS.get(first(attributes, SCHEDULED_PROCEDURE_STEP_STATUS), StepState.SCHEDULED)


def state_of(
    order: Order, step: ScheduledStep, performed: Iterable[PerformedStep], links: Links = NO_LINKS
) -> StepState:
    """The state of a step of an order. `performed` may hold steps that do not refer to it. What was performed counts
    for more than a cancellation; one that is in progress for more than one that is over, and one that was completed for
    more than one that was discontinued. Of a study that was linked without any performed step, the images are there:
    its steps are completed."""
    states = {performed_step.state for performed_step in performed if refers_to(performed_step, order, step, links)}
    if PerformedState.IN_PROGRESS in states:
        return StepState.STARTED
    if PerformedState.COMPLETED in states:
        return StepState.COMPLETED
    if states:
        return StepState.DISCONTINUED
    if order.linked:
        return StepState.COMPLETED
    return StepState.CANCELLED if order.cancelled or step.cancelled else scheduled_state(step.attributes)


def studies_of(order: Order | None, performed: Iterable[PerformedStep]) -> list[str]:
    """The studies of an order: its own, those that are linked to it, and those that performed steps name."""
    own = () if order is None else (first(order.attributes, STUDY_INSTANCE_UID), *order.linked)
    named = {study for step in performed for reference in references_of(step) for study in reference.studies}
    return sorted({*own, *named} - {""})
