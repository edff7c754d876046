"""A layout as the index carries it."""

from __future__ import annotations

from dataclasses import replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.scan.layout import (
    BulkElement,
    Layout,
    PixelData,
    coercion_in,
    pack_layout,
    unpack_layout,
    with_coercion,
)
from gantry.common.errors import NotUnderstood

U32, U63 = st.integers(0, 0xFFFFFFFF), st.integers(0, (1 << 63) - 1)
VR = st.sampled_from(["OB", "OW", "UN", "OF"])
LAYOUTS = st.builds(
    Layout,
    U63,
    st.lists(st.builds(BulkElement, U32, VR, U63, U63)).map(tuple),
    st.none() | st.builds(PixelData, U32, VR, U63, st.none() | U63, st.none() | st.lists(U32).map(tuple)),
    st.binary(max_size=20),
)


@given(LAYOUTS)
def test_a_layout_is_unpacked_as_it_was_packed(layout: Layout) -> None:
    assert unpack_layout(pack_layout(layout)) == layout


def test_no_fragments_and_unknown_fragments_are_told_apart() -> None:
    """Encapsulated pixel data without an item, and with too many to carry."""
    for fragments in (None, ()):
        pixels = PixelData(0x7FE00010, "OB", 10, None, fragments)
        read = unpack_layout(pack_layout(Layout(9, (), pixels))).pixel_data
        assert read is not None
        assert read.fragments == fragments


@given(LAYOUTS, st.data())
def test_a_cut_layout_is_not_understood(layout: Layout, data: st.DataObject) -> None:
    packed = pack_layout(layout)
    with pytest.raises(NotUnderstood):
        unpack_layout(packed[: data.draw(st.integers(0, len(packed) - 1))])


@pytest.mark.parametrize(
    "value", [None, 7, [], [1], [1, 2, None], [1, [[1]], None], [1, [], [1, 2]], [1, [], 5], "abc", [1, [], None, 4]]
)
def test_what_was_not_packed_by_us_is_not_understood(value: object) -> None:
    with pytest.raises(NotUnderstood):
        unpack_layout(msgpack.packb(value))


@given(LAYOUTS, st.binary(max_size=20))
def test_what_was_coerced_is_read_alone_and_put_into_another_layout(layout: Layout, other: bytes) -> None:
    packed = pack_layout(layout)
    assert coercion_in(packed) == layout.coercion
    assert unpack_layout(with_coercion(packed, other)) == replace(layout, coercion=other)


def test_a_layout_without_coercion_is_the_bytes_of_earlier_releases() -> None:
    assert pack_layout(Layout(9)) == msgpack.packb([9, [], None])
    assert (coercion_in(b""), with_coercion(b"", b"x")) == (b"", b"")


@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_but_not_understood(packed: bytes) -> None:
    try:
        unpack_layout(packed)
    except NotUnderstood:
        pass
    try:
        coercion_in(packed)
    except NotUnderstood:
        pass
