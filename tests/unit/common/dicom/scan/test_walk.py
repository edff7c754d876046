"""The walk over a data set: the same in any cuts, bounded in depth, items and work, and exact about where it ends."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gantry.common.dicom.encoding.elements import elements
from gantry.common.dicom.scan.header import HeaderCollector, ScanLimits
from gantry.common.dicom.scan.scanner import Scanner
from gantry.common.dicom.scan.walk import Walk
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.errors import NotUnderstood
from tests.support.dicom import BIG_ENDIAN, EXPLICIT, IMPLICIT, chunks_of, data_sets, from_bytes, to_bytes
from tests.support.elements import ITEM, UNDEFINED, Made, element, fragments, implicit, nested


def walked(
    chunks: list[bytes], syntax: str = EXPLICIT, limits: ScanLimits | None = None
) -> tuple[Walk, HeaderCollector]:
    limits = limits or ScanLimits()
    collector = HeaderCollector(limits)
    walk = Walk(encoding_of(syntax), collector, limits)
    for chunk in chunks:
        walk.feed(chunk)
    walk.finish()
    return walk, collector


@settings(deadline=None)
@given(data_sets(), st.sampled_from([IMPLICIT, EXPLICIT, BIG_ENDIAN]), st.booleans(), st.data())
def test_cuts_change_nothing(data_set: Dataset, syntax: str, explicit_lengths: bool, data: st.DataObject) -> None:
    encoded = to_bytes(data_set, syntax, explicit_lengths)
    whole, collected = walked([encoded], syntax)
    cut, collected_in_cuts = walked(data.draw(chunks_of(encoded)), syntax)
    assert cut.uids == whole.uids
    assert cut.header_length == whole.header_length
    assert cut.offset == whole.offset == len(encoded)
    assert collected_in_cuts.result() == collected.result()


@settings(deadline=None)
@given(data_sets(), st.sampled_from([IMPLICIT, EXPLICIT, BIG_ENDIAN]))
def test_only_the_uids_of_the_top_level_count(data_set: Dataset, syntax: str) -> None:
    encoded = to_bytes(data_set, syntax)
    expected = from_bytes(encoded, syntax)
    walk, _ = walked([encoded], syntax)
    assert {tag: uid.decode() for tag, uid in walk.uids.items()} == {
        tag: expected[tag].value for tag in (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)
    }


@settings(deadline=None)
@given(data_sets(), st.integers(1, 64))
def test_what_is_passed_over_counts_as_fed(data_set: Dataset, size: int) -> None:
    """`pass_over` in place of `feed`, wherever the walk says that nobody has to look."""
    encoded = to_bytes(data_set, EXPLICIT)
    whole, collected = walked([encoded])
    limits = ScanLimits()
    collector = HeaderCollector(limits)
    walk, pos = Walk(encoding_of(EXPLICIT), collector, limits), 0
    while pos < len(encoded):
        passed = walk.pass_over(min(size, len(encoded) - pos))
        if not passed:
            passed = min(size, len(encoded) - pos)
            walk.feed(encoded[pos : pos + passed])
        pos += passed
    walk.finish()
    assert walk.offset == len(encoded)
    assert collector.result() == collected.result()
    assert walk.uids == whole.uids


@settings(deadline=None)
@given(data_sets(), st.data())
def test_a_cut_within_an_element_is_noticed_at_the_end(data_set: Dataset, data: st.DataObject) -> None:
    encoded = to_bytes(data_set, EXPLICIT)
    ends = {0, *(end for *_, end in elements(encoded, encoding_of(EXPLICIT)))}
    cut = data.draw(st.integers(0, len(encoded)))
    if cut in ends:
        walked([encoded[:cut]])
    else:
        with pytest.raises(NotUnderstood):
            walked([encoded[:cut]])


def test_the_header_ends_where_the_pixel_data_begins() -> None:
    made = Made().data
    walk, collector = walked([made + fragments(b"abcd", b"ef", table=b"\0\0\0\0")])
    header, _, pixels = collector.result()
    assert header == made
    assert walk.header_length == len(made)
    assert pixels is not None
    assert (pixels.offset, pixels.length, pixels.fragments) == (len(made) + 12, None, (4, 4, 2))


@pytest.mark.parametrize("defined", [True, False])
def test_sequences_may_be_as_deep_as_the_limit(defined: bool) -> None:
    limits = ScanLimits(max_depth=5)
    walked([nested(5, defined=defined)], limits=limits)
    with pytest.raises(NotUnderstood, match="too deep"):
        walked([nested(7, defined=defined)], limits=limits)


def test_items_are_counted() -> None:
    sequence = element(0x0040A730, b"SQ", implicit(ITEM, b"") * 4)
    walked([sequence], limits=ScanLimits(max_items=4))
    with pytest.raises(NotUnderstood, match="too many items"):
        walked([sequence], limits=ScanLimits(max_items=3))


def test_elements_that_are_looked_at_are_counted_and_values_that_are_passed_are_not() -> None:
    many = element(0x00091001, b"LO", b"x") * 100
    with pytest.raises(NotUnderstood, match="too many elements"):
        walked([many], limits=ScanLimits(max_walked=500))
    walked([element(0x7FE00010, b"OW", bytes(10_000))], limits=ScanLimits(max_walked=500))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (element(0x00020001, b"OB", b"\0\1"), "file meta"),
        (implicit(0xFFFEE00D, b""), "outside of a sequence"),
        (implicit(ITEM, b""), "outside of a sequence"),
        (element(0x0040A730, b"SQ", element(0x00100010, b"PN", b"A^"), UNDEFINED), "wants one"),
        (element(0x0040A730, b"SQ", implicit(ITEM, b"ab", 50)), "reaches beyond"),
        (element(0x00100010, b"UT", b"", UNDEFINED), "undefined length"),
        (element(0x0020000D, b"UI", b"1" * 130), "too long"),
        (element(0x0020000D, b"UI", b"1.2\0") + element(0x0020000D, b"UI", b"1.3\0"), "twice"),
        (element(0x7FE00010, b"OB", implicit(ITEM, b"", UNDEFINED), UNDEFINED), "fragment of undefined length"),
    ],
)
def test_what_is_no_data_set_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(NotUnderstood, match=reason):
        walked([data])


@pytest.mark.parametrize("tag", [0x00000100, 0x00020010, 0x00041130, 0x00060010])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_what_is_of_a_command_or_of_file_meta_information_is_refused_in_any_encoding(tag: int, syntax: str) -> None:
    order = ">" if syntax == BIG_ENDIAN else "<"
    length = struct.pack(order + "I", 4) if syntax == IMPLICIT else b"UI" + struct.pack(order + "H", 4)
    data = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF) + length + b"1.2\0"
    with pytest.raises(NotUnderstood, match="file meta information"):
        Scanner(syntax).feed(data)
