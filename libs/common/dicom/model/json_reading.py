"""The DICOM JSON model (PS3.18 Annex F) as an encoded data set: explicit VR little endian, text in UTF-8.

Bulk values are not in memory: a data set becomes pieces, some of which refer to a bulk value.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from struct import Struct
from struct import error as StructError
from typing import Any

from gantry.common.dicom.encoding.syntax import MAX_NESTING
from gantry.common.dicom.standard.tags import PIXEL_DATA
from gantry.common.dicom.standard.vrs import BULK_VRS, LONG_VRS, SHORT_VRS
from gantry.common.errors import NotUnderstood

_SHORT = Struct("<HH2sH")
_LONG = Struct("<HH2sHI")
_UINT32 = Struct("<I")
_FRAGMENT = b"\xfe\xff\x00\xe0"
_ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
_ITEM_END = b"\xfe\xff\x0d\xe0\0\0\0\0"
_SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
_NUMBERS = {b"US": "H", b"SS": "h", b"UL": "I", b"SL": "i", b"UV": "Q", b"SV": "q", b"FL": "f", b"FD": "d"}
_PACK = {vr: Struct(f"<{code}") for vr, code in _NUMBERS.items()}
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_MAX_LENGTH = 0xFFFFFFFE


@dataclass(frozen=True, slots=True)
class BulkPiece:
    """A reference to `length` bytes from `offset` of the bulk value `uri`."""

    uri: str
    offset: int
    length: int


Piece = bytes | BulkPiece
PixelEncoder = Callable[[str], Sequence[Piece]]
"""The whole element of pixel data for a bulk value, VR and length included (PS3.5 A.4)."""


def encoded(
    data_set: Mapping[str, Any], size_of: Callable[[str], int], pixel_data: PixelEncoder | None = None
) -> Iterator[Piece]:
    """A data set, element by element in the order of tags (PS3.5 7.1).

    `size_of` returns the bytes of a bulk value and raises `NotUnderstood` if there is none; `pixel_data` encodes
    that of the top level. Group lengths and file meta information are left out. Raises `NotUnderstood` if the document
    is not a data set.
    """
    return _elements(data_set, size_of, pixel_data, 0)


def _elements(
    data_set: Mapping[str, Any], size_of: Callable[[str], int], pixel_data: PixelEncoder | None, depth: int
) -> Iterator[Piece]:
    if not isinstance(data_set, Mapping):
        raise NotUnderstood("a data set is not an object")
    if depth > MAX_NESTING:
        raise NotUnderstood("sequences are too deep")
    by_tag = {_tag(name): element for name, element in data_set.items()}
    for tag, element in sorted(by_tag.items()):
        if not tag & 0xFFFF or tag >> 16 <= 0x0006:
            continue
        if not isinstance(element, Mapping):
            raise NotUnderstood("an element is not an object")
        vr = str(element.get("vr", "")).encode("ascii", "replace")
        if vr not in SHORT_VRS and vr not in LONG_VRS:
            raise NotUnderstood(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) has an unknown VR")
        if tag == PIXEL_DATA and "BulkDataURI" in element and depth == 0 and pixel_data is not None:
            yield from pixel_data(_uri(element))
        elif vr == b"SQ":
            yield _header(tag, vr, 0xFFFFFFFF)
            for item in _values(element):
                yield _ITEM
                yield from _elements(item or {}, size_of, None, depth + 1)
                yield _ITEM_END
            yield _SEQUENCE_END
        elif "BulkDataURI" in element:
            uri = _uri(element)
            yield from bulk_element(tag, vr, BulkPiece(uri, 0, size_of(uri)))
        else:
            value = _binary(element) if vr in BULK_VRS else _value(tag, vr, _values(element))
            yield _header(tag, vr, len(value)) + value


def bulk_element(tag: int, vr: bytes, value: BulkPiece) -> list[Piece]:
    """An element whose value is elsewhere. Raises `NotUnderstood` if it is too long for its VR."""
    pad = value.length & 1
    return [_header(tag, vr, value.length + pad), value, *([b" " if vr == b"UT" else b"\0"] if pad else [])]


def fragments(tag: int, value: BulkPiece, size: int = 1 << 30) -> list[Piece]:
    """Encapsulated pixel data (PS3.5 A.4) of one frame or one video: an empty offset table, then fragments of at most
    `size` bytes, which is even."""
    starts = range(0, value.length, size)
    pieces = [BulkPiece(value.uri, value.offset + at, min(size, value.length - at)) for at in starts]
    return _encapsulated(tag, b"", pieces)


def frames(tag: int, values: Sequence[BulkPiece]) -> list[Piece]:
    """Encapsulated pixel data (PS3.5 A.4) of several frames: an offset table, if its 32 bits suffice, and a fragment
    for each frame."""
    offsets = list(accumulate([value.length + (value.length & 1) + 8 for value in values[:-1]], initial=0))
    table = b"".join(map(_UINT32.pack, offsets)) if offsets[-1] <= 0xFFFFFFFF else b""
    return _encapsulated(tag, table, values)


def _encapsulated(tag: int, table: bytes, values: Sequence[BulkPiece]) -> list[Piece]:
    pieces: list[Piece] = [_header(tag, b"OB", 0xFFFFFFFF), _FRAGMENT + _UINT32.pack(len(table)) + table]
    for value in values:
        odd = value.length & 1
        pieces += [_FRAGMENT + _UINT32.pack(value.length + odd), value, *([b"\0"] if odd else [])]
    return [*pieces, _SEQUENCE_END]


def _header(tag: int, vr: bytes, length: int) -> bytes:
    if vr in LONG_VRS:
        if length > _MAX_LENGTH and length != 0xFFFFFFFF:
            raise NotUnderstood("a value is too long")
        return _LONG.pack(tag >> 16, tag & 0xFFFF, vr, 0, length)
    if length > 0xFFFE:
        raise NotUnderstood("a value is too long for its vr")
    return _SHORT.pack(tag >> 16, tag & 0xFFFF, vr, length)


def _tag(name: object) -> int:
    try:
        if len(str(name)) != 8:
            raise ValueError
        tag = int(str(name), 16)
    except ValueError:
        raise NotUnderstood("a name in a data set is not a tag") from None
    if tag >> 16 == 0xFFFE or tag < 0:
        raise NotUnderstood("a delimiter in a data set")
    return tag


def _uri(element: Mapping[str, Any]) -> str:
    return str(element["BulkDataURI"])


def _values(element: Mapping[str, Any]) -> list[Any]:
    values = element.get("Value", [])
    if not isinstance(values, list):
        raise NotUnderstood("a value is not an array")
    return values


def _binary(element: Mapping[str, Any]) -> bytes:
    try:
        value = base64.b64decode(element.get("InlineBinary", ""), validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise NotUnderstood("inline binary is not base64") from None
    return value + b"\0" * (len(value) & 1)


def _value(tag: int, vr: bytes, values: Sequence[Any]) -> bytes:
    try:
        if vr in _PACK:
            return b"".join(_PACK[vr].pack(_number(vr, value)) for value in values)
        if vr == b"AT":
            return b"".join(Struct("<HH").pack(int(v[:4], 16), int(v[4:], 16)) for v in values)
        text = "\\".join(_text(vr, value) for value in values).encode("utf-8")
    except (StructError, OverflowError, TypeError, ValueError):
        raise NotUnderstood(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) has a value that does not fit its VR") from None
    return text + (b"\0" if vr == b"UI" else b" ") * (len(text) & 1)


def _number(vr: bytes, value: Any) -> Any:
    if vr in (b"FL", b"FD"):
        return float(value)
    if isinstance(value, float) and not value.is_integer():
        raise ValueError
    return int(value)


def _text(vr: bytes, value: Any) -> str:
    if value is None:
        return ""
    if vr == b"PN":
        if not isinstance(value, Mapping):
            return str(value)
        return "=".join(str(value.get(group) or "") for group in _GROUPS).rstrip("=")
    if isinstance(value, (Mapping, list, bool)):
        raise TypeError
    if vr == b"DS" and isinstance(value, float):
        return _decimal(value)
    return str(value)


def _decimal(value: float) -> str:
    """PS3.5 6.2, DS: at most 16 characters; as exact as they allow."""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    for digits in range(17, 0, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return repr(value) if len(repr(value)) <= 16 else text
    raise ValueError
