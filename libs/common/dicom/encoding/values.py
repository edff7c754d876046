"""Values in the DICOM JSON model (PS3.18 F.2) from encoded elements: text decoded, numbers as numbers.

Every value that a peer may have sent becomes one that JSON can represent: text that is not a finite number stays text.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import lru_cache
from struct import Struct
from typing import Any

from gantry.common.dicom.encoding.charsets import DEFAULT, CharacterSet, character_set
from gantry.common.dicom.encoding.elements import Tags, elements, elements_of, inflated, item_bounds, skip
from gantry.common.dicom.encoding.inflate import inflate_head
from gantry.common.dicom.encoding.syntax import UNDEFINED, read_element, syntax_of
from gantry.common.dicom.standard.tags import SPECIFIC_CHARACTER_SET
from gantry.common.dicom.standard.transfer_syntaxes import Encoding, encoding_of
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.errors import NotUnderstood

_NUMBERS = {b"US": "H", b"SS": "h", b"UL": "I", b"SL": "i", b"UV": "Q", b"SV": "q", b"FL": "f", b"FD": "d"}
_UNPACK = {(vr, big): Struct((">" if big else "<") + c) for vr, c in _NUMBERS.items() for big in (False, True)}
# PS3.5 6.2: in these VRs a backslash is text, and leading spaces are significant.
_ONE_TEXT = frozenset((b"LT", b"ST", b"UT"))
# PS3.5 6.1.2.2: only these are in the Specific Character Set; the others are in the default repertoire.
IN_CHARACTER_SET = frozenset((b"LO", b"LT", b"PN", b"SH", b"ST", b"UC", b"UT"))
_ASCII_TEXT = frozenset((b"AE", b"AS", b"CS", b"DA", b"DS", b"DT", b"IS", b"TM", b"UI", b"UR"))
_TEXT = IN_CHARACTER_SET | _ASCII_TEXT
_PLAIN_TEXT = _TEXT - _ONE_TEXT - {b"PN", b"IS", b"DS"}
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_PADDING = " \0"
_IMPLICIT = Encoding(explicit=False)
MAX_SEQUENCE = 1 << 16
"""Bytes of a sequence whose items are indexed; longer ones are not."""
MAX_DEPTH = 8


def header_values(
    header: bytes,
    transfer_syntax_uid: str,
    wanted: Collection[int],
    *,
    private: Mapping[tuple[int, str, int], tuple[int, bytes]] | None = None,
    partial: bool = False,
) -> dict[int, list[Any]]:
    """The values of the wanted top-level elements of an inflated data set; empty ones are left out.

    `private` are further wanted elements, which are private: by group, creator and the last two digits of the element,
    the tag for the value, and its VR if the data set has UN.

    With `partial` the header may be cut off anywhere: the elements before the cut count. Otherwise raises
    `NotUnderstood` if it cannot be walked.
    """
    attributes: dict[int, list[Any]] = {}
    try:
        _collect(attributes, header, transfer_syntax_uid, frozenset(wanted), private)
    except NotUnderstood:
        if not partial:
            raise
    return attributes


class _Private:
    """The wanted private elements, beside `tags`, at the positions that the creators in a data set define."""

    def __init__(self, tags: Tags, private: Mapping[tuple[int, str, int], tuple[int, bytes]]) -> None:
        self._tags = tags
        self._private = private
        self._groups = frozenset(group for group, _, _ in private)
        self._creators: dict[tuple[int, int], str] = {}
        self.last = max(tags.last, *((group << 16) | 0xFFFF for group in self._groups))

    def __contains__(self, tag: object) -> bool:
        return tag in self._tags.tags or (isinstance(tag, int) and tag >> 16 in self._groups)

    def note_creator(self, tag: int, creator: str) -> None:
        """PS3.5 7.8.1: (gggg,00bb) reserves (gggg,bb00) to (gggg,bbFF)."""
        self._creators[tag >> 16, tag & 0xFF] = creator

    def element(self, tag: int) -> tuple[int, bytes] | None:
        """The tag and VR for a private element; None if it is not wanted."""
        group, element = tag >> 16, tag & 0xFFFF
        return self._private.get((group, self._creators.get((group, element >> 8), ""), element & 0xFF))


@lru_cache(maxsize=64)
def _tags_of(wanted: frozenset[int]) -> Tags:
    return Tags(wanted | {SPECIFIC_CHARACTER_SET})


def _collect(
    attributes: dict[int, list[Any]],
    header: bytes,
    transfer_syntax_uid: str,
    wanted: frozenset[int],
    private: Mapping[tuple[int, str, int], tuple[int, bytes]] | None,
) -> None:
    encoding = encoding_of(transfer_syntax_uid)
    text = DEFAULT
    tags = _tags_of(wanted)
    owners = _Private(tags, private) if private else None
    found_here = elements(header, encoding, owners.last, owners) if owners else elements_of(header, encoding, tags)
    for tag, vr, start, end in found_here:
        if tag == SPECIFIC_CHARACTER_SET:
            text = character_set([str(t or "") for t in value_list(b"CS", header[start:end], DEFAULT)])
        if start == end or (tag == SPECIFIC_CHARACTER_SET and tag not in wanted):
            continue
        expected = vr_of(tag)
        if owners is not None and tag & 0x10000 and tag not in tags.tags:
            if 0x10 <= tag & 0xFFFF <= 0xFF:
                owners.note_creator(tag, text_of(next(iter(value_list(b"LO", header[start:end], text)), "")))
            if (private_element := owners.element(tag)) is None:
                continue
            tag, expected = private_element
        if (known := _read_as(vr, expected)) is None:
            continue
        if known == b"SQ":
            values: list[Any] = sequence_items(header[start:end], _IMPLICIT if vr == b"UN" else encoding, text)
        else:
            values = value_list(known, header[start:end], text, encoding.big_endian)
        if values:
            attributes[tag] = values


def _read_as(vr: bytes, expected: bytes) -> bytes | None:
    """How to read an element with this VR whose attribute has another one; None if that is impossible.

    The sender's VR counts. But items, names and other values have different forms here, and code that uses an attribute
    relies on the form of its VR: one object would fail every search that finds it.
    """
    # A UN with a tag of the dictionary was written by a system that did not know the tag (PS3.5 6.2.2).
    if vr in (expected, b"UN"):
        return expected
    if expected == b"UN":
        return vr
    if b"SQ" in (vr, expected):
        return None
    if b"PN" in (vr, expected):
        return (expected if expected == b"PN" else b"LO") if vr in _TEXT else None
    return vr


def data_set_values(data: bytes, transfer_syntax_uid: str, wanted: Collection[int]) -> dict[int, list[Any]]:
    """The same for a stored data set, which may be deflated."""
    return header_values(inflated(data, encoding_of(transfer_syntax_uid), 1 << 26), transfer_syntax_uid, wanted)


_MOST_INFLATED = 4 << 20


def leading_values(beginning: bytes, transfer_syntax_uid: str, wanted: Collection[int]) -> dict[int, list[Any]]:
    """The values of the wanted elements in the beginning of a data set as it is stored, perhaps deflated (then in the
    first 4 MiB of it inflated). Elements after it, or after an unreadable part, are left out."""
    return header_values(_inflated_beginning(beginning, transfer_syntax_uid), transfer_syntax_uid, wanted, partial=True)


def has_passed(beginning: bytes, transfer_syntax_uid: str, last: int) -> bool:
    """Whether the beginning of a stored data set has an element after the tag `last`: the rest adds nothing to
    `leading_values` up to that tag."""
    data, encoding = _inflated_beginning(beginning, transfer_syntax_uid), encoding_of(transfer_syntax_uid)
    syntax, pos, end = syntax_of(encoding), 0, len(data)
    try:
        while pos < end and (read := read_element(data, pos, end, syntax)) is not None:
            tag, vr, length, start = read
            if tag > last:
                return True
            pos = start + length
            if length == UNDEFINED:
                pos = skip(data, start, end, syntax_of(_IMPLICIT) if vr == b"UN" else syntax)
    except NotUnderstood:
        pass
    return False


def _inflated_beginning(beginning: bytes, transfer_syntax_uid: str) -> bytes:
    if not encoding_of(transfer_syntax_uid).deflated:
        return beginning
    try:
        return inflate_head(beginning, _MOST_INFLATED)
    except NotUnderstood:
        return b""


def sequence_items(value: bytes, encoding: Encoding, text: CharacterSet) -> list[dict[int, list[Any]]]:
    """The items of a sequence, each as values by tag; only of elements that are in the dictionary and have a value.

    An empty list for an invalid sequence, and for one longer than `MAX_SEQUENCE` or deeper than `MAX_DEPTH`.
    """
    if len(value) > MAX_SEQUENCE:
        return []
    try:
        return [
            _item(value, within, encoding, text, 1) for within in item_bounds(value, 0, len(value), syntax_of(encoding))
        ]
    except NotUnderstood:
        return []


def _item(
    data: bytes, within: tuple[int, int], encoding: Encoding, text: CharacterSet, depth: int
) -> dict[int, list[Any]]:
    if depth > MAX_DEPTH:
        raise NotUnderstood("sequences are nested too deep")
    attributes: dict[int, list[Any]] = {}
    for tag, vr, start, end in elements(data, encoding, within=within):
        known = vr_of(tag)
        effective_vr = _read_as(vr, known)
        if tag == SPECIFIC_CHARACTER_SET:
            text = character_set([str(t or "") for t in value_list(b"CS", data[start:end], DEFAULT)])
        elif start == end or known == b"UN" or effective_vr is None:
            continue
        elif known == b"SQ":
            inner = _IMPLICIT if vr == b"UN" else encoding
            bounds = item_bounds(data, start, end, syntax_of(inner))
            attributes[tag] = [_item(data, item, inner, text, depth + 1) for item in bounds]
        elif values := value_list(effective_vr, data[start:end], text, encoding.big_endian):
            attributes[tag] = values
    return attributes


def value_list(vr: bytes, value: bytes, text: CharacterSet, big_endian: bool = False) -> list[Any]:
    """The "Value" of an element: a list, with None for an empty value among others; empty if there is no value.

    For sequences and binary values it is empty.
    """
    if vr in _PLAIN_TEXT and value.isascii() and b"\\" not in value and b"\x1b" not in value:
        # Nearly all values are one of these; the rest of this function would have the same result for them.
        plain = value.decode("ascii").strip(_PADDING)
        return [plain] if plain else []
    if vr in IN_CHARACTER_SET:
        decoded = text.decode(value)
        if vr in _ONE_TEXT:
            decoded = decoded.rstrip(_PADDING)
            return [decoded] if decoded else []
        if vr == b"PN":
            return _listed([_person_name(part) for part in decoded.split("\\")])
        if "\\" not in decoded:
            decoded = decoded.strip(_PADDING)
            return [decoded] if decoded else []
        return _listed([part.strip(_PADDING) or None for part in decoded.split("\\")])
    if vr in _ASCII_TEXT:
        # Peers violate this, too: UTF-8 occurs in a CS.
        parts = [part.strip(_PADDING) for part in DEFAULT.decode(value).split("\\")]
        if vr == b"IS":
            return _listed([_integer(part) for part in parts])
        if vr == b"DS":
            return _listed([_decimal(part) for part in parts])
        return _listed([part or None for part in parts])
    if vr == b"AT":
        pair = Struct(">HH" if big_endian else "<HH")
        return [f"{group:04X}{element:04X}" for group, element in pair.iter_unpack(value[: len(value) & ~3])]
    unpacker = _UNPACK.get((vr, big_endian))
    if unpacker is None:
        return []
    whole = len(value) - len(value) % unpacker.size
    return [_finite(number) for (number,) in unpacker.iter_unpack(value[:whole])]


def _listed(values: list[Any]) -> list[Any]:
    return values if any(value is not None for value in values) else []


def _person_name(value: str) -> dict[str, str] | None:
    """PS3.18 F.2.2: component groups by name."""
    name = {}
    for group, part in zip(_GROUPS, value.split("="), strict=False):
        part = part.strip(_PADDING)
        if part:
            name[group] = part
    return name or None


def _integer(part: str) -> int | str | None:
    # PS3.5 6.2, IS: 12 characters; longer values, or those with digits of other scripts, stay as they are.
    if len(part) > 12 or not part.isascii():
        return part
    try:
        return int(part) if part and "_" not in part else part or None
    except ValueError:
        return part


def _decimal(part: str) -> float | str | None:
    if len(part) > 16 or not part.isascii() or "_" in part:
        return part
    try:
        number = float(part) if part else None
    except ValueError:
        return part
    return number if number is None or math.isfinite(number) else part


def _finite(number: Any) -> Any:
    return number if math.isfinite(number) else str(number)


def text_of(value: Any) -> str:
    """One value as the text that stands for it in a C-FIND identifier."""
    if value is None:
        return ""
    if type(value) is str:
        return value
    if isinstance(value, dict):
        groups = [str(value.get(group, "")) for group in _GROUPS]
        return "=".join(groups).rstrip("=")
    if type(value) is float and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def whole_number(text: str) -> int | None:
    """The number in a peer's text, of at most nine digits; None for anything else: `isdigit` accepts characters that
    `int` does not, such as a superscript, and thousands of digits make Python raise an error."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
