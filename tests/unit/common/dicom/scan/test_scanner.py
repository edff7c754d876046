"""The streaming scan against pydicom, in every encoding and in any cuts; and against bytes that mean harm."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments
from pydicom.sequence import Sequence

from gantry.common.dicom.encoding import part10
from gantry.common.dicom.scan.header import ScanLimits
from gantry.common.dicom.scan.scanner import Scan, Scanner
from gantry.common.errors import GantryError, MismatchedDataSet, NotUnderstood
from tests.support.bombs import deflated_zeros
from tests.support.dicom import (
    BIG_ENDIAN,
    CT_IMAGE,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    SYNTAXES,
    bundled,
    bundled_file,
    chunks_of,
    data_sets,
    from_bytes,
    to_bytes,
)

SMALL = ScanLimits(max_header=2000, max_bulk_value=100)
BULK = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}


def scan(data: bytes | list[bytes], syntax: str = EXPLICIT, limits: ScanLimits | None = None) -> Scan:
    scanner = Scanner(syntax, limits or ScanLimits())
    for chunk in [data] if isinstance(data, bytes) else data:
        scanner.feed(chunk)
    return scanner.finish()


def instance(**more: object) -> Dataset:
    data_set = Dataset()
    data_set.SOPClassUID = CT_IMAGE
    data_set.SOPInstanceUID = "1.2.3.4"
    data_set.StudyInstanceUID = "1.2.3"
    data_set.SeriesInstanceUID = "1.2.3.1"
    for keyword, value in more.items():
        setattr(data_set, keyword, value)
    return data_set


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    if vr in (b"OB", b"OW", b"UN", b"SQ", b"UT"):
        return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, size) + value
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, size) + value


def item(value: bytes, undefined: bool = False, length: int | None = None) -> bytes:
    if undefined:
        return b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + value + b"\xfe\xff\x0d\xe0\0\0\0\0"
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(value) if length is None else length) + value


UIDS = to_bytes(instance(), EXPLICIT)
END_OF_SEQUENCE = b"\xfe\xff\xdd\xe0\0\0\0\0"


def compare(result: Scan, data: bytes, syntax: str, limits: ScanLimits) -> None:
    """A scan against what pydicom makes of the same bytes."""
    expected = from_bytes(data, syntax)
    assert result.study_instance_uid == expected.StudyInstanceUID
    assert result.series_instance_uid == expected.SeriesInstanceUID
    assert result.sop_class_uid == expected.SOPClassUID
    assert result.sop_instance_uid == expected.SOPInstanceUID
    pixels = expected.get(0x7FE00010)
    assert (result.pixel_data is None) == (pixels is None)
    plain = zlib.decompressobj(-15).decompress(data) if syntax == DEFLATED else data
    if pixels is not None and result.pixel_data.length is not None:
        start = result.pixel_data.offset
        assert plain[start : start + result.pixel_data.length] == (pixels.value or b"")
    for left_out in result.bulk:
        assert plain[left_out.offset : left_out.offset + left_out.length] == expected[left_out.tag].value
    if result.header is None:
        assert result.header_length > limits.max_header
        return
    header = from_bytes(result.header, EXPLICIT if syntax == DEFLATED else syntax)
    tags = {e.tag for e in expected if e.tag < 0x7FE00001 or pixels is None}
    assert {e.tag for e in header} == tags - {b.tag for b in result.bulk}
    for e in header:
        assert e == expected[e.tag]
    if syntax in (EXPLICIT, DEFLATED):
        large = {
            e.tag for e in expected if e.VR in BULK and len(e.value or b"") > limits.max_bulk_value and e.tag in tags
        }
        assert {b.tag for b in result.bulk} == large


@given(st.data(), data_sets(), st.sampled_from(SYNTAXES), st.booleans())
@settings(deadline=None)
def test_a_scan_agrees_with_pydicom_in_any_cuts(
    data: st.DataObject, data_set: Dataset, syntax: str, explicit_lengths: bool
) -> None:
    encoded = to_bytes(data_set, syntax, explicit_lengths)
    for limits in (ScanLimits(), SMALL):
        whole = scan(encoded, syntax, limits)
        compare(whole, encoded, syntax, limits)
        assert scan(data.draw(chunks_of(encoded)), syntax, limits) == whole


@given(data_sets(), st.sampled_from(SYNTAXES))
def test_a_scan_is_the_same_byte_by_byte(data_set: Dataset, syntax: str) -> None:
    encoded = to_bytes(data_set, syntax)
    assert scan([encoded[i : i + 1] for i in range(len(encoded))], syntax) == scan(encoded, syntax)


@pytest.mark.parametrize("path", bundled(), ids=lambda p: p.name)
def test_a_scan_of_a_bundled_file_agrees_with_pydicom(path: Path) -> None:
    content = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = pydicom.dcmread(path)
            wanted = [str(expected[tag].value) for tag in (0x0020000D, 0x0020000E, 0x00080016, 0x00080018)]
            syntax = str(expected.file_meta.TransferSyntaxUID)
        except (pydicom.errors.InvalidDicomError, KeyError, AttributeError):
            wanted, syntax = [], ""
    if not all(wanted) or not syntax or "truncated" in path.name:
        with pytest.raises((NotUnderstood, MismatchedDataSet)):
            scan(content[part10.parse_meta(content).data_set_offset :], part10.parse_meta(content).transfer_syntax_uid)
        return
    meta = part10.parse_meta(content)
    assert meta.transfer_syntax_uid == syntax
    data = content[meta.data_set_offset :]
    result = scan(data, syntax)
    uids = [result.study_instance_uid, result.series_instance_uid, result.sop_class_uid, result.sop_instance_uid]
    assert uids == wanted
    assert scan([data[i : i + 1000] for i in range(0, len(data), 1000)], syntax) == result
    pixels = expected.get(0x7FE00010)
    assert (result.pixel_data is None) == (pixels is None)
    if pixels is not None:
        plain = zlib.decompressobj(-15).decompress(data) if syntax == DEFLATED else data
        where = result.pixel_data
        if where.length is None:
            assert [len(f) for f in generate_fragments(pixels.value)] == list(where.fragments)
            assert plain[where.offset :].startswith(pixels.value)
        else:
            assert plain[where.offset : where.offset + where.length] == pixels.value


def test_fragments_are_not_carried_where_there_are_too_many() -> None:
    data = UIDS + element(0x7FE00010, b"OB", item(b"") + item(b"ab") * 5 + END_OF_SEQUENCE, 0xFFFFFFFF)
    assert scan(data).pixel_data.fragments == (0, 2, 2, 2, 2, 2)
    few = scan(data, limits=ScanLimits(max_fragments=5)).pixel_data
    assert few.fragments is None
    assert few.offset == len(UIDS) + 12


def test_the_extended_offset_table_is_noted_and_ends_the_header() -> None:
    table = element(0x7FE00001, b"UN", bytes(16)).replace(b"UN", b"OV")
    result = scan(UIDS + table + element(0x7FE00010, b"OB", item(b"") + END_OF_SEQUENCE, 0xFFFFFFFF))
    assert result.header == UIDS
    assert [(b.tag, b.vr, b.offset, b.length) for b in result.bulk] == [(0x7FE00001, "OV", len(UIDS) + 12, 16)]


def test_pixel_data_of_an_icon_is_part_of_the_header() -> None:
    icon = item(element(0x7FE00010, b"OB", item(b"") + item(b"ab") + END_OF_SEQUENCE, 0xFFFFFFFF), undefined=True)
    data = UIDS + element(0x00880200, b"SQ", icon + END_OF_SEQUENCE, 0xFFFFFFFF)
    result = scan(data)
    assert result.header == data
    assert result.pixel_data is None


def test_a_un_of_undefined_length_is_read_as_implicit_vr() -> None:
    inner = struct.pack("<HHI", 0x0009, 0x1002, 4) + b"OBSQ"
    data = UIDS + element(0x00291010, b"UN", item(inner, undefined=True) + END_OF_SEQUENCE, 0xFFFFFFFF)
    assert scan(data).header == data


def test_implicit_elements_in_an_explicit_syntax_are_passed() -> None:
    mixed = UIDS + struct.pack("<HHI", 0x0040, 0x1001, 4) + b"ABC "
    assert scan(mixed).header == mixed
    assert scan(to_bytes(instance(), IMPLICIT), EXPLICIT).study_instance_uid == "1.2.3"


def test_memory_is_bounded_where_the_header_is_too_large() -> None:
    scanner = Scanner(EXPLICIT, ScanLimits(max_header=10_000))
    scanner.feed(to_bytes(instance(), EXPLICIT))
    for number in range(1000):
        scanner.feed(element(0x00291000 + number % 200, b"UT", b"x" * 1000))
    result = scanner.finish()
    assert result.header is None
    assert result.bulk == ()
    assert result.header_length == len(UIDS) + 1000 * 1012


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID"])
def test_a_missing_uid_is_a_mismatch(keyword: str) -> None:
    for change in ("delete", "empty"):
        data_set = instance()
        if change == "delete":
            delattr(data_set, keyword)
        else:
            setattr(data_set, keyword, "")
        with pytest.raises(MismatchedDataSet) as caught:
            scan(to_bytes(data_set, EXPLICIT))
        assert caught.value.dicom_status == 0xA900


@pytest.mark.parametrize("value", [b"../../x ", b"1..2", b"1.2\n", b"1." * 33, b"1" * 5000, b"C:\\x", b"1.2\x001.3"])
def test_what_is_no_uid_is_not_understood(value: bytes) -> None:
    with pytest.raises(NotUnderstood) as caught:
        scan(UIDS.replace(element(0x0020000D, b"UI", b"1.2.3\0"), element(0x0020000D, b"UI", value)))
    assert caught.value.dicom_status == 0xC000


def test_a_uid_that_contradicts_itself_is_not_understood() -> None:
    with pytest.raises(NotUnderstood):
        scan(UIDS + element(0x0020000D, b"UI", b"1.2.4\0"))


def nested(depth: int, undefined: bool) -> bytes:
    if undefined:
        begin, end = item(b"", True)[:8], item(b"", True)[8:]
        return (element(0x00081140, b"SQ", b"", 0xFFFFFFFF) + begin) * depth + (end + END_OF_SEQUENCE) * depth
    heads, length = list[bytes](), 0
    for _ in range(depth):
        heads.append(element(0x00081140, b"SQ", b"", length + 8) + item(b"", length=length))
        length += len(heads[-1])
    return b"".join(reversed(heads))


@pytest.mark.parametrize("undefined", [True, False])
def test_nesting_is_refused_past_a_limit(undefined: bool) -> None:
    assert scan(UIDS + nested(64, undefined)).header is not None
    for depth in (65, 100, 500, 5000):
        with pytest.raises(NotUnderstood, match="nested too deep"):
            scan(UIDS + nested(depth, undefined))


def test_items_are_refused_past_a_limit() -> None:
    begin, limits = UIDS + element(0x00081140, b"SQ", b"", 0xFFFFFFFF), ScanLimits(max_items=20_000)
    assert scan([begin, *[item(b"") * 10_000] * 2, END_OF_SEQUENCE], limits=limits).header is not None
    with pytest.raises(NotUnderstood, match="too many items"):
        scan([begin, *[item(b"") * 10_000] * 2, item(b"")], limits=limits)
    assert ScanLimits().max_items < 1_000_000


def test_a_deflate_bomb_is_refused_within_its_limit() -> None:
    # The data of the element are in the second half, which is a stream of its own but for its first one's end.
    deflate = zlib.compressobj(9, wbits=-15)
    begin = UIDS + element(0x7FE00010, b"OB", bytes(24 << 20))[:12]
    bomb = deflate.compress(begin) + deflate.flush(zlib.Z_FULL_FLUSH) + deflated_zeros(24)
    assert len(bomb) < 100_000
    with pytest.raises(NotUnderstood, match="too large"):
        scan(bomb, DEFLATED, ScanLimits(max_inflated=16 << 20))


@pytest.mark.parametrize(
    "tail",
    [
        element(0x00100010, b"PN", b"", 10),
        element(0x00291010, b"OB", b"", 3_000_000_000),
        element(0x00291010, b"OB", b"", 0xFFFFFFFF),
        element(0x00291010, b"UT", b"", 0xFFFFFFFF),
        element(0x7FE00010, b"OW", b"abc", 0xFFFFFFF0),
        element(0x7FE00010, b"OB", item(b"ab"), 0xFFFFFFFF),
        element(0x7FE00010, b"OB", item(b"", undefined=True), 0xFFFFFFFF),
        element(0x00081140, b"SQ", item(b""), 0xFFFFFFFF),
        element(0x00081140, b"SQ", element(0x00100010, b"PN", b""), 0xFFFFFFFF),
        element(0x00081140, b"SQ", item(element(0x00100010, b"PN", b"", 500))),
        END_OF_SEQUENCE,
        b"\x10",
        bytes(200),
    ],
)
def test_what_does_not_add_up_is_not_understood(tail: bytes) -> None:
    for data in (UIDS + tail, tail):
        with pytest.raises(NotUnderstood):
            scan(data)
        with pytest.raises(NotUnderstood):
            scan([data[i : i + 1] for i in range(len(data))])


@given(st.binary(max_size=400), st.sampled_from(SYNTAXES))
def test_random_bytes_raise_only_our_errors(junk: bytes, syntax: str) -> None:
    with pytest.raises(GantryError):
        scan(junk, syntax)


@given(st.data(), data_sets(), st.sampled_from([EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED]))
@settings(deadline=None)
def test_damaged_data_sets_raise_only_our_errors(data: st.DataObject, data_set: Dataset, syntax: str) -> None:
    encoded = bytearray(to_bytes(data_set, syntax))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(encoded)))
    for damaged in (bytes(encoded), bytes(encoded[:cut])):
        try:
            scan(data.draw(chunks_of(damaged)), syntax)
        except GantryError:
            continue


def test_groups_of_a_command_or_a_file_are_refused() -> None:
    file = bundled_file("CT_small.dcm").read_bytes()
    with pytest.raises(NotUnderstood):
        scan(file)
    with pytest.raises(NotUnderstood):
        scan(file[132:])


def test_an_explicit_sequence_of_sequences_is_walked() -> None:
    data_set = instance()
    data_set.add_new(0x00081140, "SQ", Sequence([instance(), instance()]))
    data_set.StudyInstanceUID = "9.9"
    assert scan(to_bytes(data_set, EXPLICIT)).study_instance_uid == "9.9"


def test_elements_without_end_are_refused() -> None:
    many = element(0x00091001, b"SH", b"") * 10_000
    with pytest.raises(NotUnderstood, match="too many elements"):
        scan([UIDS, *[many] * 20], limits=ScanLimits(max_walked=1 << 20))
