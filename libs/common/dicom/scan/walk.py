"""The walk over a data set as its bytes arrive (PS3.5 7): elements, sequences and items, fragments.

Values are skipped by their length and never buffered; open sequences and items are on our own stack, so that depth
needs no recursion. The walk holds at most the first bytes of one element over from one chunk to the next.
"""

from __future__ import annotations

from enum import Enum
from struct import error as StructError
from typing import NamedTuple

from gantry.common.dicom.encoding.syntax import IMPLICIT, UIDS, UNDEFINED, Syntax, read_element, syntax_of
from gantry.common.dicom.scan.header import HeaderCollector, ScanLimits
from gantry.common.dicom.standard.tags import (
    DOUBLE_FLOAT_PIXEL_DATA,
    EXTENDED_OFFSET_TABLE,
    FLOAT_PIXEL_DATA,
    ITEM,
    ITEM_DELIMITATION_ITEM,
    PIXEL_DATA,
    SEQUENCE_DELIMITATION_ITEM,
)
from gantry.common.dicom.standard.transfer_syntaxes import Encoding
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.errors import NotUnderstood

_MAX_UID = 128
"""Bytes waited for before a value is judged as a UID: twice what PS3.5 9.1 allows."""

_PIXEL_TAGS = frozenset((FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA, PIXEL_DATA))


class _Kind(Enum):
    ELEMENTS = 0
    SEQUENCE = 1
    FRAGMENTS = 2


class _Open(NamedTuple):
    """An open sequence or item. `close` is the offset in the data set where it ends, None if a delimiter ends it."""

    kind: _Kind
    close: int | None
    syntax: Syntax


class Walk:
    """Feed it a data set in chunks; it passes the header to `collector`, and collects `uids`."""

    def __init__(self, encoding: Encoding, collector: HeaderCollector, limits: ScanLimits) -> None:
        self._open = [_Open(_Kind.ELEMENTS, None, syntax_of(encoding))]
        self._collector = collector
        self._limits = limits
        self._items_left = limits.max_items
        self._left = limits.max_walked
        self._tail = b""
        self._base = 0
        self._skip = 0
        self._mark = 0
        self._leaving_out = False
        self.uids: dict[int, bytes] = {}
        self.header_length: int | None = None

    @property
    def offset(self) -> int:
        """How many bytes of the data set have been walked over."""
        return self._base

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, cut anywhere. Raises `NotUnderstood`, which ends the walk."""
        data = self._tail + chunk if self._tail else chunk
        end = len(data)
        pos = min(self._skip, end)
        self._skip -= pos
        self._mark = pos if self._leaving_out else 0
        if not self._skip:
            self._leaving_out = False
            pos = self._advance(data, pos, end)
        if self.header_length is None and not self._leaving_out:
            self._collector.add(data[self._mark : pos])
        self._tail = data[pos:]
        self._base += pos

    def pass_over(self, available: int) -> int:
        """How many of the next `available` bytes need not be examined, since they are in a value that is skipped by its
        length and not retained. They count as fed."""
        if self.header_length is None and not self._leaving_out:
            return 0
        passed = min(self._skip, available)
        self._skip -= passed
        self._base += passed
        if not self._skip:
            self._leaving_out = False
        return passed

    def finish(self) -> None:
        """The data set ends here. Raises `NotUnderstood` if an element or sequence in it is incomplete."""
        while len(self._open) > 1 and self._open[-1].close == self._base:
            self._open.pop()
        if self._skip or self._tail or len(self._open) > 1:
            raise NotUnderstood("data set is cut off")

    def _advance(self, data: bytes, pos: int, end: int) -> int:
        """Walk as far as the bytes allow. Returns where the first incomplete element begins."""
        while True:
            kind, close, syntax = self._open[-1]
            limit = end if close is None else min(end, close - self._base)
            if kind is _Kind.ELEMENTS:
                pos = self._pass_plain(data, pos, limit, syntax)
            if close == self._base + pos:
                self._open.pop()
                continue
            if pos == end:
                return pos
            after = self._element(data, pos, end)
            if after is None:
                return pos
            if after > end:
                self._skip = after - end
                return end
            pos = after

    def _pass_plain(self, data: bytes, pos: int, limit: int, syntax: Syntax) -> int:
        """Skip elements that need no further handling."""
        if self._base + pos == 0:
            # PS3.5 7.1: elements are in order, so one of a command or of file meta information comes first, and
            # `_top_level` refuses it.
            return pos
        passing = _pass_explicit if syntax.explicit else _pass_implicit
        after = passing(data, pos, limit, syntax)
        self._spend(after - pos)
        return after

    def _spend(self, walked: int) -> None:
        self._left -= walked
        if self._left < 0:
            raise NotUnderstood("too many elements")

    def _element(self, data: bytes, pos: int, end: int) -> int | None:
        """Take one element. Returns where the next one begins, or None if more bytes are needed."""
        self._spend(8)
        read = read_element(data, pos, end, self._open[-1].syntax)
        if read is None:
            return None
        tag, _, length, start = read
        if self._open[-1].kind is not _Kind.ELEMENTS:
            return self._item(tag, length, start)
        if tag in (ITEM_DELIMITATION_ITEM, SEQUENCE_DELIMITATION_ITEM, ITEM):
            return self._delimiter(tag, length, start)
        if len(self._open) == 1:
            return self._top_level(data, pos, end, read)
        return self._value(data, end, read)

    def _top_level(self, data: bytes, pos: int, end: int, read: tuple[int, bytes, int, int]) -> int | None:
        tag, vr, length, start = read
        if tag < 0x00080000 and tag >> 16 in (0, 2, 4, 6):
            # PS3.5 7.1: these groups are not in data sets.
            raise NotUnderstood("an element of a command, a file meta information or a directory in the data set")
        if self.header_length is None and EXTENDED_OFFSET_TABLE <= tag <= PIXEL_DATA:
            self._collector.add(data[self._mark : pos])
            self.header_length = self._base + pos
        if tag in UIDS and self.header_length is None:
            if length > _MAX_UID:
                raise NotUnderstood("a UID is too long")
            if start + length > end:
                return None
            self._note_uid(tag, data[start : start + length])
        if tag in _PIXEL_TAGS:
            self._collector.pixels(tag, vr, self._base + start, None if length == UNDEFINED else length)
        elif length != UNDEFINED and EXTENDED_OFFSET_TABLE <= tag < PIXEL_DATA:
            self._collector.leave_out(tag, vr, self._base + start, length)
        elif length != UNDEFINED and self.header_length is None and self._collector.is_bulk(vr, length):
            self._collector.add(data[self._mark : pos])
            self._collector.leave_out(tag, vr, self._base + start, length)
            self._mark = start + length
            self._leaving_out = self._mark > end
        return self._value(data, end, read)

    def _note_uid(self, tag: int, value: bytes) -> None:
        uid = bytes(value).strip(b" \0")
        if self.uids.setdefault(tag, uid) != uid:
            raise NotUnderstood("a UID is there twice, with two values")

    def _value(self, data: bytes, end: int, read: tuple[int, bytes, int, int]) -> int | None:
        tag, vr, length, start = read
        syntax = self._open[-1].syntax
        if length == UNDEFINED:
            if tag == PIXEL_DATA and vr != b"SQ":
                self._push(_Kind.FRAGMENTS, None, syntax)
            elif vr == b"UN" or not syntax.explicit:
                # PS3.5 6.2.2 note: the items of a UN of undefined length are implicit VR little endian.
                self._push(_Kind.SEQUENCE, None, IMPLICIT)
            elif vr == b"SQ":
                self._push(_Kind.SEQUENCE, None, syntax)
            else:
                raise NotUnderstood("undefined length where the VR allows none")
            return start
        after = self._within(start + length)
        if vr == b"SQ" and length >= 8:
            if end - start < 4:
                return None
            # A value that does not begin with an item is not a sequence, whatever its VR: skipped by its length.
            if data[start : start + 4] == syntax.item:
                self._push(_Kind.SEQUENCE, self._base + after, syntax)
                return start
        return after

    def _item(self, tag: int, length: int, start: int) -> int:
        """PS3.5 7.5: a sequence and encapsulated pixel data contain only items and a delimiter."""
        kind, close, syntax = self._open[-1]
        if tag == SEQUENCE_DELIMITATION_ITEM:
            if close is None:
                self._open.pop()
            return start
        if tag != ITEM:
            raise NotUnderstood("no item where a sequence wants one")
        self._items_left -= 1
        if self._items_left < 0:
            raise NotUnderstood("too many items")
        if kind is _Kind.FRAGMENTS:
            if length == UNDEFINED:
                raise NotUnderstood("a fragment of undefined length")
            if len(self._open) == 2:
                self._collector.fragment(length)
            return self._within(start + length)
        if length == UNDEFINED:
            self._push(_Kind.ELEMENTS, None, syntax)
        else:
            self._push(_Kind.ELEMENTS, self._base + self._within(start + length), syntax)
        return start

    def _delimiter(self, tag: int, length: int, start: int) -> int:
        if tag == ITEM_DELIMITATION_ITEM and len(self._open) > 1:
            if self._open[-1].close is None:
                self._open.pop()
            return start
        raise NotUnderstood("a delimiter outside of a sequence")

    def _within(self, after: int) -> int:
        close = self._open[-1].close
        if close is not None and self._base + after > close:
            raise NotUnderstood("an element reaches beyond its sequence")
        return after

    def _push(self, kind: _Kind, close: int | None, syntax: Syntax) -> None:
        if len(self._open) > 2 * self._limits.max_depth:
            raise NotUnderstood("sequences are nested too deep")
        self._open.append(_Open(kind, close, syntax))


def _pass_explicit(data: bytes, pos: int, limit: int, syntax: Syntax) -> int:
    """Skip elements with a short VR that end within `limit`. Returns where it stopped.

    This loop takes most of the time: only an unpacking, a set lookup and a comparison for each element. The end of the
    data shows as `struct.error`, which costs nothing until then.
    """
    short, plain, ui, uids = syntax.short, syntax.plain_vrs, syntax.ui, syntax.uids
    try:
        while True:
            tag, vr, length = short(data, pos)
            after = pos + 8 + length
            if after > limit or (vr not in plain and (vr != ui or tag in uids)):
                return pos
            pos = after
    except StructError:
        return pos


def _pass_implicit(data: bytes, pos: int, limit: int, syntax: Syntax) -> int:
    """The same for implicit VR, in which the dictionary shows what may be a sequence, and long values are examined."""
    long = syntax.long
    try:
        while True:
            group, element, length = long(data, pos)
            after = pos + 8 + length
            tag = group << 16 | element
            if after > limit or length > 1024 or not 6 < group < 0x7FE0 or tag in UIDS or vr_of(tag) == b"SQ":
                return pos
            pos = after
    except StructError:
        return pos
