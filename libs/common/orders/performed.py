"""What a performed procedure step says that it made (PS3.3 C.4.15, pure)."""

from __future__ import annotations

from gantry.common.dicom.standard.tags import (
    PERFORMED_SERIES_SEQUENCE,
    REFERENCED_IMAGE_SEQUENCE,
    REFERENCED_NON_IMAGE_COMPOSITE_SOP_INSTANCE_SEQUENCE,
    REFERENCED_SOP_INSTANCE_UID,
)
from gantry.common.ids import is_uid
from gantry.common.orders.model import Attributes, first, items

_REFERENCES = (REFERENCED_IMAGE_SEQUENCE, REFERENCED_NON_IMAGE_COMPOSITE_SOP_INSTANCE_SEQUENCE)


def performed_instances(attributes: Attributes) -> frozenset[str]:
    """The SOP Instance UIDs of everything that a step made, in all its series; what is no UID is left out."""
    uids = (
        first(reference, REFERENCED_SOP_INSTANCE_UID)
        for series in items(attributes, PERFORMED_SERIES_SEQUENCE)
        for tag in _REFERENCES
        for reference in items(series, tag)
    )
    return frozenset(uid for uid in uids if is_uid(uid))
