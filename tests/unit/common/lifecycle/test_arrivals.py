"""Which studies are open, and what may be forgotten of what was read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.lifecycle.arrivals import Arrival, Arrivals, CompletionReason

QUIET, LONGEST = 60, 1000
P, Q = ("instances", 0), ("instances", 1)


def arrival(study: str, at: int, number: int = 1, receipt: str = "") -> Arrival:
    return Arrival("default", study, f"{study}.1", f"{study}.1.{number}", receipt or f"r{at}", "", at)


def due(arrivals: Arrivals, now: int) -> dict[str, str]:
    return {study.study_instance_uid: why.value for study, why in arrivals.due(now)}


def test_a_study_is_complete_when_nothing_came_for_the_quiet_period() -> None:
    arrivals = Arrivals(QUIET, LONGEST)
    arrivals.take(P, 1, arrival("1", 100))
    arrivals.take(P, 2, arrival("1", 150, 2))
    assert arrivals.next_due() == 210
    assert due(arrivals, 209) == {}
    ((study, why),) = arrivals.due(210)
    assert (why, len(study.instances), study.last_receipt) == (CompletionReason.QUIET, 2, "r150")


def test_a_study_for_which_something_comes_all_the_time_is_complete_at_last() -> None:
    arrivals = Arrivals(QUIET, LONGEST)
    for at in range(0, 1001, 50):
        arrivals.take(P, at, arrival("1", at, at))
    assert due(arrivals, 999) == {}
    assert due(arrivals, 1000) == {"1": "long"}


def test_what_comes_late_opens_a_study_anew_and_counts_only_itself() -> None:
    arrivals = Arrivals(QUIET, LONGEST)
    arrivals.take(P, 1, arrival("1", 0))
    arrivals.close(arrivals.due(60)[0][0])
    assert arrivals.due(10_000) == []
    arrivals.take(P, 2, arrival("1", 200, 2))
    ((study, _),) = arrivals.due(260)
    assert study.instances == {("1.1", "1.1.2")}


def test_an_object_that_came_twice_is_one_instance() -> None:
    arrivals = Arrivals(QUIET, LONGEST)
    arrivals.take(P, 1, arrival("1", 0))
    arrivals.take(P, 2, arrival("1", 10))
    assert len(arrivals.due(70)[0][0].instances) == 1


def test_nothing_is_forgotten_from_the_first_arrival_of_an_open_study_on() -> None:
    arrivals = Arrivals(QUIET, LONGEST)
    arrivals.take(P, 1, None)
    arrivals.take(P, 2, arrival("1", 0))
    arrivals.take(P, 3, arrival("2", 50))
    arrivals.take(P, 4, None)
    arrivals.take(Q, 7, None)
    assert dict(arrivals.forget()) == {P: 1, Q: 7}
    arrivals.close(arrivals.due(60)[0][0])
    assert dict(arrivals.forget()) == {P: 2}
    arrivals.close(arrivals.due(110)[0][0])
    assert dict(arrivals.forget()) == {P: 4}
    assert dict(arrivals.forget()) == {}


STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 80)), max_size=40)


@given(STEPS, st.integers(0, 40))
def test_whoever_goes_on_after_a_crash_misses_no_completion(steps: list[tuple[str, int]], crash: int) -> None:
    """A study's last word is about everything that came, whatever was read before the crash."""
    arrivals, now, log = Arrivals(QUIET, 10**9), 0, list[tuple[tuple[str, int], int, Arrival]]()
    committed, last_receipts = {P: -1, Q: -1}, dict[str, str]()

    def publish() -> None:
        for study, _ in arrivals.due(now):
            last_receipts[study.study_instance_uid] = study.last_receipt
            arrivals.close(study)

    for number, (study, wait) in enumerate(steps):
        now += wait
        publish()
        committed.update(arrivals.forget())
        place = {"a": P, "b": P, "c": Q}[study]
        log.append((place, number, arrival(study, now, number, f"r{number:02}")))
        arrivals.take(*log[-1])
        if number == crash:
            arrivals = Arrivals(QUIET, 10**9)
            for where, offset, again in log:
                if offset > committed[where]:
                    arrivals.take(where, offset, again)
    now += QUIET
    publish()
    assert last_receipts == {event.study_instance_uid: event.receipt for _, _, event in log}
    assert len(arrivals) == 0


MS = 1_767_600_000_000
RECEIPT, LATER = (f"{MS + ms:012x}{'0' * 20}" for ms in (0, 1))


def test_a_study_that_was_said_to_be_complete_is_not_complete_once_more() -> None:
    """Its arrivals are read anew, perhaps long after: what counts is when the objects came."""
    arrivals = Arrivals(QUIET, LONGEST)
    arrivals.take(P, 1, arrival("1", 5, receipt=RECEIPT))
    arrivals.take(P, 2, arrival("2", 5, receipt=RECEIPT))
    arrivals.was_complete("default", "1", RECEIPT, RECEIPT, 1)
    arrivals.was_complete("default", "3", RECEIPT, RECEIPT, 1)
    assert set(due(arrivals, 10_000)) == {"2"}
    assert list(arrivals.forget()) == [(P, 1)]


def test_what_came_beside_what_was_counted_makes_a_study_complete_once_more() -> None:
    arrivals = Arrivals(QUIET, LONGEST)
    arrivals.take(P, 1, arrival("1", 5, receipt=LATER))
    arrivals.was_complete("default", "1", RECEIPT, RECEIPT, 1)
    arrivals.was_complete("default", "1", LATER, LATER, 2)
    assert set(due(arrivals, 10_000)) == {"1"}


def test_an_object_that_took_longer_than_the_quiet_period_is_not_passed_over() -> None:
    """It was received from before the small one on, and came after that one's study was complete: nobody counted it."""
    arrivals = Arrivals(QUIET, LONGEST)
    arrivals.take(P, 1, arrival("1", 5, receipt=LATER))
    arrivals.close(arrivals.due(5 + QUIET)[0][0])
    arrivals.take(P, 2, arrival("1", 6 + QUIET, receipt=RECEIPT))
    arrivals.was_complete("default", "1", LATER, LATER, 1)  # what was just said, read from the log
    assert set(due(arrivals, 10_000)) == {"1"}
