"""The reference order: `gantry.common.dicom.query.ordering`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.query.ordering import LONGEST, SortKey, order_text, ranking, signature
from gantry.common.dicom.standard.vrs import vr_of


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_are_compared_by_what_they_mean(numbers: list[float]) -> None:
    assert sorted(numbers, key=lambda n: order_text("DS", [repr(n)])) == sorted(numbers)


@pytest.mark.parametrize(
    ("vr", "smaller", "larger"),
    [
        ("IS", ["9"], ["10"]),
        ("IS", [-3], ["2"]),
        ("IS", [], [-3]),
        ("DA", ["1994.11.05"], ["19941106"]),
        ("TM", ["09"], ["091500.5"]),
        ("LO", ["abc"], ["ABD"]),
        ("PN", [{"Alphabetic": "doe^jane"}], [{"Alphabetic": "Döe^John"}]),
        ("CS", ["CT"], ["CT", "MR"]),
        ("DA", [None], ["20240101"]),
    ],
)
def test_what_comes_before_what(vr: str, smaller: list[Any], larger: list[Any]) -> None:
    assert order_text(vr, smaller) < order_text(vr, larger)


@pytest.mark.parametrize(
    ("vr", "values"),
    [("DA", ["junk"]), ("DA", ["20240101", "20240102"]), ("IS", ["x"]), ("DS", ["1e400"]), ("LO", [None, ""])],
)
def test_what_cannot_be_compared_is_no_value(vr: str, values: list[Any]) -> None:
    assert order_text(vr, values) == ""


@given(st.sampled_from(["PN", "LO", "DA", "IS", "UI"]), st.lists(st.text(st.characters(), max_size=100), max_size=3))
def test_texts_are_short_and_can_be_stored(vr: str, values: list[str]) -> None:
    text = order_text(vr, values)
    assert len(text) <= LONGEST
    assert "\0" not in text
    text.encode()


def test_ties_are_broken_by_uids_in_the_direction_of_the_last_attribute() -> None:
    documents = [{0x0020000D: [f"1.{n}"], 0x00080020: ["20240101"]} for n in (2, 1, 3)]
    for descending, expected in ((False, ["1.1", "1.2", "1.3"]), (True, ["1.3", "1.2", "1.1"])):
        key = ranking((SortKey(0x00080020, descending),), vr_of)
        assert [d[0x0020000D][0] for d in sorted(documents, key=key)] == expected


def test_orders_are_told_apart_in_a_word() -> None:
    assert signature((SortKey(0x00080020, True), SortKey(0x00080030))) == "-00080020,00080030"
