"""Instances made from metadata and bulk data (PS3.18 10.5.1, 8.7.3). Pure.

The metadata describes the instance; compressed pixel data determines its transfer syntax and the Image Pixel module,
and prevails if the metadata contradicts it (Warning Reason B000).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gantry.common.dicom.model.json_reading import BulkPiece, Piece, bulk_element, encoded, fragments, frames
from gantry.common.dicom.standard.tags import PIXEL_DATA
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, encoding_of
from gantry.common.errors import MismatchedDataSet, NotUnderstood
from gantry.services.ingest.commit import Announced
from gantry.services.ingest.stow.codestreams import Codestream, codestream
from gantry.services.ingest.stow.frame_boundaries import frames_in
from gantry.services.ingest.stow.response import COERCED

_OCTETS = "application/octet-stream"
_VIDEO_FRAGMENT = 1 << 30


class Bulk(Protocol):
    """One bulk value: its media type, the transfer syntax that its part names ("" if none), and its bytes."""

    media_type: str
    transfer_syntax: str
    size: int

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`."""


@dataclass(frozen=True, slots=True)
class BuiltInstance:
    """An instance: what is announced of it, its data set in pieces, the URIs of the bulk values it uses, and a Warning
    Reason (0: none)."""

    announced: Announced
    pieces: Sequence[Piece]
    used: frozenset[str]
    warning: int


def names_of(data_set: Any) -> tuple[str, str]:
    """SOP class and instance UID of the metadata, "" for each that is missing."""
    return _text(data_set, "00080016"), _text(data_set, "00080018")


def make(data_set: Any, bulk: Mapping[str, Bulk], study: str = "") -> BuiltInstance:
    """The instance that one data set of the metadata describes. Raises `NotUnderstood` and `MismatchedDataSet`."""
    if not isinstance(data_set, Mapping):
        raise NotUnderstood("a data set is not an object")
    # PS3.18 F.2: JSON is UTF-8, whatever Specific Character Set says.
    whole: dict[str, Any] = {**data_set, "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}}
    used: set[str] = set()

    def lookup(uri: str) -> Bulk:
        if uri not in bulk:
            raise NotUnderstood("the metadata refers to bulk data that is in no part")
        used.add(uri)
        return bulk[uri]

    image, places = _pixels(whole, lookup)
    warning = _complete(whole, image) if image is not None else 0
    syntax = EXPLICIT_LITTLE_ENDIAN if image is None else image.transfer_syntax_uid

    def pixel_data(uri: str) -> Sequence[Piece]:
        if image is None:
            return bulk_element(PIXEL_DATA, _vr(whole), BulkPiece(uri, 0, lookup(uri).size))
        pieces = [BulkPiece(uri, offset, length) for offset, length in places]
        return frames(PIXEL_DATA, pieces) if len(pieces) > 1 else fragments(PIXEL_DATA, pieces[0], _VIDEO_FRAGMENT)

    pieces = list(encoded(whole, lambda uri: lookup(uri).size, pixel_data))
    sop_class, instance = names_of(whole)
    return BuiltInstance(Announced(sop_class, instance, syntax, study), pieces, frozenset(used), warning)


def _pixels(data_set: Mapping[str, Any], lookup: Any) -> tuple[Codestream | None, list[tuple[int, int]]]:
    """The format of compressed pixel data, and offset and length of each frame, or of the video, in its bulk value;
    None if pixel data is absent or not compressed."""
    element = data_set.get("7FE00010")
    if not isinstance(element, Mapping) or "BulkDataURI" not in element:
        return None, []
    value: Bulk = lookup(str(element["BulkDataURI"]))
    named = value.transfer_syntax
    if value.media_type == _OCTETS and not encoding_of(named or EXPLICIT_LITTLE_ENDIAN).encapsulated:
        _check_native(data_set, value.size)
        return None, []
    image = codestream(value.read)
    count = _number(data_set, "00280008", 1)
    if image.frames == 1 and count != 1:
        return frames_in(value.read, count)
    length = value.size - image.offset
    return image, [(image.offset, length if image.length is None else min(image.length, length))]


def _check_native(data_set: Mapping[str, Any], size: int) -> None:
    """PS3.5 8.1.1: native pixel data is as long as the Image Pixel module says."""
    numbers = [_number(data_set, tag, 0) for tag in ("00280010", "00280011", "00280002", "00280100")]
    rows, columns, samples, bits = numbers
    frames = _number(data_set, "00280008", 1)
    expected = (rows * columns * samples * bits * frames + 7) // 8
    if 0 in numbers or size not in (expected, expected + (expected & 1)):
        raise MismatchedDataSet("pixel data is not as long as rows, columns, samples, bits and frames say")


def _complete(data_set: dict[str, Any], image: Codestream) -> int:
    """Put the values of the pixel data into the data set. The Warning Reason if that replaced others, else 0."""
    certain: dict[str, tuple[str, Any]] = {
        "00280010": ("US", image.rows),
        "00280011": ("US", image.columns),
        "00280002": ("US", image.samples),
        "00280100": ("US", 8 if image.bits <= 8 else 16),
    }
    if image.samples == 3:
        certain["00280006"] = ("US", 0)
    missing: dict[str, tuple[str, Any]] = {
        "00280101": ("US", image.bits),
        "00280102": ("US", image.bits - 1),
        "00280103": ("US", 0),
        "00280004": ("CS", image.photometric),
    }
    if image.lossy_method:
        certain["00282110"] = ("CS", "01")
        missing["00282114"] = ("CS", image.lossy_method)
    if image.frames > 1 or image.frame_time:
        certain["00280008"] = ("IS", image.frames)
        missing["00181063"] = ("DS", round(image.frame_time, 4))
        missing["00280009"] = ("AT", "00181063")
    changed = False
    for tag, (vr, value) in certain.items():
        original = _values(data_set, tag)
        changed = changed or (original != [] and str(original[0]) != str(value))
        data_set[tag] = {"vr": vr, "Value": [value]}
    if (_text(data_set, "00280004") or image.photometric).startswith("MONOCHROME") != (image.samples == 1):
        changed, data_set["00280004"] = True, {"vr": "CS", "Value": [image.photometric]}
    for tag, (vr, value) in missing.items():
        if not _values(data_set, tag):
            data_set[tag] = {"vr": vr, "Value": [value]}
    return COERCED if changed else 0


def _vr(data_set: Mapping[str, Any]) -> bytes:
    """PS3.5 A.2: OW, or OB if a sample has at most 8 bits."""
    return b"OB" if _number(data_set, "00280100", 8) <= 8 else b"OW"


def _values(data_set: Mapping[str, Any], tag: str) -> list[Any]:
    element = data_set.get(tag) if isinstance(data_set, Mapping) else None
    values = element.get("Value") if isinstance(element, Mapping) else None
    return values if isinstance(values, list) else []


def _text(data_set: Any, tag: str) -> str:
    values = _values(data_set, tag)
    return values[0] if values and isinstance(values[0], str) else ""


def _number(data_set: Mapping[str, Any], tag: str, default: int) -> int:
    values = _values(data_set, tag)
    try:
        return int(values[0]) if values else default
    except (TypeError, ValueError, OverflowError):
        raise NotUnderstood("the image pixel module has a value that is not a number") from None
