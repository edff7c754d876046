"""Data sets written by hand, which no library would write; Explicit VR Little Endian unless stated otherwise."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from gantry.common.ids import new_uid

CT = "1.2.840.10008.5.1.4.1.1.2"
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"))


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """An element; `length` is the declared length, if it differs from the real one."""
    declared = len(value) if length is None else length
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    return head + (struct.pack("<HI", 0, declared) if vr in _LONG else struct.pack("<H", declared)) + value


def implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    """An element in Implicit VR Little Endian; an item or a delimiter in any."""
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def even(value: str | bytes, padding: bytes = b" ") -> bytes:
    data = value.encode("latin-1") if isinstance(value, str) else value
    return data + padding * (len(data) & 1)


class Made:
    """A data set: UIDs and a patient of its own unless given, and `more` elements (tag, bytes of the element)."""

    def __init__(
        self,
        *more: tuple[int, bytes],
        instance: str = "",
        study: str = "",
        series: str = "",
        sop_class: str = CT,
        without: Iterable[int] = (),
    ) -> None:
        self.sop_class = sop_class
        self.instance, self.study, self.series = instance or new_uid(), study or new_uid(), series or new_uid()
        elements = {
            0x00080016: element(0x00080016, b"UI", even(sop_class, b"\0")),
            0x00080018: element(0x00080018, b"UI", even(self.instance, b"\0")),
            0x00080060: element(0x00080060, b"CS", b"CT"),
            0x00100010: element(0x00100010, b"PN", b"Doe^Jane"),
            0x00100020: element(0x00100020, b"LO", even(f"P{self.study[-20:]}")),
            0x0020000D: element(0x0020000D, b"UI", even(self.study, b"\0")),
            0x0020000E: element(0x0020000E, b"UI", even(self.series, b"\0")),
            **dict(more),
        }
        self.data = b"".join(elements[tag] for tag in sorted(elements) if tag not in without)


def nested(depth: int, *, defined: bool = False) -> bytes:
    """A Content Sequence within a Content Sequence within …"""
    inner = element(0x00080104, b"LO", b"deep")
    for _ in range(depth):
        if defined:
            inner = element(0x0040A730, b"SQ", implicit(ITEM, inner))
        else:
            item = implicit(ITEM, inner, UNDEFINED) + implicit(ITEM_END, b"")
            inner = element(0x0040A730, b"SQ", item + implicit(SEQUENCE_END, b""), UNDEFINED)
    return inner


def fragments(*pieces: bytes, table: bytes = b"", end: bool = True) -> bytes:
    """Encapsulated pixel data (PS3.5 A.4)."""
    items = implicit(ITEM, table) + b"".join(implicit(ITEM, piece) for piece in pieces)
    return element(0x7FE00010, b"OB", items + (implicit(SEQUENCE_END, b"") if end else b""), UNDEFINED)
