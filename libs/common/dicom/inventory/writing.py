"""An Inventory SOP Instance in pieces, in explicit VR little endian and UTF-8 (PS3.3 A.88, C.38.1). Pure.

By their tags, all attributes that are known only at the end follow the studies: an object is written as its studies
come.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack
from typing import Any

from gantry.common.dicom.encoding.charsets import character_set
from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.dicom.encoding.writing import ElementWriter
from gantry.common.dicom.inventory.records import (
    InventoriedInstance,
    InventoriedSeries,
    InventoriedStudy,
    InventoryLevel,
    Scope,
    Values,
)
from gantry.common.dicom.standard import tags
from gantry.common.dicom.standard.sop_classes import INVENTORY
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, encoding_of
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.errors import NotUnderstood

_UTF8 = "ISO_IR 192"
_COMPLETE = "COMPLETE"
_PART_OF_A_FILE = "BLOB"
_UNDEFINED = 0xFFFFFFFF
_WRITER = ElementWriter(encoding_of(EXPLICIT_LITTLE_ENDIAN), character_set([_UTF8]))


class InventoryWriter:
    """One Inventory SOP Instance: `begin`, `study` for each of its studies, `end`; the bytes in this order are the
    file. `parts` are SOP Instance UIDs of inventories that are part of it (PS3.3 C.38.1.1.5), `parts_studies` how many
    studies they have."""

    def __init__(self, uid: str, scope: Scope, parts: Sequence[str] = (), parts_studies: int = 0) -> None:
        self.uid = uid
        self.studies = 0
        self._scope = scope
        self._parts = parts
        self._parts_studies = parts_studies

    def begin(self) -> bytes:
        """File meta information, and the data set as far as the first study."""
        scope, (day, time) = self._scope, self._scope.began
        ends = _element(tags.RETRIEVE_URL, scope.retrieve_url) if scope.retrieve_url else b""
        base = _element(tags.STORED_INSTANCE_BASE_URI, scope.base_uri) if scope.base_uri else b""
        matching = _matching(scope.conditions)
        elements = [
            _element(tags.SPECIFIC_CHARACTER_SET, _UTF8),
            _element(tags.SOP_CLASS_UID, INVENTORY),
            _element(tags.SOP_INSTANCE_UID, self.uid),
            _element(tags.CONTENT_DATE, day),
            _element(tags.CONTENT_TIME, time),
            _element(tags.MANUFACTURER, ""),
            _WRITER.sequence(tags.SCOPE_OF_INVENTORY_SEQUENCE, [matching] if matching else []),
            _element(tags.INVENTORY_PURPOSE, scope.purpose),
            _element(tags.INVENTORY_LEVEL, scope.level.value),
            *([_WRITER.sequence(tags.STUDY_ACCESS_END_POINTS_SEQUENCE, [base + ends])] if base or ends else []),
            *([_WRITER.sequence(_INCORPORATED, [_reference(uid) for uid in self._parts])] if self._parts else []),
        ]
        return file_meta(INVENTORY, self.uid, EXPLICIT_LITTLE_ENDIAN) + b"".join(elements)

    def study(self, study: InventoriedStudy) -> bytes:
        """The item of a study."""
        start = b"" if self.studies else _sequence_begins(tags.INVENTORIED_STUDIES_SEQUENCE)
        self.studies += 1
        return start + _item(_study(study, self._scope.level))

    def end(self) -> bytes:
        """The part after the studies, when all of them are written."""
        stop = pack("<HHI", 0xFFFE, 0xE0DD, 0) if self.studies else b""
        return b"".join(
            (
                stop,
                _element(tags.INVENTORY_COMPLETION_STATUS, _COMPLETE),
                _element(tags.NUMBER_OF_STUDY_RECORDS_IN_INSTANCE, self.studies),
                _element(tags.TOTAL_NUMBER_OF_STUDY_RECORDS, self.studies + self._parts_studies),
            )
        )


_INCORPORATED = tags.INCORPORATED_INVENTORY_INSTANCE_SEQUENCE


def _matching(conditions: Values) -> bytes:
    """PS3.3 C.38.2.1: ranges, lists of UIDs, and all other values that studies had to match."""
    sequences: dict[int, dict[int, Sequence[Any]]] = {}
    for tag, values in conditions.items():
        vr = vr_of(tag)
        moment = vr in (b"DA", b"TM", b"DT")
        kind = tags.LIST_OF_UID_MATCHING_SEQUENCE if vr == b"UI" else tags.GENERAL_MATCHING_SEQUENCE
        sequences.setdefault(tags.RANGE_MATCHING_SEQUENCE if moment else kind, {})[tag] = values
    return b"".join([_WRITER.sequence(kind, [_elements(sequences[kind])]) for kind in sorted(sequences)])


def _study(study: InventoriedStudy, level: InventoryLevel) -> bytes:
    below = {tags.ITEM_INVENTORY_DATE_TIME: _element(tags.ITEM_INVENTORY_DATE_TIME, study.moment)}
    if level is not InventoryLevel.STUDY and study.series:
        series = [_series(series, level) for series in study.series]
        below[tags.INVENTORIED_SERIES_SEQUENCE] = _WRITER.sequence(tags.INVENTORIED_SERIES_SEQUENCE, series)
    return _elements({**study.attributes, tags.STUDY_INSTANCE_UID: [study.uid]}, below)


def _series(series: InventoriedSeries, level: InventoryLevel) -> bytes:
    below = {}
    if level is InventoryLevel.INSTANCE and series.instances:
        instances = [_instance(instance) for instance in series.instances]
        below[tags.INVENTORIED_INSTANCES_SEQUENCE] = _WRITER.sequence(tags.INVENTORIED_INSTANCES_SEQUENCE, instances)
    return _elements({**series.attributes, tags.SERIES_INSTANCE_UID: [series.uid]}, below)


def _instance(instance: InventoriedInstance) -> bytes:
    uids = _element(tags.SOP_CLASS_UID, instance.sop_class_uid)
    uids += _element(tags.SOP_INSTANCE_UID, instance.sop_instance_uid)
    if not instance.key:
        return uids
    # PS3.3 C.38.2.2: each object is a file of its own, that is, a BLOB from its first to its last byte.
    access = {
        tags.FILE_ACCESS_URI: f"./{instance.key}",
        tags.CONTAINER_FILE_TYPE: _PART_OF_A_FILE,
        tags.FILE_OFFSET_IN_CONTAINER: 0,
        tags.FILE_LENGTH_IN_CONTAINER: instance.file_length,
        tags.STORED_INSTANCE_TRANSFER_SYNTAX_UID: instance.transfer_syntax_uid,
    }
    item = b"".join([_element(tag, value) for tag, value in access.items()])
    return uids + _WRITER.sequence(tags.FILE_ACCESS_SEQUENCE, [item])


def _reference(uid: str) -> bytes:
    return _element(tags.REFERENCED_SOP_CLASS_UID, INVENTORY) + _element(tags.REFERENCED_SOP_INSTANCE_UID, uid)


def _element(tag: int, value: Any) -> bytes:
    return _WRITER.element(tag, {"vr": vr_of(tag).decode("ascii"), "Value": [] if value == "" else [value]})


def _elements(attributes: Values, below: dict[int, bytes] | None = None) -> bytes:
    """Attributes in order of their tags, and elements that are encoded already. Values that cannot be written are left
    out: a value that is invalid for its VR must not prevent an inventory."""
    encoded = dict(below or {})
    for tag, values in attributes.items():
        try:
            attribute = {"vr": vr_of(tag).decode("ascii"), "Value": list(values)}
            encoded[tag] = _WRITER.element(tag, attribute)
        except NotUnderstood:
            continue
    return b"".join([encoded[tag] for tag in sorted(encoded)])


def _sequence_begins(tag: int) -> bytes:
    return pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"SQ", 0, _UNDEFINED)


def _item(content: bytes) -> bytes:
    return pack("<HHI", 0xFFFE, 0xE000, len(content)) + content
