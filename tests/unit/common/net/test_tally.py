"""What an association amounted to."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.net.tally import AssociationTally, RefusedRequest

C_STORE, C_FIND = 0x0001, 0x0020
STATUSES = st.sampled_from([0x0000, 0xFF00, 0xFF01, 0xFE00, 0xB000, 0xA700, 0xC001, 0x0122])


@given(st.lists(st.tuples(st.sampled_from([C_STORE, C_FIND]), STATUSES), max_size=50))
def test_final_responses_are_counted_and_pending_ones_are_not(answers: list[tuple[int, int]]) -> None:
    """PS3.4 C.4.1.1.4: FF00H and FF01H are pending."""
    tally = AssociationTally(0.0)
    for field, status in answers:
        tally.answered(field, status, "")
    final = Counter(pair for pair in answers if pair[1] not in (0xFF00, 0xFF01))
    assert tally.answers == final
    assert sum(tally.statuses.values()) == final.total()
    assert list(tally.statuses) == sorted(tally.statuses)


def test_only_failures_are_refusals() -> None:
    """Neither success, nor a warning, nor a cancel that was asked for."""
    tally = AssociationTally(0.0)
    for status in (0x0000, 0xB000, 0xFE00, 0xFF00, 0xA700, 0x0124):
        tally.answered(C_STORE, status, f"{status:04X}")
    assert list(tally.refusals) == [RefusedRequest(C_STORE, 0xA700, "A700"), RefusedRequest(C_STORE, 0x0124, "0124")]


def test_of_very_many_refusals_the_latest_wait_and_all_are_counted() -> None:
    tally = AssociationTally(0.0)
    for number in range(10_000):
        tally.answered(C_STORE, 0xA700, str(number))
    assert len(tally.refusals) < 1000
    assert tally.refusals[-1].comment == "9999"
    assert tally.statuses == {"A700": 10_000}


def test_a_status_has_four_digits_whatever_asked_for_it() -> None:
    tally = AssociationTally(0.0)
    tally.answered(C_STORE, 0, "")
    tally.answered(C_FIND, 0, "")
    assert tally.statuses == {"0000": 2}
