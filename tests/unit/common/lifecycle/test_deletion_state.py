"""What was decided about a receipt: decisions only add, and what they come to does not depend on their order."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.lifecycle import ALIVE, Deletion, DeletionState

_CODES = st.sampled_from(["", "113001"])
_DELETIONS = st.builds(
    Deletion, st.sampled_from("abc"), st.integers(0, 3), st.booleans(), st.booleans(), st.booleans(), _CODES
)
DELETION_STATES = st.builds(
    DeletionState, st.frozensets(_DELETIONS), st.frozensets(st.sampled_from("abc")), st.booleans()
)


@given(DELETION_STATES, DELETION_STATES, DELETION_STATES)
def test_joining_is_the_same_in_any_order_and_any_number(
    first: DeletionState, second: DeletionState, third: DeletionState
) -> None:
    assert (first | second) | third == first | (second | third)
    assert first | second == second | first
    assert first | first == first
    assert first | ALIVE == first


@given(DELETION_STATES)
def test_a_deletion_state_is_read_as_it_was_packed(deletion_state: DeletionState) -> None:
    assert DeletionState.unpacked(deletion_state.packed()) == deletion_state


@given(DELETION_STATES, DELETION_STATES)
def test_nothing_brings_back_what_is_collected_or_finally_deleted(first: DeletionState, second: DeletionState) -> None:
    if first.collected or any(deletion.final for deletion in first.deletions):
        assert (first | second).hidden
        assert not (first | second).restorable


@given(DELETION_STATES)
def test_what_can_be_restored_is_alive_when_all_that_stands_is_withdrawn(deletion_state: DeletionState) -> None:
    withdrawn = deletion_state | DeletionState(withdrawn=frozenset(deletion.id for deletion in deletion_state.standing))
    was_moved = any(deletion.moved for deletion in deletion_state.standing)
    assert deletion_state.restorable == (deletion_state.hidden and not withdrawn.hidden and not was_moved)


def test_a_deletion_hides_until_it_is_withdrawn_by_name() -> None:
    deleted = DeletionState(frozenset({Deletion("a", 1)}))
    assert deleted.hidden
    assert (deleted | DeletionState(withdrawn=frozenset({"b"}))).hidden
    assert not (deleted | DeletionState(withdrawn=frozenset({"a"}))).hidden


def test_an_object_is_due_when_the_grace_time_is_over_or_the_deletion_is_final() -> None:
    deleted = DeletionState(frozenset({Deletion("a", 10)}))
    assert [deleted.is_due(now, 5) for now in (14, 15, 16)] == [False, True, True]
    assert DeletionState(frozenset({Deletion("a", 10, final=True)})).is_due(0, 5)
    assert not replace(deleted, collected=True).is_due(100, 5)
    assert not (deleted | DeletionState(withdrawn=frozenset({"a"}))).is_due(100, 5)
    assert not ALIVE.is_due(100, 5)
