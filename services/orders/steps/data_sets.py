"""Data sets of performed procedure steps: attributes from bytes, and bytes from attributes (pure)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.model.json_writing import attributes_of
from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.standard.tags import SPECIFIC_CHARACTER_SET
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.orders import Attributes


def decoded(data: bytes, transfer_syntax_uid: str) -> dict[int, list[Any]]:
    """The attributes of a data set, including those without a value: missing and empty differ. Text is decoded, so its
    character set is left out; so are private attributes and binary values, which do not describe a step. Raises
    `NotUnderstood`."""
    return _values(attributes_of(data, encoding_of(transfer_syntax_uid), lambda _path: ""))


def _values(document: Mapping[str, Mapping[str, Any]]) -> dict[int, list[Any]]:
    attributes: dict[int, list[Any]] = {}
    for name, element in document.items():
        tag, values = int(name, 16), element.get("Value", [])
        if tag == SPECIFIC_CHARACTER_SET or vr_of(tag) == b"UN" or element.keys() & {"InlineBinary", "BulkDataURI"}:
            continue
        if (element.get("vr") == "SQ") != (vr_of(tag) == b"SQ"):
            continue
        attributes[tag] = (
            [_values(item or {}) for item in values] if element.get("vr") == "SQ" else _shaped(tag, values)
        )
    return attributes


def _shaped(tag: int, values: Sequence[Any]) -> list[Any]:
    """A person name that was sent with another VR becomes a name, and text that was sent as a name becomes text:
    readers of an attribute rely on the form of its own VR."""
    if vr_of(tag) != b"PN":
        return [text_of(value) if isinstance(value, dict) else value for value in values]
    return [{"Alphabetic": text_of(value)} if isinstance(value, str | int | float) else value for value in values]


def encoded(attributes: Attributes, wanted: Collection[int], transfer_syntax_uid: str) -> bytes:
    """The data set of these attributes, or only of those `wanted`, if any are named; text that is not ASCII is in
    UTF-8."""
    chosen = {tag: attributes.get(tag, []) for tag in wanted if vr_of(tag) != b"UN"} if wanted else dict(attributes)
    return encode_identifier(chosen, transfer_syntax_uid)
