"""Part 10 framing against pydicom."""

from __future__ import annotations

import io
import struct

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.encoding import part10
from gantry.common.errors import GantryError, NotUnderstood
from gantry.common.ids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from tests.support.dicom import CT_IMAGE, EXPLICIT, bundled, bundled_file

META = part10.file_meta(CT_IMAGE, "1.2.3.4", EXPLICIT, "MODALITY")


def test_file_meta_is_what_pydicom_reads() -> None:
    read = pydicom.dcmread(io.BytesIO(META))
    assert read.preamble == bytes(128)
    meta = read.file_meta
    assert meta.FileMetaInformationGroupLength == len(META) - 144
    assert meta.FileMetaInformationVersion == b"\x00\x01"
    assert meta.MediaStorageSOPClassUID == CT_IMAGE
    assert meta.MediaStorageSOPInstanceUID == "1.2.3.4"
    assert meta.TransferSyntaxUID == EXPLICIT
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert meta.SourceApplicationEntityTitle == "MODALITY"
    assert (
        "SourceApplicationEntityTitle"
        not in pydicom.dcmread(io.BytesIO(part10.file_meta(CT_IMAGE, "1.2.3.4", EXPLICIT))).file_meta
    )


def test_parse_meta_reads_what_file_meta_wrote() -> None:
    expected = part10.FileMeta(len(META), CT_IMAGE, "1.2.3.4", EXPLICIT)
    assert part10.parse_meta(META + b"data set") == expected


def test_needed_leads_to_the_end_of_the_meta() -> None:
    file = bundled_file("CT_small.dcm").read_bytes()
    have = 0
    while (want := part10.needed(file[:have])) > have:
        have = want
    assert have < 1000
    assert part10.parse_meta(file[:have]) == part10.parse_meta(file)
    for cut in range(have):
        assert part10.needed(file[:cut]) > cut


@pytest.mark.parametrize("path", [p for p in bundled() if b"DICM" in p.read_bytes()[:132]], ids=lambda p: p.name)
def test_parse_meta_agrees_with_pydicom(path: object) -> None:
    content = path.read_bytes()
    file = io.BytesIO(content)
    file.seek(132)
    expected = pydicom.filereader._read_file_meta_info(file)
    if "TransferSyntaxUID" not in expected:
        with pytest.raises(NotUnderstood):
            part10.parse_meta(content)
        return
    meta = part10.parse_meta(content)
    assert meta.data_set_offset == file.tell()
    assert meta.transfer_syntax_uid == expected.TransferSyntaxUID
    assert meta.sop_instance_uid == expected.get("MediaStorageSOPInstanceUID", "")
    assert meta.sop_class_uid == expected.get("MediaStorageSOPClassUID", "")


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET / HTTP/1.1\r\n" * 20,
        bytes(128) + b"DICOM",
        META[:-1],
        META[:144] + struct.pack("<HH2sHI", 2, 1, b"OB", 0, 0xFFFFFFF0),
        META[:144] + struct.pack("<HH2sHI", 2, 1, b"OB", 0, 2) * 10_000,
    ],
)
def test_what_is_no_file_is_not_understood(head: bytes) -> None:
    with pytest.raises(NotUnderstood):
        part10.parse_meta(head)


@given(st.binary(max_size=200), st.booleans())
def test_hostile_bytes_raise_only_our_errors(junk: bytes, prefixed: bool) -> None:
    head = bytes(128) + b"DICM" + junk if prefixed else junk
    try:
        part10.parse_meta(head)
    except GantryError:
        pass
    try:
        assert part10.needed(head) <= part10.MAX_META_LENGTH + 12
    except GantryError:
        pass


@pytest.mark.parametrize("wrong_by", [-58, -14, -1, 1, 40, 4_000_000])
def test_a_group_length_that_is_wrong_moves_nothing_into_the_data_set(wrong_by: int) -> None:
    """PS3.10 7.1: group 0002 is the file meta information, and nothing else is."""
    data_set = b"\x08\x00\x16\x00UI\x04\x001.2\0"
    (length,) = struct.unpack_from("<I", META, 140)
    counted = META[:140] + struct.pack("<I", max(0, length + wrong_by)) + META[144:]
    for content in (counted + data_set, counted + b"\x02\x00\xff\x13\x80\x91deflated, and begins like group 2"):
        meta = part10.parse_meta(content)
        assert (meta.data_set_offset, meta.transfer_syntax_uid) == (len(META), EXPLICIT)
