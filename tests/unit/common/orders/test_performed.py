"""What a performed procedure step says that it made."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.orders.performed import PerformedReference, performed_instances, performed_references

SERIES, IMAGES, OTHERS, UID = 0x00400340, 0x00081140, 0x00400220, 0x00081155
SERIES_UID, CLASS_UID = 0x0020000E, 0x00081150


def references(*uids: str) -> list[dict[int, list[Any]]]:
    return [{UID: [uid]} for uid in uids]


def test_it_is_everything_of_all_series_images_or_not() -> None:
    step = {SERIES: [{IMAGES: references("1.2", "1.3")}, {IMAGES: references("1.3"), OTHERS: references("1.4")}, {}]}
    assert performed_instances(step) == {"1.2", "1.3", "1.4"}


def test_a_reference_says_its_series_and_sop_class_or_not() -> None:
    image: dict[int, list[Any]] = {UID: ["1.2"], CLASS_UID: ["1.9"]}
    step: dict[int, list[Any]] = {SERIES: [{SERIES_UID: ["1.1"], IMAGES: [image]}, {IMAGES: references("1.3")}]}
    assert performed_references(step) == [PerformedReference("1.1", "1.9", "1.2"), PerformedReference("", "", "1.3")]


@pytest.mark.parametrize(
    "step",
    [
        {},
        {SERIES: []},
        {SERIES: ["no item", None]},
        {SERIES: [{IMAGES: ["no item"]}]},
        {SERIES: [{IMAGES: [{}]}]},
        {SERIES: [{IMAGES: references("", "no uid", "1.2" * 30)}]},
    ],
)
def test_what_is_no_reference_is_left_out(step: dict[int, list[Any]]) -> None:
    assert performed_instances(step) == frozenset()
