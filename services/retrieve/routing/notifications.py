"""The content of availability notifications (PS3.4 R.3.2.1, PS3.3 C.4.23; pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gantry.common.dicom.standard.sop_classes import MODALITY_PERFORMED_PROCEDURE_STEP
from gantry.common.dicom.standard.tags import (
    INSTANCE_AVAILABILITY,
    PERFORMED_WORKITEM_CODE_SEQUENCE,
    REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE,
    REFERENCED_SERIES_SEQUENCE,
    REFERENCED_SOP_CLASS_UID,
    REFERENCED_SOP_INSTANCE_UID,
    REFERENCED_SOP_SEQUENCE,
    RETRIEVE_AE_TITLE,
    SERIES_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from gantry.common.ids import is_uid
from gantry.common.orders import PerformedStep
from gantry.common.orders.performed import PerformedReference, performed_references
from gantry.common.orders.states import references_of

UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class InstanceAvailability:
    """An instance of a study and its Instance Availability."""

    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    availability: str

    @property
    def key(self) -> tuple[str, str]:
        """Its key within its study: series and SOP Instance UID."""
        return self.series_instance_uid, self.sop_instance_uid


@dataclass(frozen=True, slots=True)
class AvailabilityNotification:
    """Instances of a study; `step` is the SOP Instance UID of the performed procedure step that made them, or ""."""

    study_instance_uid: str
    step: str
    instances: Sequence[InstanceAvailability]


def notifications(
    study: str,
    known: Sequence[InstanceAvailability],
    changed: Collection[tuple[str, str]],
    steps: Sequence[PerformedStep],
    *,
    whole: bool,
) -> list[AvailabilityNotification]:
    """The notifications if some of the `known` instances of a study `changed` (by `InstanceAvailability.key`). One for
    each step that made a changed instance, with everything that the step says it made. One more for instances that no
    step made, if any of these changed: all of them if the `whole` study is notified, otherwise those that changed."""
    made: list[AvailabilityNotification] = []
    of_steps: set[tuple[str, str]] = set()
    for step in sorted(steps, key=lambda step: step.uid):
        references = performed_references(step.attributes)
        uids = {reference.sop_instance_uid for reference in references}
        own = [instance for instance in known if instance.sop_instance_uid in uids]
        of_steps |= {instance.key for instance in own}
        if any(instance.key in changed for instance in own):
            absent = _absent(study, step, references, known)
            made.append(AvailabilityNotification(study, step.uid, [*own, *absent]))
    others = [instance for instance in known if instance.key not in of_steps]
    if any(instance.key in changed for instance in others):
        rest = [instance for instance in others if whole or instance.key in changed]
        made.append(AvailabilityNotification(study, "", rest))
    return made


def _absent(
    study: str, step: PerformedStep, references: Sequence[PerformedReference], known: Sequence[InstanceAvailability]
) -> Iterator[InstanceAvailability]:
    """What a step made that was never here. The step does not say in which study: nothing is added for a step with
    several."""
    if {uid for reference in references_of(step) for uid in reference.studies} != {study}:
        return
    seen = {instance.sop_instance_uid for instance in known}
    for product in references:
        if (
            product.sop_instance_uid not in seen
            and is_uid(product.series_instance_uid)
            and is_uid(product.sop_class_uid)
        ):
            seen.add(product.sop_instance_uid)
            yield InstanceAvailability(
                product.series_instance_uid, product.sop_class_uid, product.sop_instance_uid, UNAVAILABLE
            )


def attributes_of(notification: AvailabilityNotification, ae_title: str) -> dict[int, list[Any]]:
    """The attributes of a notification; `ae_title` is the one to retrieve from."""
    series: dict[str, list[Mapping[int, list[Any]]]] = {}
    for instance in notification.instances:
        series.setdefault(instance.series_instance_uid, []).append(
            {
                RETRIEVE_AE_TITLE: [ae_title],
                INSTANCE_AVAILABILITY: [instance.availability],
                REFERENCED_SOP_CLASS_UID: [instance.sop_class_uid],
                REFERENCED_SOP_INSTANCE_UID: [instance.sop_instance_uid],
            }
        )
    return {
        # PS3.3 C.4.23: zero or one item.
        REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE: [_step(notification.step)] if notification.step else [],
        REFERENCED_SERIES_SEQUENCE: [
            {REFERENCED_SOP_SEQUENCE: references, SERIES_INSTANCE_UID: [uid]} for uid, references in series.items()
        ],
        STUDY_INSTANCE_UID: [notification.study_instance_uid],
    }


def _step(uid: str) -> dict[int, list[Any]]:
    return {
        REFERENCED_SOP_CLASS_UID: [MODALITY_PERFORMED_PROCEDURE_STEP],
        REFERENCED_SOP_INSTANCE_UID: [uid],
        PERFORMED_WORKITEM_CODE_SEQUENCE: [],
    }
