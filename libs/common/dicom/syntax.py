"""How an element begins, in each encoding (PS3.5 7.1): what the streaming walk and the readers of headers share."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, NamedTuple

from libs.common.dicom.transfer_syntaxes import Encoding
from libs.common.dicom.vrs import LONG_VRS, SHORT_VRS, is_vr, vr_of

SOP_CLASS_UID = 0x00080016
SOP_INSTANCE_UID = 0x00080018
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
UIDS = frozenset((SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID))

ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF


class Syntax(NamedTuple):
    """The unpackers of one encoding.

    `short` reads tag, VR and length with tag and VR as numbers in the encoding's byte order, which is the fastest that
    Python can; `uids` (the tags of `UIDS`), `ui` and `plain_vrs` (the other short VRs) are written the same way.
    """

    explicit: bool
    short: Callable[[bytes, int], tuple[Any, ...]]
    long: Callable[[bytes, int], tuple[Any, ...]]
    uint32: Callable[[bytes, int], tuple[Any, ...]]
    item: bytes
    uids: frozenset[int]
    ui: int
    plain_vrs: frozenset[int]


def _syntax(explicit: bool, order: str) -> Syntax:
    def unpack(form: str) -> Callable[[bytes, int], tuple[Any, ...]]:
        return Struct(order + form).unpack_from

    uids = frozenset(Struct(order + "I").unpack(Struct(order + "HH").pack(tag >> 16, tag & 0xFFFF))[0] for tag in UIDS)
    item = Struct(order + "HH").pack(0xFFFE, 0xE000)
    vrs = {vr: Struct(order + "H").unpack(vr)[0] for vr in SHORT_VRS}
    ui = vrs.pop(b"UI")
    plain = frozenset(vrs.values())
    return Syntax(explicit, unpack("IHH"), unpack("HHI"), unpack("I"), item, uids, ui, plain)


EXPLICIT = _syntax(True, "<")
EXPLICIT_BIG = _syntax(True, ">")
IMPLICIT = _syntax(False, "<")


def syntax_of(encoding: Encoding) -> Syntax:
    """The syntax of a data set in this encoding."""
    return (EXPLICIT_BIG if encoding.big_endian else EXPLICIT) if encoding.explicit else IMPLICIT


def read_element(data: bytes, pos: int, end: int, syntax: Syntax) -> tuple[int, bytes, int, int] | None:
    """Tag, VR, length and where the value begins; None where more bytes are needed (PS3.5 7.1)."""
    if end - pos < 8:
        return None
    group, element, length = syntax.long(data, pos)
    tag = group << 16 | element
    if group == 0xFFFE:
        return tag, b"", length, pos + 8
    vr = data[pos + 4 : pos + 6]
    if not syntax.explicit or not is_vr(vr):
        # In an explicit syntax: an element written in implicit VR all the same. Some senders do that.
        return tag, vr_of(tag), length, pos + 8
    if vr in SHORT_VRS:
        return tag, vr, syntax.short(data, pos)[2], pos + 8
    if end - pos < 12:
        return None
    if vr not in LONG_VRS and data[pos + 6 : pos + 8] != b"\0\0":
        # A VR that nobody knows has the long form (PS3.5 7.1.2), unless what would be reserved is not zero.
        return tag, vr, syntax.short(data, pos)[2], pos + 8
    return tag, vr, syntax.uint32(data, pos + 8)[0], pos + 12
