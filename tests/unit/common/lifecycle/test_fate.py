"""What was decided about a receipt: decisions only add, and what they come to does not depend on their order."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.lifecycle import ALIVE, Deletion, Fate

_CODES = st.sampled_from(["", "113001"])
_DELETIONS = st.builds(
    Deletion, st.sampled_from("abc"), st.integers(0, 3), st.booleans(), st.booleans(), st.booleans(), _CODES
)
FATES = st.builds(Fate, st.frozensets(_DELETIONS), st.frozensets(st.sampled_from("abc")), st.booleans())


@given(FATES, FATES, FATES)
def test_joining_is_the_same_in_any_order_and_any_number(first: Fate, second: Fate, third: Fate) -> None:
    assert (first | second) | third == first | (second | third)
    assert first | second == second | first
    assert first | first == first
    assert first | ALIVE == first


@given(FATES)
def test_a_fate_is_read_as_it_was_packed(fate: Fate) -> None:
    assert Fate.unpacked(fate.packed()) == fate


@given(FATES, FATES)
def test_nothing_brings_back_what_is_collected_or_finally_deleted(first: Fate, second: Fate) -> None:
    if first.collected or any(deletion.final for deletion in first.deletions):
        assert (first | second).hidden
        assert not (first | second).restorable


@given(FATES)
def test_what_can_be_restored_is_alive_when_all_that_stands_is_withdrawn(fate: Fate) -> None:
    withdrawn = fate | Fate(withdrawn=frozenset(deletion.id for deletion in fate.standing))
    was_moved = any(deletion.moved for deletion in fate.standing)
    assert fate.restorable == (fate.hidden and not withdrawn.hidden and not was_moved)


def test_a_deletion_hides_until_it_is_withdrawn_by_name() -> None:
    deleted = Fate(frozenset({Deletion("a", 1)}))
    assert deleted.hidden
    assert (deleted | Fate(withdrawn=frozenset({"b"}))).hidden
    assert not (deleted | Fate(withdrawn=frozenset({"a"}))).hidden


def test_an_object_is_due_when_the_grace_time_is_over_or_the_deletion_is_final() -> None:
    deleted = Fate(frozenset({Deletion("a", 10)}))
    assert [deleted.is_due(now, 5) for now in (14, 15, 16)] == [False, True, True]
    assert Fate(frozenset({Deletion("a", 10, final=True)})).is_due(0, 5)
    assert not replace(deleted, collected=True).is_due(100, 5)
    assert not (deleted | Fate(withdrawn=frozenset({"a"}))).is_due(100, 5)
    assert not ALIVE.is_due(100, 5)
