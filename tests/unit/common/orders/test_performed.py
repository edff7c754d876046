"""What a performed procedure step says that it made."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.orders.performed import performed_instances

SERIES, IMAGES, OTHERS, UID = 0x00400340, 0x00081140, 0x00400220, 0x00081155


def references(*uids: str) -> list[dict[int, list[Any]]]:
    return [{UID: [uid]} for uid in uids]


def test_it_is_everything_of_all_series_images_or_not() -> None:
    step = {SERIES: [{IMAGES: references("1.2", "1.3")}, {IMAGES: references("1.3"), OTHERS: references("1.4")}, {}]}
    assert performed_instances(step) == {"1.2", "1.3", "1.4"}


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
