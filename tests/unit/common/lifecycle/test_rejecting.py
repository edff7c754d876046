"""What follows for receipts from rejections: the same whichever came first, and strictest first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.model.rejection_notes import REVOKE
from gantry.common.ids import Receipt
from gantry.common.lifecycle import (
    DELETED,
    Deletion,
    DeletionState,
    RejectionPolicy,
    SentAgain,
    is_waiting,
    repeats,
    subsequent,
    waiting_receipt,
)

AT = "1.2.1", "1.2.1.1"


def receipt(ms: int, rest: str = "a") -> str:
    return Receipt(f"{ms:012x}{rest * 20}").id


def rejection(ms: int, code: str = "113001", *, kept: bool = True) -> Deletion:
    return Deletion(receipt(ms, "f"), ms * 1000, False, kept, code=code)


def hidden(*deletions: Deletion) -> DeletionState:
    return DeletionState(frozenset(deletions))


IGNORES = RejectionPolicy({"113001": SentAgain.IGNORE, DELETED: SentAgain.REFUSE})
WAITS = RejectionPolicy(note_first=1000)


def test_without_a_policy_what_is_sent_again_is_there() -> None:
    deletion_states = {receipt(1): hidden(rejection(5))}
    assert subsequent(*AT, {receipt(9)}, deletion_states, RejectionPolicy(), arrived={receipt(9)}, rejected=False) == {}
    assert not RejectionPolicy().follows
    assert not RejectionPolicy({"113001": SentAgain.ACCEPT}).follows


def test_what_comes_where_nothing_else_is_there_falls_under_the_rejection() -> None:
    deletion_states = {receipt(1): hidden(rejection(5))}
    again = {receipt(9)}
    assert subsequent(*AT, again, deletion_states, IGNORES, arrived=again, rejected=False) == {receipt(9): rejection(5)}
    # One more copy of what is there is that.
    receipts = {receipt(7), receipt(9)}
    assert subsequent(*AT, receipts, deletion_states, IGNORES, arrived=again, rejected=False) == {}
    # And when it was there before the rejection is known, that tells.
    assert subsequent(*AT, receipts, deletion_states, IGNORES, arrived=(), rejected=True).keys() == receipts


def test_a_deletion_that_spares_other_copies_takes_none_of_them() -> None:
    deletion_states = {receipt(1): hidden(Deletion(receipt(5, "f"), 5))}
    assert subsequent(*AT, {receipt(2)}, deletion_states, IGNORES, arrived=(), rejected=True) == {}
    assert subsequent(*AT, {receipt(9)}, deletion_states, IGNORES, arrived={receipt(9)}, rejected=False)


def test_the_strictest_rule_counts_and_what_is_withdrawn_does_not() -> None:
    deletion_states = {receipt(1): hidden(rejection(5)), receipt(2): hidden(Deletion(receipt(4, "f"), 4))}
    assert repeats(*AT, deletion_states, IGNORES) == (SentAgain.REFUSE, Deletion(receipt(4, "f"), 4))
    deletion_states[receipt(2)] |= DeletionState(withdrawn=frozenset({receipt(4, "f")}))
    assert repeats(*AT, deletion_states, IGNORES) == (SentAgain.IGNORE, rejection(5))
    assert repeats(*AT, {receipt(1): DeletionState()}, IGNORES) is None


def test_a_rejection_of_an_earlier_release_is_accepted_again() -> None:
    repeat = repeats(*AT, {receipt(1): hidden(rejection(5, ""))}, IGNORES)
    assert repeat is not None
    assert repeat[0] is SentAgain.ACCEPT


@pytest.mark.parametrize("final", [False, True])
def test_what_was_moved_away_or_back_is_accepted_again_and_never_overwritten(final: bool) -> None:
    moved = hidden(Deletion(receipt(5, "f"), 5, final, kept=True, moved=True))
    repeat = repeats(*AT, {receipt(1): moved}, IGNORES)
    assert repeat is not None
    assert repeat[0] is SentAgain.ACCEPT
    assert not RejectionPolicy(overwrites={("113037", "")}).may_overwrite("113037", moved)


@pytest.mark.parametrize(("ms", "falls"), [(4, True), (5, True), (1005, True), (1006, False)])
def test_what_comes_within_the_time_after_a_note_is_rejected_by_it(ms: int, falls: bool) -> None:
    note = rejection(5)
    deletion_states = {waiting_receipt(note.id, *AT): hidden(note)}
    receipts = {receipt(ms, "b")}
    for arrived, rejected in ((receipts, False), ((), True)):
        notes = subsequent(*AT, receipts, deletion_states, WAITS, arrived=arrived, rejected=rejected)
        assert notes == ({receipt(ms, "b"): note} if falls else {})
    # That nothing came is no rejection that stands.
    assert repeats(*AT, deletion_states, IGNORES) is None


def test_a_waiting_receipt_sorts_with_its_note_and_is_of_one_instance() -> None:
    note = rejection(5)
    waiting = waiting_receipt(note.id, *AT)
    assert Receipt(waiting).milliseconds == 5
    assert len(waiting) == 32
    assert is_waiting(waiting, note, *AT)
    assert not is_waiting(waiting, note, AT[0], "1.2.1.2")
    assert not is_waiting(waiting, rejection(6), *AT)


def test_what_may_follow_what_is_in_the_table_alone() -> None:
    policy = RejectionPolicy(overwrites={("113037", "113001"), (REVOKE, "113001")})
    quality = hidden(rejection(5))
    assert policy.may_overwrite("113037", quality)
    assert policy.may_overwrite(REVOKE, quality)
    assert not policy.may_overwrite("113001", quality)
    assert not policy.may_overwrite("113037", hidden(rejection(5), Deletion("d", 6)))
    assert not policy.may_overwrite("113037", quality | DeletionState(collected=True))
    assert not policy.may_overwrite("113037", DeletionState())


_RECEIPTS = st.frozensets(st.integers(1, 12).map(receipt), max_size=4)
_REJECTIONS = st.lists(st.tuples(st.integers(1, 12), st.sampled_from(["113001", "113037", ""])), max_size=4)


@given(_RECEIPTS, _RECEIPTS, _REJECTIONS)
def test_asked_at_both_it_ends_the_same_whichever_came_first(
    receipts: frozenset[str], gone: frozenset[str], rejections: list[tuple[int, str]]
) -> None:
    """Receipts that came while a rejection did are hidden when they are asked about, or when it is."""
    policy = RejectionPolicy({"113001": SentAgain.IGNORE, "113037": SentAgain.IGNORE})
    receipts = receipts - gone
    deletion_state = hidden(*(rejection(ms, code) for ms, code in rejections if code))
    deletion_states = dict.fromkeys(gone, deletion_state)
    first = subsequent(*AT, receipts, deletion_states, policy, arrived=receipts, rejected=False)
    assert first == subsequent(*AT, receipts, deletion_states, policy, arrived=(), rejected=True)
    assert first.keys() == (receipts if gone and deletion_state.hidden else set())


def test_what_was_brought_back_from_a_rejection_does_not_fall_under_it_again() -> None:
    """The rejection still stands on a receipt that it reached while it was revoked."""
    deletion = rejection(5)
    back = DeletionState(frozenset((deletion,)), frozenset((deletion.id,)))
    deletion_states = {receipt(1): hidden(deletion), receipt(2): back}
    assert subsequent(*AT, {receipt(2)}, deletion_states, IGNORES, arrived=(), rejected=True) == {}
    assert (
        subsequent(*AT, {receipt(2), receipt(9)}, deletion_states, IGNORES, arrived={receipt(9)}, rejected=False) == {}
    )
    # Nor under a note that waited for it.
    waits = {waiting_receipt(deletion.id, *AT): hidden(deletion), receipt(2): back}
    assert subsequent(*AT, {receipt(2)}, waits, WAITS, arrived=(), rejected=True) == {}
    # What nothing takes back is in force, whatever was said of another one.
    final = Deletion(receipt(6, "f"), 6000, True)
    deletion_states = {
        receipt(1): hidden(final),
        receipt(2): DeletionState(frozenset((deletion,)), frozenset((final.id, deletion.id))),
    }
    assert subsequent(*AT, {receipt(9)}, deletion_states, IGNORES, arrived={receipt(9)}, rejected=False) == {
        receipt(9): final
    }


@given(st.data())
def test_what_it_says_once_it_does_not_say_again(data: st.DataObject) -> None:
    """What follows is read, and asked about again: it has to end."""
    policy = RejectionPolicy({"113001": SentAgain.IGNORE, "113037": SentAgain.REFUSE}, note_first=1000)
    decided = [rejection(ms, code) for ms, code in ((5, "113001"), (6, "113037"), (7, "113001"))]
    subsets = st.frozensets(st.sampled_from(decided))
    known = [receipt(1), receipt(2), receipt(9), *(waiting_receipt(decision.id, *AT) for decision in decided)]
    deletion_states = {
        name: DeletionState(data.draw(subsets), frozenset(gone.id for gone in data.draw(subsets)))
        for name in data.draw(st.lists(st.sampled_from(known), unique=True))
    }
    receipts = {receipt(1), receipt(2), receipt(9)}
    for _ in range(len(receipts) * len(decided) + 1):
        seen = {name for name in receipts if not deletion_states.get(name, DeletionState()).hidden}
        falls = subsequent(*AT, seen, deletion_states, policy, arrived=(), rejected=True)
        if not falls:
            return
        for name, deletion in falls.items():
            deletion_states[name] = deletion_states.get(name, DeletionState()) | hidden(deletion)
    raise AssertionError("it goes on for ever")
