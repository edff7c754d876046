"""The top level of a data set against pydicom's reading of the same bytes."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gantry.common.dicom.encoding.elements import Tags, elements, elements_of, inflated, item_bounds, skip
from gantry.common.dicom.encoding.syntax import EXPLICIT as SYNTAX
from gantry.common.dicom.encoding.syntax import syntax_of
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.errors import NotUnderstood
from tests.support.dicom import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, data_sets, from_bytes, to_bytes
from tests.support.elements import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, element, fragments, implicit, nested

ENCODINGS = (IMPLICIT, EXPLICIT, BIG_ENDIAN)
ENC = encoding_of(EXPLICIT)


@settings(deadline=None)
@given(data_sets(), st.sampled_from(ENCODINGS), st.booleans())
def test_the_elements_are_those_that_pydicom_reads(data_set: Dataset, syntax: str, explicit_lengths: bool) -> None:
    data = to_bytes(data_set, syntax, explicit_lengths)
    expected = from_bytes(data, syntax)
    rows = list(elements(data, encoding_of(syntax)))
    assert [tag for tag, *_ in rows] == sorted(expected.keys())
    assert rows[-1][3] == len(data)
    for tag, vr, start, end in rows:
        raw = expected.get_item(tag)
        if syntax != IMPLICIT:
            assert vr.decode() == raw.VR
        if raw.VR != "SQ" and isinstance(raw.value, bytes):
            assert data[start:end] == raw.value


@settings(deadline=None)
@given(data_sets(), st.sampled_from(ENCODINGS), st.booleans(), st.data())
def test_the_fast_way_and_the_slow_way_find_the_same(
    data_set: Dataset, syntax: str, explicit_lengths: bool, data: st.DataObject
) -> None:
    encoded, encoding = to_bytes(data_set, syntax, explicit_lengths), encoding_of(syntax)
    everything = list(elements(encoded, encoding))
    tags_present = [tag for tag, *_ in everything]
    tags = frozenset(data.draw(st.lists(st.sampled_from([*tags_present, 0x00100030, 0x00720010]))))
    expected = [row for row in everything if row[0] in tags]
    assert list(elements(encoded, encoding, wanted=tags)) == expected
    assert list(elements_of(encoded, encoding, Tags(tags))) == expected


@given(data_sets(), st.sampled_from([EXPLICIT, IMPLICIT]))
def test_reading_stops_behind_the_last_tag(data_set: Dataset, syntax: str) -> None:
    """What lies behind it may be anything."""
    data = to_bytes(data_set, syntax)
    encoding = encoding_of(syntax)
    before = [row for row in elements(data, encoding) if row[0] <= 0x0020000D]
    start_of_series = next(start for tag, _, start, _ in elements(data, encoding) if tag > 0x0020000D)
    assert list(elements(data[:start_of_series], encoding, 0x0020000D)) == before


def test_a_part_of_the_data_can_be_read_by_itself() -> None:
    inner = element(0x00080100, b"SH", b"T1")
    data = element(0x0040A043, b"SQ", implicit(ITEM, inner))
    begin = data.index(inner)
    assert list(elements(data, ENC, within=(begin, len(data)))) == [(0x00080100, b"SH", begin + 8, begin + 10)]


@settings(deadline=None)
@given(data_sets(), st.sampled_from(ENCODINGS), st.booleans(), st.data())
def test_a_cut_data_set_is_refused_or_ends_between_two_elements(
    data_set: Dataset, syntax: str, explicit_lengths: bool, data: st.DataObject
) -> None:
    whole, encoding = to_bytes(data_set, syntax, explicit_lengths), encoding_of(syntax)
    ends = [end for *_, end in elements(whole, encoding)]
    cut = data.draw(st.integers(0, len(whole)))
    tags = Tags(frozenset((0xFFFFFFFF,)))
    if cut in (0, *ends):
        assert [end for *_, end in elements(whole[:cut], encoding)] == [end for end in ends if end <= cut]
        assert list(elements_of(whole[:cut], encoding, tags)) == []
    else:
        with pytest.raises(NotUnderstood):
            list(elements(whole[:cut], encoding))
        with pytest.raises(NotUnderstood):
            list(elements_of(whole[:cut], encoding, tags))


@given(st.binary(max_size=80), st.sampled_from(ENCODINGS))
def test_no_bytes_raise_anything_but_not_understood(data: bytes, syntax: str) -> None:
    for read in (
        lambda: list(elements(data, encoding_of(syntax))),
        lambda: list(elements_of(data, encoding_of(syntax), Tags(frozenset((0x00100010, 0xFFFFFFFF))))),
        lambda: list(item_bounds(data, 0, len(data), syntax_of(encoding_of(syntax)))),
    ):
        try:
            read()
        except NotUnderstood:
            pass


@given(st.binary(max_size=300))
def test_only_what_is_deflated_is_inflated(body: bytes) -> None:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = deflate.compress(body) + deflate.flush()
    assert inflated(packed, encoding_of(DEFLATED), len(body)) == body
    assert inflated(packed, ENC, 0) == packed
    if body:
        with pytest.raises(NotUnderstood):
            inflated(packed, encoding_of(DEFLATED), len(body) - 1)


def test_what_has_undefined_length_ends_behind_its_own_delimiter() -> None:
    for data in (nested(3), fragments(b"abcd", b"ef")):
        assert skip(data + b"more", 12, len(data) + 4, SYNTAX) == len(data)


def test_items_have_their_content_without_delimiters() -> None:
    """PS3.5 7.5: an item has a length, or a delimiter."""
    inner = element(0x00080100, b"SH", b"T1")
    items = implicit(ITEM, inner) + implicit(ITEM, inner, UNDEFINED) + implicit(ITEM_END, b"") + implicit(ITEM, b"")
    for tail in (b"", implicit(SEQUENCE_END, b"")):
        data = items + tail
        assert [data[a:b] for a, b in item_bounds(data, 0, len(data), SYNTAX)] == [inner, inner, b""]


def test_an_item_that_reaches_beyond_its_sequence_is_refused() -> None:
    data = implicit(ITEM, b"1234", 5)
    with pytest.raises(NotUnderstood):
        list(item_bounds(data, 0, len(data), SYNTAX))
    with pytest.raises(NotUnderstood):
        list(item_bounds(element(0x00100010, b"PN", b"A^"), 0, 10, SYNTAX))


def test_depth_costs_no_recursion_and_is_bounded() -> None:
    assert len(list(elements(nested(120), ENC))) == 1
    with pytest.raises(NotUnderstood, match="too deep"):
        list(elements(nested(3000), ENC))
