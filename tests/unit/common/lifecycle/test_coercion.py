"""What was coerced of a receipt: kept as bytes, applied, and taken back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.errors import NotUnderstood
from gantry.common.lifecycle import Coercion, unpack_coercion

ISSUER, NAME, COMMENTS, SEQUENCE = 0x00100021, 0x00100010, 0x00104000, 0x00401012
VALUES = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Zoë", "Ideographic": "山田"}]},
    "00100021": {"vr": "LO", "Value": ["NORTH"]},
    "00104000": {"vr": "LT"},
}
OWN = {NAME: [{"Alphabetic": "DOE"}], COMMENTS: ["x"], SEQUENCE: [{0x00080100: ["C"]}], 0x00100020: ["P1"]}
COERCION = Coercion(1_700_000_000_000_000, ("one", "two"), VALUES)


def test_values_take_the_place_of_what_the_object_says_and_empty_ones_remove_it() -> None:
    assert COERCION.applied(OWN) == {
        0x00100020: ["P1"],
        SEQUENCE: [{0x00080100: ["C"]}],
        NAME: [{"Alphabetic": "Müller^Zoë", "Ideographic": "山田"}],
        ISSUER: ["NORTH"],
    }


def test_what_was_coerced_is_taken_back_exactly() -> None:
    indexed = COERCION.indexed(OWN)
    assert indexed.undone(indexed.applied(OWN)) == OWN


def test_what_is_unpacked_is_what_was_packed_with_or_without_a_byte_of_padding() -> None:
    for coercion in (COERCION, COERCION.indexed(OWN)):
        assert unpack_coercion(coercion.pack()) == coercion
        assert unpack_coercion(coercion.pack() + b"\0") == coercion
    assert unpack_coercion(b"") is None


def test_the_same_coercion_is_the_same_bytes_in_whatever_order_its_values_are() -> None:
    turned = Coercion(COERCION.at, COERCION.rules, dict(reversed(VALUES.items())), dict(reversed(OWN.items())))
    assert turned.pack() == Coercion(COERCION.at, COERCION.rules, VALUES, OWN).pack()


@given(st.data())
def test_a_byte_that_has_changed_is_seen(data: st.DataObject) -> None:
    packed = bytearray(COERCION.pack())
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(NotUnderstood):
        unpack_coercion(bytes(packed))


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_not_understood(packed: bytes) -> None:
    try:
        unpack_coercion(packed)
    except NotUnderstood:
        pass
