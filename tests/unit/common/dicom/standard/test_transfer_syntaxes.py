"""Transfer syntaxes (PS3.5 10, PS3.6 table A-1) against pydicom's dictionary of UIDs."""

from __future__ import annotations

import pytest
from pydicom.uid import UID, UID_dictionary

from gantry.common.dicom.standard import transfer_syntaxes
from gantry.common.dicom.standard.transfer_syntaxes import TRANSFER_SYNTAXES, encoding_of, name_of

THEIRS = {uid: row for uid, row in UID_dictionary.items() if row[1] == "Transfer Syntax"}
STANDARD = sorted(uid for uid in TRANSFER_SYNTAXES if uid.startswith("1.2.840.10008."))
PAPYRUS = "1.2.840.10008.1.20"
"""Papyrus 3 Implicit VR Little Endian: retired, and never described in PS3.5."""

JPIP_DEFLATE = ("1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")


def test_every_transfer_syntax_that_pydicom_knows_is_in_the_table() -> None:
    assert set(THEIRS) - set(TRANSFER_SYNTAXES) <= {PAPYRUS, "1.2.840.10008.1.2.6.1", "1.2.840.10008.1.2.6.2"}


def test_a_row_has_the_keyword_that_the_standard_has() -> None:
    both = sorted(THEIRS.keys() & TRANSFER_SYNTAXES.keys())
    assert len(both) > 50
    assert {uid: TRANSFER_SYNTAXES[uid].keyword for uid in both} == {uid: THEIRS[uid][4] for uid in both}


def test_an_encoding_is_what_pydicom_says() -> None:
    """Of those that are not newer than its dictionary."""
    known = [uid for uid in STANDARD if uid in THEIRS]
    assert len(known) > 50
    for uid in known:
        theirs, ours = UID(uid), encoding_of(uid)
        assert ours.explicit is not theirs.is_implicit_VR, uid
        assert ours.big_endian is not theirs.is_little_endian, uid
        # PS3.5 A.7: JPIP Referenced Deflate, of which pydicom knows only the UIDs.
        assert ours.deflated is (theirs.is_deflated or uid in JPIP_DEFLATE), uid


def test_only_one_is_implicit_and_one_is_big_endian_of_those_in_the_standard() -> None:
    rows = [TRANSFER_SYNTAXES[uid] for uid in STANDARD]
    assert [row.uid for row in rows if not row.encoding.explicit] == ["1.2.840.10008.1.2"]
    assert [row.uid for row in rows if row.encoding.big_endian] == ["1.2.840.10008.1.2.2"]


def test_what_is_encapsulated_is_explicit_little_endian_and_not_deflated_as_a_whole() -> None:
    """PS3.5 A.4."""
    for row in TRANSFER_SYNTAXES.values():
        if row.encoding.encapsulated:
            assert row.encoding.explicit
            assert not row.encoding.big_endian
            assert not row.encoding.deflated


@pytest.mark.parametrize("uid", ["1.2.3.4", "", "1.2.840.10008.1.2.4.999"])
def test_an_unknown_transfer_syntax_is_taken_for_an_encapsulated_one_and_named_by_its_uid(uid: str) -> None:
    assert encoding_of(uid) == encoding_of("1.2.840.10008.1.2.4.50")
    assert name_of(uid) == uid


@pytest.mark.parametrize(
    ("uid", "media_type", "method"),
    [
        ("1.2.840.10008.1.2.1", "", ""),
        ("1.2.840.10008.1.2.4.50", "image/jpeg", "ISO_10918_1"),
        ("1.2.840.10008.1.2.4.70", "image/jpeg", ""),
        ("1.2.840.10008.1.2.4.80", "image/jls", ""),
        ("1.2.840.10008.1.2.4.81", "image/jls", "ISO_14495_1"),
        ("1.2.840.10008.1.2.4.90", "image/jp2", ""),
        ("1.2.840.10008.1.2.4.91", "image/jp2", "ISO_15444_1"),
        ("1.2.840.10008.1.2.4.201", "image/jphc", ""),
        ("1.2.840.10008.1.2.5", "image/dicom-rle", ""),
        ("1.2.840.10008.1.2.4.102", "video/mp4", "ISO_14496_10"),
    ],
)
def test_a_frame_has_the_media_type_of_ps3_18_and_the_method_of_ps3_3(uid: str, media_type: str, method: str) -> None:
    """PS3.18 tables 8.7.3-4 and 8.7.3-5; PS3.3 C.7.6.1.1.5.1."""
    row = TRANSFER_SYNTAXES[uid]
    assert (row.media_type, row.lossy_method) == (media_type, method)


def test_every_name_of_the_module_is_a_row_under_that_uid() -> None:
    uids = {value for name, value in vars(transfer_syntaxes).items() if name.isupper() and isinstance(value, str)}
    assert uids <= set(TRANSFER_SYNTAXES)
    assert all(row.uid == uid for uid, row in TRANSFER_SYNTAXES.items())
