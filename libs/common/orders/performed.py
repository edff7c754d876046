"""What a performed procedure step says that it made (PS3.3 C.4.15, pure)."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.common.dicom.standard.tags import (
    PERFORMED_SERIES_SEQUENCE,
    REFERENCED_IMAGE_SEQUENCE,
    REFERENCED_NON_IMAGE_COMPOSITE_SOP_INSTANCE_SEQUENCE,
    REFERENCED_SOP_CLASS_UID,
    REFERENCED_SOP_INSTANCE_UID,
    SERIES_INSTANCE_UID,
)
from gantry.common.ids import is_uid
from gantry.common.orders.model import Attributes, first, items

_REFERENCES = (REFERENCED_IMAGE_SEQUENCE, REFERENCED_NON_IMAGE_COMPOSITE_SOP_INSTANCE_SEQUENCE)


@dataclass(frozen=True, slots=True)
class PerformedReference:
    """An instance that a step says it made; series and SOP class as it says them, which may be ""."""

    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


def performed_references(attributes: Attributes) -> list[PerformedReference]:
    """Everything that a step made, in all its series, in its order; what is no UID is left out."""
    references = [
        PerformedReference(
            first(series, SERIES_INSTANCE_UID),
            first(reference, REFERENCED_SOP_CLASS_UID),
            first(reference, REFERENCED_SOP_INSTANCE_UID),
        )
        for series in items(attributes, PERFORMED_SERIES_SEQUENCE)
        for tag in _REFERENCES
        for reference in items(series, tag)
    ]
    return [reference for reference in references if is_uid(reference.sop_instance_uid)]


def performed_instances(attributes: Attributes) -> frozenset[str]:
    """The SOP Instance UIDs of everything that a step made."""
    return frozenset(reference.sop_instance_uid for reference in performed_references(attributes))
