"""What is wrong, in words."""

from __future__ import annotations

import pytest

from gantry.common.hl7.problems import ErrorCode, MessageProblem, MessageRefused, Spot


@pytest.mark.parametrize(
    ("spot", "words"),
    [
        (Spot(), ""),
        (Spot("MRG"), "MRG"),
        (Spot("PID", 1, 3, 4), "PID-3.4"),
        (Spot("OBR", 2, 4), "OBR(2)-4"),
    ],
)
def test_a_spot_is_written_as_people_name_it(spot: Spot, words: str) -> None:
    assert str(spot) == words


def test_a_refusal_says_all_its_problems() -> None:
    refusal = MessageRefused(
        MessageProblem(ErrorCode.DATA_TYPE, "not a date", Spot("PID", 1, 7)),
        MessageProblem(ErrorCode.INTERNAL, "later"),
    )
    assert str(refusal) == "PID-7: not a date; later"
    assert not refusal.rejected


def test_every_code_has_its_words_of_table_0357() -> None:
    assert all(code.words for code in ErrorCode)
    assert ErrorCode(101).words == "Required field missing"
