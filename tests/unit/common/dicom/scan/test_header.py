"""What a scan keeps: the header and the places of bulk values, each up to its limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.scan.header import HeaderCollector, ScanLimits
from gantry.common.dicom.scan.layout import BulkElement, PixelData

LIMITS = ScanLimits(max_header=20, max_bulk_value=10, max_bulk_elements=2, max_fragments=3)


@given(st.lists(st.binary(max_size=8), max_size=8))
def test_the_header_is_whole_or_is_none(parts: list[bytes]) -> None:
    collector = HeaderCollector(LIMITS)
    for part in parts:
        collector.add(part)
    whole = b"".join(parts)
    assert collector.result()[0] == (whole if len(whole) <= 20 else None)


@pytest.mark.parametrize(
    ("vr", "length", "expected"),
    [(b"OB", 11, True), (b"OB", 10, False), (b"UN", 11, True), (b"OW", 1 << 31, True), (b"UT", 1 << 20, False)],
)
def test_bulk_is_binary_and_longer_than_the_limit(vr: bytes, length: int, expected: bool) -> None:
    assert HeaderCollector(LIMITS).is_bulk(vr, length) is expected


def test_what_is_left_out_is_named_with_its_place() -> None:
    collector = HeaderCollector(LIMITS)
    collector.add(b"head")
    collector.leave_out(0x00420011, b"OB", 100, 5000)
    collector.leave_out(0x00091001, b"UN", 6000, 70)
    bulk = (BulkElement(0x00420011, "OB", 100, 5000), BulkElement(0x00091001, "UN", 6000, 70))
    assert collector.result() == (b"head", bulk, None)


def test_past_the_limit_of_bulk_values_nothing_is_kept() -> None:
    """A header of which some values are neither in it nor named would be wrong."""
    collector = HeaderCollector(LIMITS)
    collector.add(b"head")
    for place in range(3):
        collector.leave_out(0x00091001, b"UN", place * 100, 70)
    collector.add(b"tail")
    assert collector.result() == (None, (), None)


def test_past_the_limit_of_the_header_no_bulk_is_named_but_pixels_are() -> None:
    collector = HeaderCollector(LIMITS)
    collector.leave_out(0x00091001, b"UN", 0, 70)
    collector.add(bytes(21))
    collector.pixels(0x7FE00010, b"OW", 500, 8)
    assert collector.result() == (None, (), PixelData(0x7FE00010, "OW", 500, 8))


def test_only_the_first_pixel_data_is_noted() -> None:
    collector = HeaderCollector(LIMITS)
    collector.pixels(0x7FE00010, b"OW", 500, 8)
    collector.pixels(0x7FE00010, b"OW", 900, 4)
    assert collector.result()[2] == PixelData(0x7FE00010, "OW", 500, 8)


@pytest.mark.parametrize(("count", "expected"), [(0, ()), (3, (0, 1, 2)), (4, None), (9, None)])
def test_fragments_are_all_named_or_none_is(count: int, expected: tuple[int, ...] | None) -> None:
    collector = HeaderCollector(LIMITS)
    collector.pixels(0x7FE00010, b"OB", 500, None)
    for length in range(count):
        collector.fragment(length)
    assert collector.result()[2] == PixelData(0x7FE00010, "OB", 500, None, expected)


def test_native_pixel_data_has_no_fragments() -> None:
    collector = HeaderCollector(LIMITS)
    collector.pixels(0x7FE00010, b"OW", 500, 8)
    assert collector.result()[2] == PixelData(0x7FE00010, "OW", 500, 8, None)
