"""A data set with corrected attributes: the elements of its header, with their previous values in Original Attributes
Sequence (PS3.3 C.12.1.1.9). Pure; the rest of the data set is unchanged, in its encoding.

If the Specific Character Set cannot represent a corrected text, the whole header is written in UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gantry.common.dicom.encoding.charsets import DEFAULT, UTF_8, CharacterSet, character_set
from gantry.common.dicom.encoding.elements import item_bounds, skip
from gantry.common.dicom.encoding.syntax import IMPLICIT, MAX_READ_NESTING, UNDEFINED, read_element, syntax_of
from gantry.common.dicom.encoding.values import IN_CHARACTER_SET, value_list
from gantry.common.dicom.encoding.writing import ElementWriter, Unrepresentable
from gantry.common.dicom.standard.tags import (
    ATTRIBUTE_MODIFICATION_DATE_TIME,
    MODIFIED_ATTRIBUTES_SEQUENCE,
    MODIFYING_SYSTEM,
    ORIGINAL_ATTRIBUTES_SEQUENCE,
    REASON_FOR_THE_ATTRIBUTE_MODIFICATION,
    SOURCE_OF_PREVIOUS_VALUES,
    SPECIFIC_CHARACTER_SET,
)
from gantry.common.dicom.standard.transfer_syntaxes import Encoding
from gantry.common.errors import NotUnderstood

_UTF_8 = character_set([UTF_8])
_TOO_LONG = 0xFFFE


@dataclass(frozen=True, slots=True)
class Modification:
    """One change of a data set: attributes in the DICOM JSON model, and its description in Original Attributes
    Sequence: when (a DT value), by which system, and why (a defined term: CORRECT, or COERCE)."""

    attributes: Mapping[str, Mapping[str, Any]]
    at: str
    system: str
    reason: str = "CORRECT"


@dataclass(frozen=True, slots=True)
class CorrectedPiece:
    """A piece of the corrected header. `keeps_value` is False if the value behind it is dropped with its element."""

    data: bytes
    keeps_value: bool = True


@dataclass(frozen=True, slots=True)
class _Element:
    tag: int
    vr: bytes
    data: bytes
    """Head and value; only the head if the value is elsewhere."""
    start: int = 0
    """Where the value begins in `data`."""
    is_elsewhere: bool = False
    has_undefined_length: bool = False

    @property
    def value(self) -> bytes:
        return self.data[self.start :]


@dataclass(frozen=True, slots=True)
class CorrectedHeader:
    """The corrected pieces; `was` is the former character set of the header, if it is in UTF-8 now."""

    pieces: Sequence[CorrectedPiece]
    was: CharacterSet | None = None


def corrected_header(
    pieces: Sequence[bytes], encoding: Encoding, modifications: Sequence[Modification]
) -> CorrectedHeader:
    """The header with modifications, in their order. `pieces` are its bytes between values that are elsewhere: each but
    the last ends where such a value begins. Raises `NotUnderstood`."""
    elements = [_elements(piece, encoding, last=n == len(pieces) - 1) for n, piece in enumerate(pieces)]
    text = _text_of(elements)
    try:
        return CorrectedHeader(_corrected(elements, encoding, text, modifications))
    except Unrepresentable:
        elements = [[_in_utf_8(element, encoding, text) for element in group] for group in elements]
        if not any(element.tag == SPECIFIC_CHARACTER_SET for group in elements for element in group):
            elements[0].insert(0, _character_set_element(encoding))
        return CorrectedHeader(_corrected(elements, encoding, _UTF_8, modifications), text)


def corrected_tail(tail: bytes, encoding: Encoding, charset: CharacterSet | None) -> bytes:
    """The elements after the pixel data, which no modification affects: in the character set of the header. Raises
    `NotUnderstood`."""
    if charset is None or not tail:
        return tail
    return b"".join([_in_utf_8(element, encoding, charset).data for element in _elements(tail, encoding, last=True)])


def _elements(data: bytes, encoding: Encoding, *, last: bool) -> list[_Element]:
    """The top-level elements of a piece, less group lengths (PS3.5 7.2: retired, and wrong after a modification)."""
    syntax, pos, end = syntax_of(encoding), 0, len(data)
    elements = []
    while pos < end:
        read = read_element(data, pos, end, syntax)
        if read is None:
            raise NotUnderstood("data set is cut off")
        tag, vr, length, start = read
        is_elsewhere = not last and start == end and length not in (0, UNDEFINED)
        inner = IMPLICIT if vr == b"UN" else syntax
        stop = skip(data, start, end, inner) if length == UNDEFINED else start if is_elsewhere else start + length
        if stop > end:
            raise NotUnderstood("data set is cut off")
        if tag & 0xFFFF:
            elements.append(_Element(tag, vr, data[pos:stop], start - pos, is_elsewhere, length == UNDEFINED))
        pos = stop
    return elements


def _text_of(elements: Sequence[Sequence[_Element]]) -> CharacterSet:
    """The Specific Character Set of a header."""
    for group in elements:
        for element in group:
            if element.tag == SPECIFIC_CHARACTER_SET:
                return _named(element.value)
    return DEFAULT


def _named(value: bytes) -> CharacterSet:
    return character_set([str(term or "") for term in value_list(b"CS", value, DEFAULT)])


def _corrected(
    elements: Sequence[Sequence[_Element]],
    encoding: Encoding,
    text: CharacterSet,
    modifications: Sequence[Modification],
) -> list[CorrectedPiece]:
    writer = ElementWriter(encoding, text)
    known = {element.tag: element for group in elements for element in group}
    put: dict[int, bytes] = {}
    notes = []
    for modification in modifications:
        before: dict[int, bytes] = {}
        for tag, element, is_empty in _written(modification, writer, last=text is _UTF_8):
            old = put.get(tag, _data_of(known.get(tag)))
            if tag not in put and tag not in known and is_empty:
                continue  # an absent attribute need not be emptied
            if old != element:
                put[tag], before[tag] = element, old
        if before:
            notes.append(_note(modification, before, writer))
    if notes:
        had = known.get(ORIGINAL_ATTRIBUTES_SEQUENCE)
        put[ORIGINAL_ATTRIBUTES_SEQUENCE] = _with_notes(had, notes, encoding, writer)
    return list(_pieces(elements, put))


def _written(modification: Modification, writer: ElementWriter, *, last: bool) -> Iterator[tuple[int, bytes, bool]]:
    """Tag, element, and whether it is empty. A value that cannot be written at all is left out: an object with one
    uncorrected attribute is better than one that cannot be retrieved."""
    for name in sorted(modification.attributes):
        attribute = modification.attributes[name]
        try:
            yield int(name, 16), writer.element(int(name, 16), attribute), "Value" not in attribute
        except NotUnderstood as error:
            if isinstance(error, Unrepresentable) and not last:
                raise


def _data_of(known: _Element | None) -> bytes:
    """An element as it was; b"" if there was none, or its value is too long to be repeated."""
    return b"" if known is None or known.is_elsewhere else known.data


def _pieces(elements: Sequence[Sequence[_Element]], put: Mapping[int, bytes]) -> Iterator[CorrectedPiece]:
    left = sorted(put)
    for number, group in enumerate(elements):
        parts, keeps_value = [], True
        for element in group:
            while left and left[0] <= element.tag:
                parts.append(put[left.pop(0)])
            if element.tag in put:
                keeps_value = keeps_value and not element.is_elsewhere
            else:
                parts.append(element.data)
        if number == len(elements) - 1:
            parts += [put[tag] for tag in left]
        yield CorrectedPiece(b"".join(parts), keeps_value)


def _note(modification: Modification, before: Mapping[int, bytes], writer: ElementWriter) -> bytes:
    """One item of Original Attributes Sequence; `before` are the elements as they were."""
    return b"".join((
        writer.sequence(MODIFIED_ATTRIBUTES_SEQUENCE, [b"".join([before[tag] for tag in sorted(before)])]),
        writer.element(ATTRIBUTE_MODIFICATION_DATE_TIME, {"vr": "DT", "Value": [modification.at]}),
        writer.element(MODIFYING_SYSTEM, {"vr": "LO", "Value": [modification.system]}),
        writer.element(SOURCE_OF_PREVIOUS_VALUES, {"vr": "LO"}),
        writer.element(REASON_FOR_THE_ATTRIBUTE_MODIFICATION, {"vr": "CS", "Value": [modification.reason]}),
    ))  # fmt: skip


def _with_notes(known: _Element | None, notes: list[bytes], encoding: Encoding, writer: ElementWriter) -> bytes:
    """The sequence, with the new items after its own: earlier modifications stay recorded."""
    items: list[bytes] = []
    if known is not None and known.vr == b"SQ" and not known.is_elsewhere:
        data = known.value
        items = [data[begin:end] for begin, end in item_bounds(data, 0, len(data), syntax_of(encoding))]
    return writer.sequence(ORIGINAL_ATTRIBUTES_SEQUENCE, [*items, *notes])


# ---- in UTF-8


def _character_set_element(encoding: Encoding) -> _Element:
    written = ElementWriter(encoding, DEFAULT).element(SPECIFIC_CHARACTER_SET, {"vr": "CS", "Value": [UTF_8]})
    return _Element(SPECIFIC_CHARACTER_SET, b"CS", written)


def _in_utf_8(element: _Element, encoding: Encoding, text: CharacterSet, depth: int = 0) -> _Element:
    """An element with its text in UTF-8; unchanged if it has none."""
    if element.tag == SPECIFIC_CHARACTER_SET:
        return _character_set_element(encoding)
    writer = ElementWriter(encoding, _UTF_8)
    if element.vr == b"SQ" and element.value:
        data = element.value
        bounds = item_bounds(data, 0, len(data), syntax_of(encoding))
        items = [_item_in_utf_8(data[begin:end], encoding, text, depth + 1) for begin, end in bounds]
        return replace(element, data=writer.sequence(element.tag, items), has_undefined_length=False)
    if (
        element.vr not in IN_CHARACTER_SET
        or element.is_elsewhere
        or (element.value.isascii() and b"\x1b" not in element.value)
    ):
        return element
    value = text.decode(element.value).rstrip(" \0").encode()
    value += b" " * (len(value) & 1)
    if len(value) > _TOO_LONG and element.vr not in (b"UC", b"UT"):
        raise NotUnderstood(f"{element.tag:08X} is too long in UTF-8")
    return replace(element, data=writer.plain(element.tag, element.vr, value))


def _item_in_utf_8(data: bytes, encoding: Encoding, text: CharacterSet, depth: int) -> bytes:
    if depth > MAX_READ_NESTING:
        raise NotUnderstood("sequences are nested too deep")
    elements = _elements(data, encoding, last=True)
    inner = next((_named(element.value) for element in elements if element.tag == SPECIFIC_CHARACTER_SET), text)
    return b"".join([_in_utf_8(element, encoding, inner, depth).data for element in elements])
