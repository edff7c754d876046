"""Normalises answers for comparison. Pure.

These are ignored: padding, empty components of names, their case and accents (PS3.4 C.2.2.2.1), zeros at the end of a
fraction of a second, the notation of numbers, the order of Modalities in Study and SOP Classes in Study, and whether an
attribute without a value is present.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from string import hexdigits
from typing import Any

from gantry.common.dicom.encoding.elements import inflated
from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.model.json_writing import Attributes, attributes_of
from gantry.common.dicom.query.person_names import fold_name
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.errors import ConfigError

Normal = Mapping[str, Hashable]
"""Values by tag, as eight hexadecimal digits; attributes without a value are left out."""

MOST_BYTES = 16 << 20
"""Longest inflated identifier, in bytes."""
_LARGEST = 1e300
_SETS = frozenset(("00080061", "00080062"))
"""Modalities in Study, SOP Classes in Study: sets (PS3.4 C.3.4)."""
_UNIQUE = {"PATIENT": "00100020", "STUDY": "0020000D", "SERIES": "0020000E", "IMAGE": "00080018"}
"""The unique key of each level (PS3.4 C.6)."""
_LEVEL = "00080052"


EACH_ITS_OWN = (
    *("RetrieveAETitle", "InstanceAvailability", "SpecificCharacterSet", "TimezoneOffsetFromUTC"),
    *("StorageMediaFileSetID", "StorageMediaFileSetUID", "RetrieveURL", "AvailableTransferSyntaxUID"),
)
"""Attributes that describe an archive, not its content."""


def tags_of(names: Iterable[str]) -> frozenset[str]:
    """The tags of attributes by keyword or as `GGGGEEEE`, and of `EACH_ITS_OWN`. Raises `ConfigError`."""
    tags = set()
    for name in (*EACH_ITS_OWN, *names):
        is_tag = len(name) == 8 and all(digit in hexdigits for digit in name)
        if name not in TAGS and not is_tag:
            raise ConfigError("door.shadow.may_differ", None, f"there is no attribute {name!r}")
        tags.add(f"{TAGS[name]:08X}" if name in TAGS else name.upper())
    return frozenset(tags)


def read(data: bytes, transfer_syntax_uid: str) -> Attributes:
    """The attributes of an identifier. Raises `NotUnderstood`."""
    encoding = encoding_of(transfer_syntax_uid)
    return attributes_of(inflated(data, encoding, MOST_BYTES), encoding, lambda path: path)


def level_of(question: Attributes) -> str:
    """The Query/Retrieve Level of a query, "" without one."""
    values = question.get(_LEVEL, {}).get("Value") or [""]
    return str(values[0]).strip().upper()


def unique_key(level: str) -> str:
    """The tag of the unique key at a level; "" for an unknown level."""
    return _UNIQUE.get(level, "")


def normal(attributes: Attributes) -> dict[str, Hashable]:
    """Attributes in normal form for comparison."""
    result: dict[str, Hashable] = {}
    for tag, attribute in attributes.items():
        value = _normal(tag, attribute)
        if value:
            result[tag] = value
    return result


def _normal(tag: str, attribute: Mapping[str, Any]) -> tuple[Hashable, ...]:
    if "InlineBinary" in attribute:
        return (str(attribute["InlineBinary"]),)
    if "BulkDataURI" in attribute:
        return ("bulk data",)  # its location differs between archives
    values: Sequence[Any] = attribute.get("Value") or ()
    # With implicit VR our dictionary has supplied the VR; another archive may know fewer attributes.
    known = vr_of(int(tag, 16)).decode("ascii")
    vr = str(attribute.get("vr", "")) if known == "UN" else known
    if vr == "SQ":
        items = [normal(item) for item in values if isinstance(item, dict)]
        return tuple(tuple(sorted(item.items(), key=lambda pair: pair[0])) for item in items if item)
    plain = [_value(vr, value) for value in values]
    while plain and plain[-1] == "":
        plain.pop()
    return tuple(sorted(plain, key=str)) if tag in _SETS else tuple(plain)


def _value(vr: str, value: Any) -> Hashable:
    if vr == "PN":
        return fold_name(text_of(value))
    if isinstance(value, int | float):
        return float(value) if abs(value) < _LARGEST else str(value)
    text = text_of(value).strip(" \0")
    if vr in ("IS", "DS"):
        return _number(text)
    if vr == "TM":
        return text.rstrip("0").rstrip(".") if "." in text else text
    if vr == "DA":
        return text.replace(".", "")
    return text


def _number(text: str) -> Hashable:
    try:
        return float(text) if len(text) <= 16 and "_" not in text else text
    except ValueError:
        return text
