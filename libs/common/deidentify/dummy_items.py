"""Items that tell nothing, for sequences that must not be empty (PS3.15 E.1.1, action D on a sequence). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gantry.common.deidentify.values import DUMMY_TEXT
from gantry.common.dicom.encoding.elements import elements, item_bounds
from gantry.common.dicom.encoding.syntax import syntax_of
from gantry.common.dicom.standard.tags import (
    CODE_MEANING,
    CODE_VALUE,
    CODING_SCHEME_DESIGNATOR,
    CONCEPT_NAME_CODE_SEQUENCE,
    CONTENT_SEQUENCE,
    GRAPHIC_ANNOTATION_SEQUENCE,
    GRAPHIC_ANNOTATION_UNITS,
    GRAPHIC_DATA,
    GRAPHIC_DIMENSIONS,
    GRAPHIC_LAYER,
    GRAPHIC_OBJECT_SEQUENCE,
    GRAPHIC_TYPE,
    NUMBER_OF_GRAPHIC_POINTS,
    PERSON_IDENTIFICATION_CODE_SEQUENCE,
    RELATIONSHIP_TYPE,
    TEXT_VALUE,
    VALUE_TYPE,
)
from gantry.common.dicom.standard.transfer_syntaxes import Encoding

Item = Mapping[str, Mapping[str, Any]]
"""In the DICOM JSON model."""


def _attribute(tag: int, vr: str, *values: Any) -> dict[str, dict[str, Any]]:
    return {f"{tag:08X}": {"vr": vr, "Value": list(values)}}


def code_item(value: str, scheme: str, meaning: str) -> Item:
    """An item of a code sequence (PS3.3 table 8.8-1)."""
    return {
        **_attribute(CODE_VALUE, "SH", value),
        **_attribute(CODING_SCHEME_DESIGNATOR, "SH", scheme),
        **_attribute(CODE_MEANING, "LO", meaning),
    }


# PS3.16 CID 7100 and annex D: "Comment".
_CONTENT: Item = {
    **_attribute(RELATIONSHIP_TYPE, "CS", "CONTAINS"),
    **_attribute(VALUE_TYPE, "CS", "TEXT"),
    **_attribute(CONCEPT_NAME_CODE_SEQUENCE, "SQ", code_item("121106", "DCM", "Comment")),
    **_attribute(TEXT_VALUE, "UT", DUMMY_TEXT),
}


def dummy_items(tag: int, value: bytes, encoding: Encoding) -> list[Item] | None:
    """What stands in place of the items in `value`; None where the items themselves have nothing but attributes that
    the table replaces one by one."""
    if tag == PERSON_IDENTIFICATION_CODE_SEQUENCE:
        return [code_item(DUMMY_TEXT, "99GANTRY", DUMMY_TEXT)]
    if tag == CONTENT_SEQUENCE:
        return [_CONTENT]
    return [_annotation(_layer(value, encoding))] if tag == GRAPHIC_ANNOTATION_SEQUENCE else None


def _annotation(layer: str) -> Item:
    """PS3.3 C.10.5: a point in the first pixel, in a layer that the object has."""
    point = {
        **_attribute(GRAPHIC_ANNOTATION_UNITS, "CS", "PIXEL"),
        **_attribute(GRAPHIC_DIMENSIONS, "US", 2),
        **_attribute(NUMBER_OF_GRAPHIC_POINTS, "US", 1),
        **_attribute(GRAPHIC_DATA, "FL", 1.0, 1.0),
        **_attribute(GRAPHIC_TYPE, "CS", "POINT"),
    }
    return {**_attribute(GRAPHIC_LAYER, "CS", layer), **_attribute(GRAPHIC_OBJECT_SEQUENCE, "SQ", point)}


def _layer(value: bytes, encoding: Encoding) -> str:
    for within in item_bounds(value, 0, len(value), syntax_of(encoding)):
        for _, _, start, end in elements(value, encoding, wanted=(GRAPHIC_LAYER,), within=within):
            return value[start:end].decode("ascii", "replace").strip(" \0")
    return "LAYER"
