"""Part 10 framing: preamble, prefix and file meta information (PS3.10 7.1)."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from gantry.common.dicom.standard.vrs import LONG_VRS
from gantry.common.errors import NotUnderstood
from gantry.common.ids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, PRIVATE_INFORMATION_UID

PREAMBLE_LENGTH = 128
MAX_META_LENGTH = 64 * 1024
"""A file meta information larger than this is refused; real ones have a few hundred bytes."""
MAX_PRIVATE = 48 * 1024
"""Bytes of Private Information that a file of ours may have."""

_START = PREAMBLE_LENGTH + 4
_SHORT = Struct("<HH2sH")
_LONG = Struct("<HH2sHI")
_UINT32 = Struct("<I")

_GROUP_LENGTH = 0x0000
_SOP_CLASS = 0x0002
_SOP_INSTANCE = 0x0003
_TRANSFER_SYNTAX = 0x0010
_PRIVATE_CREATOR = 0x0100
_PRIVATE = 0x0102


@dataclass(frozen=True, slots=True)
class FileMeta:
    """The file meta information; `data_set_offset` is where the data set begins. A missing UID is "". `private` is the
    Private Information (0002,0102) of files that this archive wrote, b"" in all others; it may be padded by a byte."""

    data_set_offset: int
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    private: bytes = b""


def _element(number: int, vr: bytes, value: bytes) -> bytes:
    if len(value) & 1:
        value += b"\0" if vr == b"UI" else b" "
    return _SHORT.pack(0x0002, number, vr, len(value)) + value


def file_meta(
    sop_class: str, sop_instance: str, transfer_syntax: str, source_ae_title: str = "", private: bytes = b""
) -> bytes:
    """Preamble (zero), prefix and file meta information of a file that we write: the bytes before the data set.
    `private` is for files that stay with us (`MAX_PRIVATE` bytes at most)."""
    elements = [
        _LONG.pack(0x0002, 0x0001, b"OB", 0, 2) + b"\x00\x01",
        _element(_SOP_CLASS, b"UI", sop_class.encode("ascii")),
        _element(_SOP_INSTANCE, b"UI", sop_instance.encode("ascii")),
        _element(_TRANSFER_SYNTAX, b"UI", transfer_syntax.encode("ascii")),
        _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode("ascii")),
        _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode("ascii")),
    ]
    if source_ae_title:
        elements.append(_element(0x0016, b"AE", source_ae_title.encode("ascii", "replace")))
    if private:
        elements.append(_element(_PRIVATE_CREATOR, b"UI", PRIVATE_INFORMATION_UID.encode("ascii")))
        padded = private + b"\0" * (len(private) & 1)
        elements.append(_LONG.pack(0x0002, _PRIVATE, b"OB", 0, len(padded)) + padded)
    body = b"".join(elements)
    return bytes(PREAMBLE_LENGTH) + b"DICM" + _element(_GROUP_LENGTH, b"UL", _UINT32.pack(len(body))) + body


def parse_meta(head: bytes) -> FileMeta:
    """The file meta information at the beginning of a file; `head` must hold `needed(head)` bytes of it.

    Raises `NotUnderstood` for anything that is not a Part 10 file, or not a whole file meta information.
    """
    meta = _parse(head)
    if isinstance(meta, int):
        raise NotUnderstood("file meta information is cut off")
    return meta


def needed(head: bytes) -> int:
    """How many bytes of the file `parse_meta` needs, as far as `head` shows: call again with that many until the result
    is at most `len(head)`. Raises `NotUnderstood` as `parse_meta` does."""
    meta = _parse(head)
    return meta if isinstance(meta, int) else len(head)


def _parse(head: bytes) -> FileMeta | int:
    """The meta, or how many bytes of the file are needed to know more."""
    if head[PREAMBLE_LENGTH:_START] != b"DICM"[: max(0, len(head) - PREAMBLE_LENGTH)]:
        raise NotUnderstood("not a part 10 file: no DICM prefix")
    pos = _START
    values: dict[int, bytes] = {}
    while True:
        if pos > MAX_META_LENGTH:
            raise NotUnderstood("file meta information is too large")
        if len(head) < pos + 8:
            return pos + 8
        length: int
        group, number, vr, length = _SHORT.unpack_from(head, pos)
        if group != 0x0002 or not vr.isalpha():
            # PS3.10 7.1: the meta ends where its group ends, whatever (0002,0000) says: some writers count wrongly, and
            # elements that they did not count would become part of the data set. A deflated data set may begin with any
            # bytes.
            break
        start = pos + 8
        if vr in LONG_VRS:
            if len(head) < pos + 12:
                return pos + 12
            length = _UINT32.unpack_from(head, start)[0]
            start += 4
        pos = start + length
        if pos > MAX_META_LENGTH:
            raise NotUnderstood("file meta information is too large")
        if len(head) < pos:
            return pos
        values[number] = bytes(head[start:pos])
    return _meta(pos, values)


def _meta(data_set_offset: int, values: dict[int, bytes]) -> FileMeta:
    def text(number: int) -> str:
        return values.get(number, b"").decode("ascii", "replace").strip(" \0")

    if not text(_TRANSFER_SYNTAX):
        raise NotUnderstood("file meta information names no transfer syntax")
    private = values.get(_PRIVATE, b"") if text(_PRIVATE_CREATOR) == PRIVATE_INFORMATION_UID else b""
    return FileMeta(data_set_offset, text(_SOP_CLASS), text(_SOP_INSTANCE), text(_TRANSFER_SYNTAX), private)
