"""A data set with a marked value in every attribute of PS3.15 table E.1-1, to check which marks remain."""

from __future__ import annotations

from gantry.common.deidentify.table import TABLE
from gantry.common.dicom.encoding.charsets import DEFAULT
from gantry.common.dicom.encoding.writing import ElementWriter
from gantry.common.dicom.standard.dictionary import entry_of
from gantry.common.dicom.standard.tags import (
    CODE_MEANING,
    PATIENT_ID,
    REFERENCED_SOP_INSTANCE_UID,
    SOP_CLASS_UID,
)
from gantry.common.dicom.standard.transfer_syntaxes import Encoding
from gantry.common.dicom.standard.vrs import vr_of
from tests.support.elements import CT

UNLISTED_SEQUENCE = 0x52009229
"""Shared Functional Groups Sequence: it is not in the table, so its items stay and are processed."""
PRIVATE_CREATOR, PRIVATE_TEXT, PRIVATE_SEQUENCE = 0x00090010, 0x00091001, 0x00091002
MARK = b"MARK"


def marked_tags() -> list[int]:
    """All attributes of the table that can be in a data set."""
    return [tag for tag in TABLE if tag >> 16 >= 8]


def vr_for(tag: int) -> bytes:
    """The VR to write it with; a text VR if our dictionary is older than the table."""
    return vr_of(tag) if entry_of(tag) is not None else b"LO"


def mark(tag: int) -> bytes:
    """A unique value for the VR of the attribute."""
    vr, number = vr_for(tag), sorted(TABLE).index(tag)
    day = f"1{number // 336:02d}{7}{number // 28 % 12 + 1:02d}{number % 28 + 1:02d}"
    time = f"{number // 60 % 24:02d}{number % 60:02d}59.{number:06d}"
    special = {
        b"DA": day, b"TM": time, b"DT": day + time, b"UI": f"1.2.3.99999.{number}", b"AS": f"{number % 90 + 10:03d}W",
        b"DS": f"{number}.4711", b"IS": f"4711{number}",
    }  # fmt: skip
    if vr == b"US":
        return number.to_bytes(2, "little")
    value = special.get(vr, f"MARK{number:06d}").encode()
    return value + (b"\0" if vr == b"UI" else b" ") * (len(value) & 1)


class Marked:
    """The data set: each mark at the top, once more in an item, and in private elements on both levels."""

    def __init__(self, encoding: Encoding) -> None:
        self.writer = ElementWriter(encoding, DEFAULT)
        self.encoding = encoding
        level = {tag: self.element(tag) for tag in marked_tags()}
        private = {
            PRIVATE_CREATOR: self.writer.plain(PRIVATE_CREATOR, b"LO", b"MARK CREATOR"),
            PRIVATE_TEXT: self.writer.plain(PRIVATE_TEXT, b"LO", b"MARK PRIVATE"),
            PRIVATE_SEQUENCE: self.writer.sequence(PRIVATE_SEQUENCE, [level[PATIENT_ID]]),
        }
        level |= private
        level[SOP_CLASS_UID] = self.writer.plain(SOP_CLASS_UID, b"UI", CT.encode() + b"\0" * (len(CT) & 1))
        item = b"".join(level[tag] for tag in sorted(level))
        level[UNLISTED_SEQUENCE] = self.writer.sequence(UNLISTED_SEQUENCE, [item])
        self.data = b"".join(level[tag] for tag in sorted(level))

    def element(self, tag: int) -> bytes:
        """The attribute with its mark; a sequence with an item that has a code's meaning and a reference."""
        vr = vr_for(tag)
        if vr != b"SQ":
            return self.writer.plain(tag, vr, mark(tag))
        reference = self.writer.plain(REFERENCED_SOP_INSTANCE_UID, b"UI", mark(REFERENCED_SOP_INSTANCE_UID))
        if TABLE[tag].basic == "X/Z/U*":
            return self.writer.sequence(tag, [reference])
        meaning = self.writer.plain(CODE_MEANING, b"LO", f"MARK{tag:08X}".encode())
        return self.writer.sequence(tag, [meaning + reference])
