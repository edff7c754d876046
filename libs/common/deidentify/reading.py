"""A data set that passes by, taken apart at its bulk: what is before pixel data and behind it is held, pixel data is
not (PS3.5 7.1, A.4). Pure: pieces of bytes in, pieces of bytes out.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import pack

from gantry.common.dicom.encoding.syntax import IMPLICIT, MAX_READ_NESTING, UNDEFINED, Syntax, read_element
from gantry.common.dicom.standard.tags import (
    DOUBLE_FLOAT_PIXEL_DATA,
    FLOAT_PIXEL_DATA,
    ITEM,
    ITEM_DELIMITATION_ITEM,
    PIXEL_DATA,
    SEQUENCE_DELIMITATION_ITEM,
    SPECTROSCOPY_DATA,
)
from gantry.common.dicom.standard.vrs import is_vr
from gantry.common.errors import NotUnderstood

BULK = frozenset((PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA, SPECTROSCOPY_DATA))
"""What is passed on as it is. PS3.15 table E.1-1 has none of them."""
MAX_HELD = 128 << 20
"""Bytes of elements that are held; what has more is refused. Waveforms and functional groups are among them."""
_LONG_PRIVATE = 64 << 10


class ElementStream:
    """A data set as it comes. Raises `NotUnderstood` where it cannot be read."""

    def __init__(self, pieces: Iterator[bytes], syntax: Syntax) -> None:
        self._pieces = pieces
        self._syntax = syntax
        self._buffer = b""
        self._pos = 0
        self.ended = False
        """Whether all was read."""

    def held(self) -> bytes:
        """The elements in front of the next bulk value, or of the end. Long private values are left out: those that may
        stay are short."""
        parts: list[bytes] = []
        size = 0
        while (head := self._peek()) is not None:
            tag, vr, length, start = head
            if tag in BULK:
                return b"".join(parts)
            if length == UNDEFINED:
                part = self._take(start) + self._nested(vr)
            elif tag >> 16 & 1 and length > _LONG_PRIVATE:
                self._skip(start + length)
                continue
            else:
                part = self._take(start + length)
            size += len(part)
            if size > MAX_HELD:
                raise NotUnderstood(f"more than {MAX_HELD >> 20} MiB of it are not pixel data")
            parts.append(part)
        self.ended = True
        return b"".join(parts)

    def bulk(self) -> Iterator[bytes]:
        """The bulk element that `held` stopped at, as it is; to be read to its end before `held` is called again."""
        head = self._peek()
        if head is None:
            return
        tag, _, length, start = head
        yield _with_vr(self._take(start), tag, length, self._syntax)
        if length != UNDEFINED:
            yield from self._passed(length)
            return
        while True:
            item = self._peek()
            if item is None or item[0] not in (ITEM, SEQUENCE_DELIMITATION_ITEM) or item[2] == UNDEFINED:
                raise NotUnderstood("pixel data has no end")
            yield self._take(8)
            if item[0] == SEQUENCE_DELIMITATION_ITEM:
                return
            yield from self._passed(item[2])

    # ---- bytes

    def _peek(self, syntax: Syntax | None = None) -> tuple[int, bytes, int, int] | None:
        """The head of the next element: tag, VR, length, and the length of the head. None at the end."""
        self._fill(12)
        left = self._buffer[self._pos : self._pos + 12]
        if not left:
            return None
        read = read_element(left, 0, len(left), syntax or self._syntax)
        if read is None:
            raise NotUnderstood("data set is cut off")
        return read

    def _fill(self, count: int) -> None:
        if len(self._buffer) - self._pos >= count:
            return
        parts = [self._buffer[self._pos :]]
        length = len(parts[0])
        while length < count and (piece := next(self._pieces, None)) is not None:
            parts.append(piece)
            length += len(piece)
        self._buffer, self._pos = b"".join(parts), 0

    def _take(self, count: int) -> bytes:
        if count > MAX_HELD:
            raise NotUnderstood("an element that is not pixel data is too large, or the data set is cut off")
        self._fill(count)
        taken = self._buffer[self._pos : self._pos + count]
        if len(taken) < count:
            raise NotUnderstood("data set is cut off")
        self._pos += count
        return taken

    def _passed(self, count: int) -> Iterator[bytes]:
        while count:
            self._fill(1)
            piece = self._buffer[self._pos : self._pos + count]
            if not piece:
                raise NotUnderstood("data set is cut off")
            self._pos += len(piece)
            count -= len(piece)
            yield piece

    def _skip(self, count: int) -> None:
        for _ in self._passed(count):
            pass

    def _nested(self, vr: bytes) -> bytes:
        """The value of an element of undefined length, its delimiter included. Depth is on a list, and bounded."""
        open_: list[tuple[bool, Syntax]] = [(True, IMPLICIT if vr == b"UN" else self._syntax)]
        parts: list[bytes] = []
        size = 0
        while open_:
            in_sequence, syntax = open_[-1]
            head = self._peek(syntax)
            if head is None:
                raise NotUnderstood("data set is cut off")
            tag, inner, length, start = head
            if tag == (SEQUENCE_DELIMITATION_ITEM if in_sequence else ITEM_DELIMITATION_ITEM):
                open_.pop()
                length = 0
            elif in_sequence and tag != ITEM:
                raise NotUnderstood("no item where a sequence wants one")
            elif length == UNDEFINED:
                if len(open_) > 2 * MAX_READ_NESTING:
                    raise NotUnderstood("sequences are nested too deep")
                open_.append((not in_sequence, IMPLICIT if inner == b"UN" else syntax))
                length = 0
            parts.append(self._take(start + length))
            size += start + length
            if size > MAX_HELD:
                raise NotUnderstood(f"a sequence has more than {MAX_HELD >> 20} MiB")
        return b"".join(parts)


def _with_vr(head: bytes, tag: int, length: int, syntax: Syntax) -> bytes:
    """The head of a bulk element; with its VR where a sender left it out in an explicit encoding (PS3.5 A.4)."""
    if not syntax.explicit or is_vr(head[4:6]):
        return head
    return pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"OB" if length == UNDEFINED else b"OW", 0, length)
