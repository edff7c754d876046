"""Value representations: which have a long length, which hold bulk, and which VR a tag has (PS3.5 6.2, PS3.6)."""

from __future__ import annotations

from functools import lru_cache

from gantry.common.dicom.standard.dictionary import entry_of

# PS3.5 7.1.2: two reserved bytes and a length of four bytes after the VR.
LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
# PS3.5 7.1.2: a length of two bytes right after the VR.
SHORT_VRS = frozenset(
    (
        *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT"),
        *(b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
    )
)
BULK_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"UN"))


@lru_cache(maxsize=8192)
def vr_of(tag: int) -> bytes:
    """The VR of a tag in the data dictionary; UN if it has none. Of several VRs, the one with the wider values."""
    entry = entry_of(tag)
    if entry is None:
        # PS3.5 7.2.2: a private creator is LO; the VRs of other private elements are unknown.
        return b"LO" if tag & 0x10000 and 0x10 <= tag & 0xFFFF <= 0xFF else b"UN"
    vr = entry[0]
    return (vr[-2:] if " or " in vr else vr).encode("ascii")


def is_vr(vr: bytes) -> bool:
    """Whether these two bytes can be a VR: two capital letters, be they known today or not."""
    return 0x41 <= vr[0] <= 0x5A and 0x41 <= vr[1] <= 0x5A
