"""The head of an element in each encoding (PS3.5 7.1), for the streaming walk and the readers of headers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Any

from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.common.dicom.standard.transfer_syntaxes import Encoding
from gantry.common.dicom.standard.vrs import LONG_VRS, SHORT_VRS, is_vr, vr_of

UIDS = frozenset((SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID))

UNDEFINED = 0xFFFFFFFF
MAX_NESTING = 64
"""Nesting depth of sequences that an object may have when it is received."""
MAX_READ_NESTING = 128
"""Nesting depth of sequences that a reader follows; more than is accepted, so that every stored object can be read."""


@dataclass(frozen=True, slots=True, eq=False)
class Syntax:
    """The unpackers of one encoding.

    `short` reads tag, VR and length with tag and VR as numbers in the encoding's byte order, which is the fastest that
    Python can; `uids` (the tags of `UIDS`), `short_vrs`, `ui` and `plain_vrs` (the other short VRs) are written the
    same way, as `number` writes a tag.
    """

    explicit: bool
    number: Callable[[int], int]
    short: Callable[[bytes, int], tuple[Any, ...]]
    long: Callable[[bytes, int], tuple[Any, ...]]
    uint32: Callable[[bytes, int], tuple[Any, ...]]
    item: bytes
    uids: frozenset[int]
    short_vrs: Mapping[int, bytes]
    ui: int
    plain_vrs: frozenset[int]


def _syntax(explicit: bool, order: str) -> Syntax:
    def unpack(form: str) -> Callable[[bytes, int], tuple[Any, ...]]:
        return Struct(order + form).unpack_from

    def number(tag: int) -> int:
        return int(Struct(order + "I").unpack(Struct(order + "HH").pack(tag >> 16, tag & 0xFFFF))[0])

    item = Struct(order + "HH").pack(0xFFFE, 0xE000)
    vrs = {int(Struct(order + "H").unpack(vr)[0]): vr for vr in SHORT_VRS}
    ui = next(written for written, vr in vrs.items() if vr == b"UI")
    return Syntax(
        explicit,
        number,
        unpack("IHH"),
        unpack("HHI"),
        unpack("I"),
        item,
        frozenset(map(number, UIDS)),
        vrs,
        ui,
        frozenset(vrs) - {ui},
    )


EXPLICIT = _syntax(True, "<")
EXPLICIT_BIG = _syntax(True, ">")
IMPLICIT = _syntax(False, "<")


def syntax_of(encoding: Encoding) -> Syntax:
    """The syntax of a data set in this encoding."""
    return (EXPLICIT_BIG if encoding.big_endian else EXPLICIT) if encoding.explicit else IMPLICIT


def read_element(data: bytes, pos: int, end: int, syntax: Syntax) -> tuple[int, bytes, int, int] | None:
    """Tag, VR, length and where the value begins; None if more bytes are needed (PS3.5 7.1)."""
    if end - pos < 8:
        return None
    group, element, length = syntax.long(data, pos)
    tag = group << 16 | element
    if group == 0xFFFE:
        return tag, b"", length, pos + 8
    vr = data[pos + 4 : pos + 6]
    if not syntax.explicit or not is_vr(vr):
        # In an explicit syntax: an element that is nevertheless in implicit VR. Some senders do that.
        return tag, vr_of(tag), length, pos + 8
    if vr in SHORT_VRS:
        return tag, vr, syntax.short(data, pos)[2], pos + 8
    if end - pos < 12:
        return None
    if vr not in LONG_VRS and data[pos + 6 : pos + 8] != b"\0\0":
        # An unknown VR has the long form (PS3.5 7.1.2), unless its reserved bytes would not be zero.
        return tag, vr, syntax.short(data, pos)[2], pos + 8
    return tag, vr, syntax.uint32(data, pos + 8)[0], pos + 12
