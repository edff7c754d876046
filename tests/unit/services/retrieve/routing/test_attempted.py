"""When nothing is left to be tried."""

from __future__ import annotations

import pytest

from gantry.services.retrieve.routing.attempted import Attempted, withheld_words


@pytest.mark.parametrize(
    ("failed", "is_done"),
    [
        pytest.param((), True, id="nothing failed"),
        pytest.param(("1.2",), False, id="one was not taken"),
        pytest.param(None, False, id="nothing was tried"),
    ],
)
def test_an_attempt_is_done_where_it_was_tried_and_nothing_failed(
    failed: tuple[str, ...] | None, is_done: bool
) -> None:
    assert Attempted((), failed, "").is_done is is_done


def test_reasons_are_said_once_with_their_number_the_most_frequent_first() -> None:
    assert withheld_words({}) == ""
    assert withheld_words({"1": "a video", "2": "a document", "3": "a document"}) == (
        "2 withheld: a document; 1 withheld: a video"
    )
