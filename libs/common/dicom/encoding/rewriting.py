"""Elements of one encoding as elements of another one, in little endian: Implicit, Explicit and Big Endian into each
other (PS3.5 7.1, 7.3, A.1 to A.3). Pure.

A value may be elsewhere: for an element that ends where its value would begin, only its new head is written.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection
from dataclasses import dataclass
from struct import Struct

from gantry.common.dicom.encoding.elements import item_bounds, skip
from gantry.common.dicom.encoding.syntax import IMPLICIT, MAX_READ_NESTING, UNDEFINED, Syntax, read_element, syntax_of
from gantry.common.dicom.standard.dictionary import entry_of
from gantry.common.dicom.standard.tags import (
    BITS_ALLOCATED,
    CHANNEL_MAXIMUM_VALUE,
    CHANNEL_MINIMUM_VALUE,
    PIXEL_DATA,
    PIXEL_REPRESENTATION,
    WAVEFORM_BITS_ALLOCATED,
    WAVEFORM_DATA,
    WAVEFORM_PADDING_VALUE,
)
from gantry.common.dicom.standard.transfer_syntaxes import Encoding
from gantry.common.dicom.standard.vrs import SHORT_VRS, vr_of
from gantry.common.errors import NotUnderstood

_SHORT, _LONG, _PLAIN = Struct("<HH2sH"), Struct("<HH2sHI"), Struct("<HHI")
_ITEM, _ITEM_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0"
_SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
_UINT32 = Struct("<I")
_MOST_SHORT = 0xFFFE
_OF_WAVEFORMS = frozenset((WAVEFORM_PADDING_VALUE, WAVEFORM_DATA, CHANNEL_MINIMUM_VALUE, CHANNEL_MAXIMUM_VALUE))

WIDTHS = {
    **dict.fromkeys((b"US", b"SS", b"AT", b"OW"), 2),
    **dict.fromkeys((b"UL", b"SL", b"FL", b"OF", b"OL"), 4),
    **dict.fromkeys((b"FD", b"OD", b"OV", b"SV", b"UV"), 8),
}
"""Bytes of a number in each VR that holds numbers, which are reversed between byte orders (PS3.5 7.3)."""

SHORT_ARRAYS = {2: "H", 4: "I", 8: "Q"}


def swapped(value: bytes | bytearray | memoryview, width: int) -> bytes:
    """Numbers of `width` bytes in the other byte order; remaining bytes at the end stay."""
    if width == 1:
        return bytes(value)
    whole = len(value) - len(value) % width
    if width not in SHORT_ARRAYS:
        numbers = memoryview(value)[:whole]
        turned = bytearray(whole)
        for place in range(width):
            turned[place::width] = numbers[width - 1 - place :: width]
        return bytes(turned) + bytes(value[whole:])
    words = array(SHORT_ARRAYS[width])
    words.frombytes(memoryview(value)[:whole])
    words.byteswap()
    return words.tobytes() + bytes(value[whole:])


@dataclass(frozen=True, slots=True)
class VrContext:
    """The attributes that decide the VR of an ambiguous element (PS3.5 A.1): whether pixels are signed and how wide
    they are, and how wide the samples of waveforms are. An item inherits them, unless it has its own."""

    signed: bool = False
    allocated: int = 16
    waveform: int = 16


class Rewriter:
    """From `source`, already inflated, into Explicit VR Little Endian, or Implicit if `explicit` is False."""

    def __init__(self, source: Encoding, explicit: bool, drop: Collection[int] = ()) -> None:
        self._source = source
        self._explicit = explicit
        self._drop = drop
        self.context = VrContext()

    def elements(self, data: bytes, replaced: dict[int, bytes] | None = None) -> bytes:
        """The top-level elements in `data`, without group lengths and those to be dropped; `replaced` has new values by
        tag. The last element may end where its value begins. Raises `NotUnderstood`."""
        self.context = _context(data, 0, len(data), syntax_of(self._source), self.context)
        return self._within(data, 0, len(data), self._source, self.context, 0, replaced or {})

    def _within(
        self,
        data: bytes,
        pos: int,
        end: int,
        encoding: Encoding,
        context: VrContext,
        depth: int,
        replaced: dict[int, bytes],
    ) -> bytes:
        if depth > MAX_READ_NESTING:
            raise NotUnderstood("sequences are nested too deep")
        syntax, parts = syntax_of(encoding), []
        while pos < end:
            read = read_element(data, pos, end, syntax)
            if read is None:
                raise NotUnderstood("data set is cut off")
            tag, vr, length, start = read
            is_elsewhere = depth == 0 and start == end and length not in (0, UNDEFINED)
            inner = IMPLICIT if vr == b"UN" else syntax
            stop = skip(data, start, end, inner) if length == UNDEFINED else start if is_elsewhere else start + length
            if stop > end:
                raise NotUnderstood("data set is cut off")
            pos = stop
            # PS3.5 7.2: group lengths are retired, and would be wrong after rewriting.
            if tag & 0xFFFF == 0 or (depth == 0 and tag in self._drop):
                continue
            if is_elsewhere:
                parts.append(self.head(tag, vr, length, context))
            elif depth == 0 and tag in replaced:
                parts.append(self.head(tag, vr, len(replaced[tag]), context) + replaced[tag])
            else:
                parts.append(self._element(data, tag, vr, length, start, stop, encoding, context, depth))
        return b"".join(parts)

    def _element(
        self,
        data: bytes,
        tag: int,
        vr: bytes,
        length: int,
        start: int,
        stop: int,
        encoding: Encoding,
        context: VrContext,
        depth: int,
    ) -> bytes:
        if vr == b"UN" and length == UNDEFINED:
            # PS3.5 6.2.2: its items are implicit VR little endian in any data set.
            return self.head(tag, vr, length, context) + data[start:stop]
        if vr == b"SQ" and (
            start == stop or data[start : start + 4] == syntax_of(encoding).item or length == UNDEFINED
        ):
            return self._sequence(data, tag, length, start, stop, encoding, context, depth)
        value = data[start:stop]
        if encoding.big_endian and vr != b"SQ":
            value = swapped(value, WIDTHS.get(vr, 1))
        if vr == b"SQ":
            vr = b"UN"  # a value that does not begin with an item is not a sequence, whatever its VR
        return self.head(tag, vr, len(value), context) + value

    def _sequence(
        self,
        data: bytes,
        tag: int,
        length: int,
        start: int,
        stop: int,
        encoding: Encoding,
        context: VrContext,
        depth: int,
    ) -> bytes:
        """A sequence of undefined length stays so; its items become so, since their content has another length now."""
        syntax, parts = syntax_of(encoding), []
        end = stop - 8 if length == UNDEFINED else stop
        for begin, until in item_bounds(data, start, end, syntax):
            inner = _context(data, begin, until, syntax, context)
            parts += [_ITEM + b"\xff\xff\xff\xff", self._within(data, begin, until, encoding, inner, depth + 1, {})]
            parts.append(_ITEM_END)
        content = b"".join(parts)
        if length == UNDEFINED:
            return self.head(tag, b"SQ", UNDEFINED, context) + content + _SEQUENCE_END
        return self.head(tag, b"SQ", len(content), context) + content

    def head(self, tag: int, vr: bytes, length: int, context: VrContext | None = None) -> bytes:
        """Tag, VR and length of an element."""
        if not self._explicit:
            return _PLAIN.pack(tag >> 16, tag & 0xFFFF, length)
        if not self._source.explicit:
            vr = explicit_vr(tag, vr, context or self.context)
        if vr in SHORT_VRS and length > _MOST_SHORT:
            # PS3.5 6.2.2 note 3: a value that is too long for its VR in an explicit encoding becomes UN.
            vr = b"UN"
        if vr not in SHORT_VRS:
            return _LONG.pack(tag >> 16, tag & 0xFFFF, vr, 0, length)
        return _SHORT.pack(tag >> 16, tag & 0xFFFF, vr, length)


def explicit_vr(tag: int, vr: bytes, context: VrContext) -> bytes:
    """The VR that an element of implicit VR has (PS3.5 A.1, A.2): `vr` is the widest one in the dictionary."""
    if vr == b"SQ" or vr == b"UN":
        return vr
    entry = entry_of(tag)
    stated_vr = entry[0] if entry is not None else ""
    if tag == PIXEL_DATA:
        return b"OW" if context.allocated > 8 else b"OB"
    if tag in _OF_WAVEFORMS:
        return b"OW" if context.waveform > 8 else b"OB"
    if stated_vr == "US or SS":
        return b"SS" if context.signed else b"US"
    return vr_of(tag) if stated_vr else vr


def _context(data: bytes, pos: int, end: int, syntax: Syntax, outer: VrContext) -> VrContext:
    """The context from the elements of one level."""
    values = {
        PIXEL_REPRESENTATION: int(outer.signed),
        BITS_ALLOCATED: outer.allocated,
        WAVEFORM_BITS_ALLOCATED: outer.waveform,
    }
    short = Struct("<H" if syntax.item[0] == 0xFE else ">H")
    while pos < end:
        read = read_element(data, pos, end, syntax)
        if read is None:
            break
        tag, vr, length, start = read
        if length == UNDEFINED:
            pos = skip(data, start, end, IMPLICIT if vr == b"UN" else syntax)
            continue
        if tag in values and length == 2 and start + 2 <= end:
            values[tag] = short.unpack_from(data, start)[0]
        pos = start + length
    return VrContext(bool(values[PIXEL_REPRESENTATION] & 1), values[BITS_ALLOCATED], values[WAVEFORM_BITS_ALLOCATED])
