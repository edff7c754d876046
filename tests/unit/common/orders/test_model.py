"""Orders as they stand, and their attributes as events carry them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import NotUnderstood
from gantry.common.orders import fold_order, items, pack, unpack
from gantry.common.orders.model import first
from tests.support.orders import order, placed, step

_VALUES = st.recursive(
    st.lists(st.text() | st.integers(-(2**31), 2**31) | st.floats(allow_nan=False) | st.none(), max_size=3),
    lambda below: st.lists(st.dictionaries(st.integers(0, 0xFFFFFFFF), below, max_size=3), max_size=2),
    max_leaves=8,
)


@given(st.dictionaries(st.integers(0, 0xFFFFFFFF), _VALUES, max_size=5))
def test_attributes_come_back_as_they_were_packed(attributes: dict[int, list[object]]) -> None:
    assert unpack(pack(attributes)) == attributes


def test_the_same_attributes_are_the_same_bytes() -> None:
    assert pack({1: ["a"], 2: ["b"]}) == pack({2: ["b"], 1: ["a"]})


@pytest.mark.parametrize("junk", [b"", b"\xc1", b"\x91\x01", b"\x81\x01"])
def test_what_was_not_packed_is_not_understood(junk: bytes) -> None:
    with pytest.raises(NotUnderstood):
        unpack(junk)


def test_an_order_is_whole_with_its_steps_in_their_order() -> None:
    order_values = order(step("B"), step("A"))
    verdict = fold_order(None, placed(order_values))
    assert verdict.state is not None
    assert verdict.state.whole == order_values
    assert list(verdict.state.steps) == ["B", "A"]


def test_values_are_read_as_text() -> None:
    order_values = order(PatientName="Doe^Jane")
    assert first(order_values, TAGS["PatientName"]) == "Doe^Jane"
    assert first(order_values, TAGS["PatientSex"]) == ""
    assert items({1: ["no item", {2: []}]}, 1) == [{2: []}]
