"""The election of an instance's current receipt."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.adapters.election import Candidate, Election
from gantry.common.ports.index import InstanceEntry, Outcome
from tests.support.entries import entry


def receipts() -> st.SearchStrategy[list[InstanceEntry]]:
    repeated = st.builds(
        lambda number, digest: entry(number, digest=f"blake3:{digest}"), st.integers(0, 9), st.just("a")
    )
    other = st.builds(
        lambda number, digest: entry(100 + number, digest=f"blake3:{digest}"), st.integers(0, 9), st.sampled_from("abc")
    )
    return st.lists(st.one_of(repeated, other), min_size=1, max_size=8).map(consistent)


def consistent(entries: list[InstanceEntry]) -> list[InstanceEntry]:
    """One receipt is one object, however often it is told."""
    first: dict[str, InstanceEntry] = {}
    return [first.setdefault(instance.receipt, instance) for instance in entries]


@given(receipts(), st.randoms())
def test_any_order_and_any_repetition_elect_the_same(entries: list[InstanceEntry], dice: object) -> None:
    shuffled = [*entries, *entries[:3]]
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    first, other = Election([]), Election([])
    for entry_ in entries:
        first.take(entry_)
    for entry_ in shuffled:
        other.take(entry_)
    assert sorted(first.sides) == sorted(other.sides)
    assert (first.current_side, first.aside) == (other.current_side, other.aside)
    assert first.current_side.receipt == min(e.receipt for e in entries)
    assert other.current is not None
    assert other.current.receipt == first.current_side.receipt


@given(receipts())
def test_what_is_known_may_be_split_between_batches(entries: list[InstanceEntry]) -> None:
    whole = Election([])
    outcomes = [whole.take(instance) for instance in entries]
    for cut in range(len(entries) + 1):
        first = Election([])
        first_outcomes = [first.take(instance) for instance in entries[:cut]]
        second = Election(list(first.sides))
        assert first_outcomes + [second.take(instance) for instance in entries[cut:]] == outcomes
        assert sorted(second.sides) == sorted(whole.sides)


@given(receipts(), st.randoms())
def test_two_receipts_decide(entries: list[InstanceEntry], dice: object) -> None:
    """Who knows the earliest, the earliest with other bytes, and those that are asked about, tells the same."""
    order = [*entries, *entries[:3]]
    dice.shuffle(order)  # type: ignore[attr-defined]
    whole = Election([])
    for instance in order:
        before = sorted(whole.sides)
        other = next((s for s in before if not s.same_bytes(before[0])), None)
        deciding = [*before[:1], *([other] if other else [])]
        sides = [s for s in before if s.receipt == instance.receipt]
        part = Election(deciding, sides)
        displaced = bool(before) and not min([*before, side_of(instance)]).same_bytes(before[0])
        assert part.take(instance) == whole.take(instance)
        assert part.current_side == whole.current_side
        assert part.displaced == displaced
        assert (part.current is instance) == (not sides and part.current_side == side_of(instance))


def side_of(instance: InstanceEntry) -> Candidate:
    return Candidate(instance.receipt, instance.digest, instance.transfer_syntax_uid)


def test_a_conflict_is_told_with_both_sides_whoever_came_first() -> None:
    early, late = entry(1, digest="blake3:aa"), entry(2, digest="blake3:bb")
    for order in itertools.permutations([early, late]):
        election = Election([])
        election.take(order[0])
        applied = election.take(order[1])
        assert applied.outcome is Outcome.CONFLICT
        assert (applied.kept_receipt, applied.aside_receipt) == (early.receipt, late.receipt)
        assert (applied.kept_digest, applied.aside_digest) == ("blake3:aa", "blake3:bb")


def test_the_same_data_set_in_another_transfer_syntax_is_another_object() -> None:
    assert not Candidate("1", "blake3:aa", "1.2.840.10008.1.2").same_bytes(
        Candidate("2", "blake3:aa", "1.2.840.10008.1.2.1")
    )
