"""Receipts that follow from others: the same for whoever asks, in the order of those that they follow from."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.ids import Receipt
from gantry.common.lifecycle import ALIVE, Deletion, DeletionState, moved_back, successor, successors

_TIMES = st.integers(1, 2**40).map(lambda ms: ms * 1000)


@given(st.lists(_TIMES, min_size=2, max_size=8, unique=True), st.integers(1, 4))
def test_receipts_keep_their_order_and_time_through_any_number_of_moves(times: list[int], moves: int) -> None:
    receipts = [Receipt.at(at).id for at in times]
    now = receipts
    for number in range(moves):
        now = [successor(receipt, f"{number:032x}") for receipt in now]
    assert sorted(now) == [after for _, after in sorted(zip(receipts, now, strict=True))]
    assert [Receipt(name).milliseconds for name in now] == [Receipt(name).milliseconds for name in receipts]
    assert not set(now) & set(receipts)


def test_a_receipt_follows_from_another_by_each_move_in_its_own_way() -> None:
    receipt = Receipt.at(10**15).id
    assert successor(receipt, "a") == successor(receipt, "a") != successor(receipt, "b")
    deletion_state = DeletionState(
        frozenset([Deletion("a", 1, kept=True, moved=True), Deletion("d", 2), Deletion("b", 3, moved=True)])
    )
    assert list(successors(receipt, deletion_state)) == [successor(receipt, "a"), successor(receipt, "b")]
    assert list(successors(receipt, moved_back("a", 1))) == []
    assert list(successors(receipt, ALIVE)) == []


def test_what_was_moved_away_is_hidden_and_its_object_stays_whatever_else_was_decided() -> None:
    away = DeletionState(frozenset([Deletion("m", 1, kept=True, moved=True)]))
    assert (away.hidden, away.moved_away, away.restorable) == (True, True, False)
    purged = away | DeletionState(frozenset([Deletion("d", 2, final=True)]))
    assert not purged.is_due(10**9, 0)
    # Moved back, what was decided about it holds.
    assert (purged | DeletionState(withdrawn=frozenset(["m"]))).is_due(10**9, 0)
    assert not (away | DeletionState(withdrawn=frozenset(["m"]))).hidden


def test_what_was_moved_back_is_forgotten_where_it_was_at_once_and_for_good() -> None:
    back = moved_back("m", 1)
    assert (back.hidden, back.moved_away, back.restorable, back.is_due(1, 10**9)) == (True, False, False, True)
    assert (back | DeletionState(withdrawn=frozenset(["m"]))).hidden
