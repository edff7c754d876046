"""`gantry.common.workitems.fold`: the table of states, cell by cell, and what holds whatever comes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.orders import Verdict, first, items
from gantry.common.workitems import FINAL, Workitem, WorkitemEvent, WorkitemState, fold_workitem, lock_of
from gantry.common.workitems.model import PROGRESS, WHY_DISCONTINUED
from tests.support.workitems import MINE, OTHER, cancel, created, done, erased, set_, state, why, workitem

SCHEDULED: Sequence[WorkitemEvent] = (created(),)
CLAIMED = (*SCHEDULED, state("IN PROGRESS"))
FINISHED = (*CLAIMED, set_(done()), set_(why()))
COMPLETED = (*FINISHED, state("COMPLETED"))
CANCELED = (*FINISHED, state("CANCELED"))
STATES = {"null": (), "scheduled": SCHEDULED, "in progress": FINISHED, "completed": COMPLETED, "canceled": CANCELED}


def after(events: Sequence[WorkitemEvent]) -> Workitem | None:
    standing: Workitem | None = None
    for event in events:
        verdict = fold_workitem(standing, event)
        assert verdict.accepted, verdict.reason
        standing = verdict.state
    return standing


def answer(before: str, event: WorkitemEvent) -> tuple[int, str]:
    """The status, and the state after it."""
    verdict = fold_workitem(after(STATES[before]), event)
    return verdict.status, "" if verdict.state is None else verdict.state.state.value


@pytest.mark.parametrize(
    ("event", "before", "status", "state_after"),
    [
        (created(change="again"), "null", 0, "SCHEDULED"),
        (created(change="again"), "scheduled", 0x0111, "SCHEDULED"),
        (created(change="again"), "in progress", 0x0111, "IN PROGRESS"),
        (created(change="again"), "completed", 0x0111, "COMPLETED"),
        (created(change="again"), "canceled", 0x0111, "CANCELED"),
        (state("IN PROGRESS"), "null", 0xC307, ""),
        (state("IN PROGRESS"), "scheduled", 0, "IN PROGRESS"),
        (state("IN PROGRESS"), "in progress", 0xC302, "IN PROGRESS"),
        (state("IN PROGRESS"), "completed", 0xC300, "COMPLETED"),
        (state("IN PROGRESS"), "canceled", 0xC300, "CANCELED"),
        (state("IN PROGRESS", OTHER), "in progress", 0xC301, "IN PROGRESS"),
        (state("IN PROGRESS", OTHER), "completed", 0xC301, "COMPLETED"),
        (state("IN PROGRESS", OTHER), "canceled", 0xC301, "CANCELED"),
        (state("IN PROGRESS", ""), "scheduled", 0xC301, "SCHEDULED"),
        (state("SCHEDULED"), "scheduled", 0xC303, "SCHEDULED"),
        (state("SCHEDULED"), "in progress", 0xC303, "IN PROGRESS"),
        (state("SCHEDULED"), "completed", 0xC303, "COMPLETED"),
        (state("COMPLETED"), "null", 0xC307, ""),
        (state("COMPLETED"), "scheduled", 0xC310, "SCHEDULED"),
        (state("COMPLETED"), "in progress", 0, "COMPLETED"),
        (state("COMPLETED"), "completed", 0xB306, "COMPLETED"),
        (state("COMPLETED"), "canceled", 0xC300, "CANCELED"),
        (state("COMPLETED", OTHER), "in progress", 0xC301, "IN PROGRESS"),
        (state("COMPLETED", OTHER), "completed", 0xC301, "COMPLETED"),
        (state("COMPLETED", ""), "in progress", 0xC301, "IN PROGRESS"),
        (state("CANCELED"), "null", 0xC307, ""),
        (state("CANCELED"), "scheduled", 0xC310, "SCHEDULED"),
        (state("CANCELED"), "in progress", 0, "CANCELED"),
        (state("CANCELED"), "completed", 0xC300, "COMPLETED"),
        (state("CANCELED"), "canceled", 0xB304, "CANCELED"),
        (state("CANCELED", OTHER), "in progress", 0xC301, "IN PROGRESS"),
        (state("DISCONTINUED"), "in progress", 0x0115, "IN PROGRESS"),
        (cancel(), "null", 0xC307, ""),
        (cancel(), "scheduled", 0, "CANCELED"),
        (cancel(), "in progress", 0, "IN PROGRESS"),
        (cancel(), "completed", 0xC311, "COMPLETED"),
        (cancel(), "canceled", 0xB304, "CANCELED"),
        (set_({}), "null", 0xC307, ""),
        (set_({}, ""), "scheduled", 0, "SCHEDULED"),
        (set_({}), "scheduled", 0xC310, "SCHEDULED"),
        (set_({}), "in progress", 0, "IN PROGRESS"),
        (set_({}, OTHER), "in progress", 0xC301, "IN PROGRESS"),
        (set_({}, ""), "in progress", 0xC301, "IN PROGRESS"),
        (set_({}), "completed", 0xC300, "COMPLETED"),
        (set_({}), "canceled", 0xC300, "CANCELED"),
    ],
)
def test_each_event_in_each_state_is_answered_as_the_table_says(
    event: WorkitemEvent, before: str, status: int, state_after: str
) -> None:
    assert answer(before, event) == (status, state_after)


def test_a_workitem_is_not_final_before_it_has_what_that_needs() -> None:
    assert fold_workitem(after(CLAIMED), state("COMPLETED")).status == 0xC304
    assert fold_workitem(after(CLAIMED), state("CANCELED")).status == 0xC304


def test_a_second_worker_does_not_get_it() -> None:
    claimed = after(SCHEDULED)
    first_one = fold_workitem(claimed, state("IN PROGRESS", MINE))
    second = fold_workitem(first_one.state, state("IN PROGRESS", OTHER, "w5"))
    assert (second.accepted, second.status) == (False, 0xC301)
    assert second.state is not None
    assert second.state.lock == lock_of(MINE)


def test_what_nobody_has_begun_is_cancelled_with_time_and_reason() -> None:
    contact = {TAGS["ReasonForCancellation"]: ["too late"], TAGS["ContactDisplayName"]: ["Eve"], 0x00100020: ["X"]}
    standing = after((*SCHEDULED, cancel(contact)))
    assert standing is not None
    (progress,) = items(standing.attributes, PROGRESS)
    assert first(progress, TAGS["ReasonForCancellation"]) == "too late"
    assert first(progress, TAGS["ProcedureStepCancellationDateTime"]) == "20260105080003+0000"
    assert first(items(progress, WHY_DISCONTINUED)[0], TAGS["CodeValue"]) == "110513"
    assert 0x00100020 not in progress
    # There is no Transaction UID of it: whoever wants it cancelled is told that it is.
    assert fold_workitem(standing, state("CANCELED")).status == 0xB304


def test_a_performer_that_cancels_keeps_its_own_reason() -> None:
    standing = after(CANCELED)
    assert standing is not None
    (progress,) = items(standing.attributes, PROGRESS)
    assert first(items(progress, WHY_DISCONTINUED)[0], TAGS["CodeValue"]) == "BAD"
    assert first(progress, TAGS["ProcedureStepCancellationDateTime"]) == "20260105080002+0000"


def test_a_label_is_given_to_a_workitem_that_has_none_and_said() -> None:
    verdict = fold_workitem(None, created(workitem(WorklistLabel=[])))
    assert verdict.accepted
    assert verdict.status == 0xB300
    assert verdict.state is not None
    assert first(verdict.state.attributes, TAGS["WorklistLabel"]) == "DEFAULT"


def test_a_transaction_uid_is_never_shown() -> None:
    standing = after((*CLAIMED, set_({TAGS["TransactionUID"]: [MINE]})))
    assert standing is not None
    assert MINE not in repr(standing)
    assert TAGS["TransactionUID"] not in standing.document


def test_what_cannot_be_read_is_refused() -> None:
    from dataclasses import replace

    assert fold_workitem(None, replace(created(), attributes=b"\xc1")).status == 0x0110


EVENTS: some.SearchStrategy[WorkitemEvent] = some.one_of(
    some.builds(created, some.sampled_from([workitem(), workitem(WorklistLabel=[]), workitem(ProcedureStepLabel=[])])),
    some.builds(set_, some.sampled_from([done(), why(), {}, workitem()]), some.sampled_from(["", MINE, OTHER])),
    some.builds(
        state,
        some.sampled_from([*WorkitemState, "NONSENSE"]),
        some.sampled_from(["", MINE, OTHER]),
    ),
    some.builds(cancel, some.sampled_from([{}, why()])),
    some.builds(erased),
)
_NEXT = {
    None: {None, WorkitemState.SCHEDULED},
    WorkitemState.SCHEDULED: {WorkitemState.SCHEDULED, WorkitemState.IN_PROGRESS, WorkitemState.CANCELED},
    WorkitemState.IN_PROGRESS: {WorkitemState.IN_PROGRESS, *FINAL},
    WorkitemState.COMPLETED: {WorkitemState.COMPLETED},
    WorkitemState.CANCELED: {WorkitemState.CANCELED},
}


@given(some.lists(EVENTS, max_size=30))
def test_whatever_comes_states_go_forward_and_one_holds_the_lock(events: list[WorkitemEvent]) -> None:
    standing: Workitem | None = None
    for event in events:
        verdict: Verdict[Workitem] = fold_workitem(standing, event)
        assert verdict == fold_workitem(standing, event)
        then = verdict.state
        if not verdict.accepted:
            assert then is standing
            assert verdict.status not in (0, 0xB304, 0xB306)
        elif type(event).__name__ != "WorkitemErased":
            assert then is not None
            assert then.state in _NEXT[None if standing is None else standing.state]
            if standing is not None:
                # Who has claimed it keeps it, and nobody else's word changes anything.
                assert then.lock == standing.lock or not standing.lock
                if standing.lock and then != standing:
                    assert getattr(event, "lock", "") == standing.lock
                if standing.state in FINAL:
                    assert then == standing
            if then.state is WorkitemState.COMPLETED:
                assert items(then.attributes, TAGS["UnifiedProcedureStepPerformedProcedureSequence"])
            if then.state is WorkitemState.CANCELED:
                assert items(then.attributes, PROGRESS)
        standing = then
