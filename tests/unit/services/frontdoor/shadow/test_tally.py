"""Counts, added up and read again, and what they say of the switch."""

from __future__ import annotations

import json

import pytest

from gantry.services.frontdoor.shadow.tally import MOST_EXAMPLES, ComparisonTally, Example, Waiting, added_up, verdict

DAY_US = 24 * 3600 * 1_000_000


def tally(day: int = 1, same: int = 0, different: int = 0, **given_up: int) -> ComparisonTally:
    counts = ComparisonTally()
    counts.add_time(day * DAY_US, f"2026-11-{day:02}")
    counts.same["C-FIND"] = same
    if different:
        counts.different["C-FIND"] = different
        counts.differences["C-FIND", "only_other"] = different
        counts.example(Example(day, "C-FIND", "only_other", "WARD", "", ("1.2",)))
    counts.given_up.update(given_up)
    counts.add_seconds("C-FIND", "gantry", 0.02)
    return counts


def test_counts_are_read_as_they_were_saved() -> None:
    counts = tally(2, 5, 1, busy=3)
    counts.not_mirrored["C-MOVE"] = 2
    assert ComparisonTally.from_json(counts.to_json()) == counts


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"version": 2}', b"\xff"])
def test_what_is_none_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        ComparisonTally.from_json(data)


def test_doors_and_days_add_up() -> None:
    whole = added_up([tally(2, 5, 1, busy=3), tally(1, 4), tally(2, 1, 1)])
    assert (whole.first, whole.last, sorted(whole.days)) == (DAY_US, 2 * DAY_US, ["2026-11-01", "2026-11-02"])
    assert (whole.compared, whole.same["C-FIND"], whole.given_up["busy"]) == (12, 10, 3)
    assert whole.differences["C-FIND", "only_other"] == 2
    assert sum(whole.seconds["C-FIND", "gantry"]) == 3


def test_examples_are_few_and_the_newest() -> None:
    counts = ComparisonTally()
    for number in range(MOST_EXAMPLES + 5):
        counts.example(Example(number, "C-FIND", "status", "WARD"))
    assert len(counts.examples) == MOST_EXAMPLES
    assert [each.at for each in added_up([tally(3, 0, 1), tally(4, 0, 1)]).examples] == [4, 3]


def test_answer_times_are_told_by_the_end_of_their_class() -> None:
    counts = ComparisonTally()
    for seconds in (0.02, 0.02, 0.02, 3.0):
        counts.add_seconds("C-FIND", "other", seconds)
    assert (counts.quantile("C-FIND", "other", 0.5), counts.quantile("C-FIND", "other", 0.95)) == (0.025, 5.0)
    assert counts.quantile("C-FIND", "gantry", 0.5) is None
    counts.add_seconds("C-ECHO", "other", 1000)
    assert counts.quantile("C-ECHO", "other", 0.5) == float("inf")


def test_the_words_say_how_much_was_different_and_what_to_look_into() -> None:
    words = " ".join(verdict(added_up([tally(1, 2000, 3), tally(2, 1)])))
    assert "In 2 days 3 of 2,004 answers were different (0.15 %)" in words
    assert "C-FIND: only other 3 times" in words
    assert "there was traffic on 2 days, not on 14 yet" in words


def test_two_weeks_without_a_difference_speak_for_the_switch() -> None:
    words = verdict(added_up([tally(day, 10) for day in range(1, 15)]))
    assert words[-1] == "The comparisons show nothing against the switch."


def test_much_that_was_given_up_speaks_against_it() -> None:
    words = verdict(added_up([*(tally(day, 10) for day in range(1, 15)), tally(1, 0, 0, unreachable=5)]))
    assert "5 were given up, most of them for: unreachable (5)" in words[-1]


def test_nothing_compared_is_no_success() -> None:
    assert verdict(ComparisonTally())[0] == "Nothing was compared yet."
    assert "given up" in " ".join(verdict(tally(1, 0, 0, unreachable=2)))


def test_what_waits_is_what_each_door_said_last_but_for_those_whose_spools_were_taken_over() -> None:
    first = ComparisonTally(waiting={"a": Waiting("a", 10, 5, 500, 3), "b": Waiting("b", 11, 1, 100, 9)})
    then = ComparisonTally(waiting={"a": Waiting("a", 20, 2, 200, 4)})
    assert added_up([first, then]).waits == Waiting("", 20, 3, 300, 4)
    assert added_up([then, first]).waits == Waiting("", 20, 3, 300, 4)
    last = ComparisonTally(waiting={"c": Waiting("c", 30)}, taken_over={"a", "b"})
    assert added_up([first, then, last]).waits == Waiting("", 30)
    for counts in (first, last):
        assert ComparisonTally.from_json(counts.to_json()) == counts


def test_counts_of_a_release_before_the_spool_are_read() -> None:
    saved = json.loads(ComparisonTally(first=1).to_json())
    del saved["waiting"], saved["taken_over"]
    assert ComparisonTally.from_json(json.dumps(saved).encode()).waits == Waiting("", 0)
