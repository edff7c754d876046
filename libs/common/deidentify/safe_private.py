"""Private attributes that are known to identify nobody (PS3.15 table E.3.10-1), as far as they hold numbers or a code
word. Pure. By creator: group, last two digits of the element, VR.

Those of the table that hold text, UIDs or containers of their own are not kept: nobody can see what a device wrote
there.
"""

from __future__ import annotations

import re

SAFE_PRIVATE: dict[str, dict[tuple[int, int], bytes]] = {
    "Philips PET Private Group": {(0x7053, 0x00): b"DS", (0x7053, 0x09): b"DS"},
    "Philips Imaging DD 001": {(0x2001, 0x03): b"FL", (0x2001, 0x04): b"CS"},
    "ELSCINT1": {
        (0x00E1, 0x21): b"DS",
        (0x01E1, 0x26): b"CS",
        (0x01E1, 0x50): b"DS",
        (0x01F1, 0x01): b"CS",
        (0x01F1, 0x07): b"DS",
        (0x01F1, 0x26): b"DS",
        (0x01F1, 0x27): b"DS",
    },
    "GEMS_ACQU_01": {(0x0019, 0x23): b"DS", (0x0019, 0x24): b"DS", (0x0019, 0x27): b"DS"},
    "GEMS_SERS_01": {(0x0025, 0x07): b"SL"},
    "GEMS_PARM_01": {(0x0043, 0x39): b"IS", (0x0043, 0x6F): b"DS"},
    "GEMS_HELIOS_01": {(0x0045, 0x01): b"SS", (0x0045, 0x02): b"FL"},
    "GEIIS PACS": {(0x0903, 0x10): b"US", (0x0903, 0x11): b"US", (0x0903, 0x12): b"US"},
    "SIEMENS MR HEADER": {
        (0x0019, 0x0C): b"IS",
        (0x0019, 0x0D): b"CS",
        (0x0019, 0x0E): b"FD",
        (0x0019, 0x27): b"FD",
    },
}

_NUMBERS = re.compile(rb"[0-9+\-.eE\\ ]*\0?")
_WORDS = frozenset(
    (b"", b"NONE", b"DIRECTIONAL", b"ISOTROPIC", b"BMATRIX", b"P", b"R", b"S", b"M", b"O", b"I")
) | frozenset((b"AXIAL", b"HELIX", b"SPIRAL", b"SCANOGRAM", b"SURVEY", b"HEAD", b"BODY"))
_MOST = 512


def is_safe(creator: str, tag: int, vr: bytes, value: bytes) -> bool:
    """Whether this private element may stay: the table has it, and its value is what the table says."""
    stated_vr = SAFE_PRIVATE.get(creator, {}).get((tag >> 16, tag & 0xFF))
    if stated_vr is None or vr not in (stated_vr, b"UN") or len(value) > _MOST:
        return False
    if stated_vr in (b"DS", b"IS"):
        return _NUMBERS.fullmatch(value) is not None
    if stated_vr == b"CS":
        return all(word.strip(b" \0") in _WORDS for word in value.split(b"\\"))
    return len(value) % (8 if stated_vr == b"FD" else 4 if stated_vr in (b"SL", b"FL") else 2) == 0
