"""Dummy values of each VR (PS3.15 E.1.1, action D): they conform, and they are the same for everybody. Pure."""

from __future__ import annotations

from typing import Any

DUMMY_TEXT = "ANONYMIZED"

_DUMMIES: dict[bytes, Any] = {
    b"AE": DUMMY_TEXT,
    b"AS": "000Y",
    b"AT": "00000000",
    b"CS": DUMMY_TEXT,
    b"DA": "19000101",
    b"DS": "0",
    b"DT": "19000101000000",
    b"FD": 0.0,
    b"FL": 0.0,
    b"IS": "0",
    b"LO": DUMMY_TEXT,
    b"LT": DUMMY_TEXT,
    b"PN": DUMMY_TEXT,
    b"SH": DUMMY_TEXT,
    b"SL": 0,
    b"SS": 0,
    b"ST": DUMMY_TEXT,
    b"SV": 0,
    b"TM": "000000",
    b"UC": DUMMY_TEXT,
    b"UL": 0,
    b"UR": "urn:anonymized",
    b"US": 0,
    b"UT": DUMMY_TEXT,
    b"UV": 0,
}
BULK_DUMMY = bytes(8)
"""A value of any VR of bytes or words (PS3.5 6.2)."""


def dummy(vr: bytes) -> Any:
    """One value of this VR, as the DICOM JSON model has it; None for VRs of bytes, sequences and UIDs."""
    return _DUMMIES.get(vr)
