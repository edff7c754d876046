"""Storage Commitment Request and Response Modules (PS3.18 tables J.1-1 and J.2-1) in the DICOM JSON model. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gantry.common.dicom.model.json_writing import attribute
from gantry.common.dicom.model.xml_reading import from_xml
from gantry.common.dicom.standard.tags import (
    FAILED_SOP_SEQUENCE,
    FAILURE_REASON,
    REFERENCED_SOP_CLASS_UID,
    REFERENCED_SOP_INSTANCE_UID,
    REFERENCED_SOP_SEQUENCE,
)
from gantry.common.errors import NotUnderstood, TooLarge
from gantry.common.events import CommitmentReference
from gantry.common.ids import is_uid
from gantry.services.commitment.results import CommitmentResult


def references_of(body: bytes, *, xml: bool, most: int) -> tuple[CommitmentReference, ...]:
    """The instances that a request names, each once, in the order given. Raises `NotUnderstood` in words, and
    `TooLarge` beyond `most`."""
    data_set = _data_set(body, xml=xml)
    sequence = data_set.get(f"{REFERENCED_SOP_SEQUENCE:08X}")
    items = sequence.get("Value") if isinstance(sequence, Mapping) else None
    if not isinstance(items, list) or not items:
        raise NotUnderstood("Referenced SOP Sequence (0008,1199) is missing or empty: it names the instances")
    if len(items) > most:
        raise TooLarge(f"more than {most} instances in one request")
    references = {
        CommitmentReference(_uid(item, REFERENCED_SOP_CLASS_UID), _uid(item, REFERENCED_SOP_INSTANCE_UID)): None
        for item in items
    }
    return tuple(references)


def response_of(result: CommitmentResult) -> dict[str, Any]:
    """The Storage Commitment Response Module; empty sequences are left out (type 1C)."""
    sequences = {
        FAILED_SOP_SEQUENCE: [
            _reference(failure.sop_class_uid, failure.sop_instance_uid) | _named(FAILURE_REASON, failure.reason)
            for failure in result.failed
        ],
        REFERENCED_SOP_SEQUENCE: [
            _reference(reference.sop_class_uid, reference.sop_instance_uid) for reference in result.committed
        ],
    }
    return {f"{tag:08X}": {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items}


def _data_set(body: bytes, *, xml: bool) -> Mapping[str, Any]:
    if xml:
        return from_xml(body)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotUnderstood("the body is not JSON") from error
    # PS3.18 8.7.3.1: one data set, or an array of one.
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        raise NotUnderstood("the body is not one data set of the DICOM JSON model")
    return value


def _uid(item: object, tag: int) -> str:
    element = item.get(f"{tag:08X}") if isinstance(item, Mapping) else None
    values = element.get("Value") if isinstance(element, Mapping) else None
    if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], str) or not is_uid(values[0]):
        raise NotUnderstood("a reference without a valid Referenced SOP Class UID and Referenced SOP Instance UID")
    return values[0]


def _reference(sop_class_uid: str, sop_instance_uid: str) -> dict[str, Any]:
    return _named(REFERENCED_SOP_CLASS_UID, sop_class_uid) | _named(REFERENCED_SOP_INSTANCE_UID, sop_instance_uid)


def _named(tag: int, value: str | int) -> dict[str, Any]:
    return {f"{tag:08X}": attribute(tag, [value])}
