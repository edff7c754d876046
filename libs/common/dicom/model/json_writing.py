"""The DICOM JSON model (PS3.18 Annex F): attributes and whole data sets, with URIs in the place of bulk data."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gantry.common.dicom.encoding.charsets import DEFAULT, CharacterSet, character_set
from gantry.common.dicom.encoding.elements import elements, item_bounds
from gantry.common.dicom.encoding.syntax import MAX_READ_NESTING, syntax_of
from gantry.common.dicom.encoding.values import value_list
from gantry.common.dicom.standard.tags import SPECIFIC_CHARACTER_SET
from gantry.common.dicom.standard.transfer_syntaxes import Encoding
from gantry.common.dicom.standard.vrs import BULK_VRS, vr_of
from gantry.common.errors import NotUnderstood

Attributes = dict[str, dict[str, Any]]
BulkUri = Callable[[str], str]
"""The URI of the value at a path: tags and item numbers with "/" between (`00091010/1/00091002`)."""
Element = tuple[int, bytes, int, int]
"""Tag, VR, and where the value begins and ends."""

INLINE = 1024
"""Bytes of a binary value that is written into the document; longer ones have a URI."""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_IMPLICIT = Encoding(explicit=False)


def name_of(tag: int) -> str:
    """A tag as Annex F.2.2 names it: eight hexadecimal digits."""
    return f"{tag:08X}"


def attribute(tag: int, values: Iterable[Any], vr: str = "") -> dict[str, Any]:
    """One attribute with values of the model, the items of a sequence by tag; without "Value" if there are none
    (F.2.5)."""
    contents = [
        keys_as_attributes(value) if isinstance(value, dict) and vr_of(tag) == b"SQ" else value for value in values
    ]
    vr = vr or vr_of(tag).decode("ascii")
    return {"vr": vr, "Value": contents} if contents else {"vr": vr}


def to_json(value: Any) -> bytes:
    """The JSON text in UTF-8, as application/dicom+json requires (F.2). Lone surrogates are replaced."""
    return _encode(value).encode("utf-8", "replace")


def named(tag: int, attribute: Mapping[str, Any]) -> bytes:
    """The text of one attribute with its name, as in a document."""
    return b'"%08X":%b' % (tag, to_json(attribute))


def attributes_of(data: bytes, encoding: Encoding, uri: BulkUri, *, as_written: bool = False) -> Attributes:
    """The attributes of a data set in memory, already inflated; with `as_written` DS and IS are their original texts
    (PS3.18 F.2.3 allows it): readers distinguish 3.10 from 3.1. Raises `NotUnderstood`."""
    return ModelReader(data, uri, as_written=as_written).data_set((0, len(data)), encoding, DEFAULT, "", 0)


class ModelReader:
    """Reads in place: only values are copied, at any depth."""

    def __init__(self, data: bytes, uri: BulkUri, *, as_written: bool = False) -> None:
        self._data = data
        self._as_written = as_written
        self._uri = uri
        self.places = 0
        """How many URIs were written."""

    def data_set(
        self, within: tuple[int, int], encoding: Encoding, text: CharacterSet, path: str, depth: int
    ) -> Attributes:
        """The elements in order; an item has the character set of its parent, unless it names its own."""
        if depth > MAX_READ_NESTING:
            raise NotUnderstood("sequences are nested too deep")
        attributes: Attributes = {}
        for tag, vr, start, end in elements(self._data, encoding, within=within):
            if tag & 0xFFFF == 0:
                continue  # PS3.18 F.2.2: group lengths are not part of the model
            if tag == SPECIFIC_CHARACTER_SET:
                text = self.character_set(start, end)
            attributes[name_of(tag)] = self.element((tag, vr, start, end), encoding, text, path, depth)
        return attributes

    def character_set(self, start: int, end: int) -> CharacterSet:
        """The character set in an element of Specific Character Set."""
        return character_set([str(t or "") for t in value_list(b"CS", self._data[start:end], DEFAULT)])

    def element(
        self, element: Element, encoding: Encoding, text: CharacterSet, path: str, depth: int
    ) -> dict[str, Any]:
        """One attribute."""
        tag, vr, start, end = element
        if tag == SPECIFIC_CHARACTER_SET:
            # The document is UTF-8, whatever the object's character set (F.2).
            return {"vr": "CS", "Value": ["ISO_IR 192"]}
        if vr == b"UN" and (known := vr_of(tag)) not in (b"UN", b"SQ"):
            vr = known
        place = f"{path}{tag:08X}"
        if start != end and self._is_sequence(vr, start, encoding):
            items = self._items((start, end), encoding, text, place, depth, vr)
            return {"vr": "SQ", "Value": items}
        return self._value(vr, start, end, encoding, text, place)

    def _is_sequence(self, vr: bytes, start: int, encoding: Encoding) -> bool:
        if vr == b"SQ":
            return True
        item = syntax_of(encoding).item
        return vr == b"UN" and self._data[start : start + 4] == item and _undefined(self._data, start)

    def _value(
        self, vr: bytes, start: int, end: int, encoding: Encoding, text: CharacterSet, path: str
    ) -> dict[str, Any]:
        name = vr.decode("ascii", "replace")
        if start == end:
            return {"vr": name}
        if vr in BULK_VRS or vr not in _KNOWN:
            if end - start > INLINE:
                self.places += 1
                return {"vr": name, "BulkDataURI": self._uri(path)}
            value = _little(self._data[start:end], vr, encoding)
            return {"vr": name, "InlineBinary": base64.b64encode(value).decode()}
        # Another VR with the same characters, which is not converted to numbers.
        read_as = b"CS" if self._as_written and vr in (b"DS", b"IS") else vr
        values = value_list(read_as, self._data[start:end], text, encoding.big_endian)
        return {"vr": name, "Value": values} if values else {"vr": name}

    def _items(
        self, within: tuple[int, int], encoding: Encoding, text: CharacterSet, path: str, depth: int, vr: bytes
    ) -> list[Attributes]:
        inner = _IMPLICIT if vr == b"UN" else encoding
        bounds = item_bounds(self._data, *within, syntax_of(inner))
        return [
            self.data_set(item, inner, text, f"{path}/{number}/", depth + 1) for number, item in enumerate(bounds, 1)
        ]


def _undefined(data: bytes, start: int) -> bool:
    """Whether the element whose value begins at `start` has undefined length (explicit VR: four bytes before it)."""
    return data[start - 4 : start] == b"\xff\xff\xff\xff"


def _little(value: bytes, vr: bytes, encoding: Encoding) -> bytes:
    """PS3.18 F.2.7: inline binary is little endian."""
    width = _WIDTHS.get(vr, 1)
    if not encoding.big_endian or width == 1:
        return value
    whole = len(value) - len(value) % width
    return b"".join([value[i : i + width][::-1] for i in range(0, whole, width)]) + value[whole:]


_WIDTHS = {b"OW": 2, b"OF": 4, b"OL": 4, b"OD": 8, b"OV": 8}
_KNOWN = frozenset(
    (
        *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL"),
        *(b"SS", b"ST", b"SV", b"TM", b"UC", b"UI", b"UL", b"UR", b"US", b"UT", b"UV"),
    )
)


def keys_as_attributes(values: Mapping[int, Iterable[Any]], vr: Callable[[int], bytes] = vr_of) -> Attributes:
    """Attributes by tag, in order; `vr` returns the VR, also of private ones."""
    return {name_of(tag): attribute(tag, values[tag], vr(tag).decode("ascii")) for tag in sorted(values)}
