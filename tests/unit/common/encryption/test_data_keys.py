"""Data keys as they lie beside the objects."""

from __future__ import annotations

import pytest

from gantry.common.encryption.data_keys import ROOT, WrappedKey, made_us, new_id, place_of, read_place, read_wrapped
from gantry.common.errors import Corrupt

NOW_US = 1_764_000_000_000_000
KEY = WrappedKey(new_id(NOW_US), 2, "arn:aws:kms:eu-central-1:111122223333:key/x", b"\x00wrapped\xff")


def test_one_is_read_as_it_was_written() -> None:
    assert read_wrapped(KEY.place, KEY.encoded()) == KEY
    assert read_place(KEY.place) == (KEY.id, 2)


def test_an_id_says_when_it_was_made_and_they_are_listed_in_that_order() -> None:
    assert made_us(KEY.id) == NOW_US
    places = [place_of(new_id(NOW_US + hours * 3_600_000_000), 0) for hours in range(200)]
    assert places == sorted(places)
    assert new_id(NOW_US) != new_id(NOW_US)


@pytest.mark.parametrize(
    "place", ["", ROOT, f"{ROOT}{'0' * 32}", f"{ROOT}{'0' * 31}.1", f"{ROOT}{'0' * 32}.1x", f"x{ROOT}{'0' * 32}.1"]
)
def test_other_objects_are_none(place: str) -> None:
    assert read_place(place) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"version": 2, "wrapping_key": "a", "wrapped": ""}',
        b'{"version": 1, "wrapping_key": "a", "wrapped": "*"}',
        b'{"version": 1, "wrapping_key": "a", "wrapped": 3}',
        b"[" * 10_000,
    ],
)
def test_what_is_no_data_key_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(Corrupt, match="holds no data key"):
        read_wrapped(KEY.place, content)
