"""Dummy values conform to their VR."""

from __future__ import annotations

import warnings

import pytest
from pydicom.dataelem import DataElement

from gantry.common.deidentify.values import BULK_DUMMY, dummy
from gantry.common.dicom.standard.vrs import BULK_VRS, LONG_VRS, SHORT_VRS


@pytest.mark.parametrize("vr", sorted(SHORT_VRS | LONG_VRS))
def test_a_dummy_is_a_valid_value(vr: bytes) -> None:
    value = dummy(vr)
    if vr in BULK_VRS | {b"SQ", b"UI"}:
        assert value is None
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DataElement(0x00091001, vr.decode(), int(value, 16) if vr == b"AT" else value, validation_mode=2)


def test_a_dummy_of_bytes_is_one_of_words_too() -> None:
    assert len(BULK_DUMMY) % 8 == 0
    assert not any(BULK_DUMMY)
