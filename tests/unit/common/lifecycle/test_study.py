"""The fold of a study's events ends the same whatever the order, the number and the repetition in which they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.events import (
    Event,
    HoldPlaced,
    HoldReleased,
    InstancesDeleted,
    InstancesRestored,
    InstanceStored,
    ObjectLost,
    ObjectsCollected,
    ObjectsRelocated,
    ReceiptReference,
)
from gantry.common.lifecycle import HOT, NEVER_MOVED, DeletionState, StudyState, apply, fold
from tests.support.facts import conflict, stored

STUDY = "1.2.3"
GRACE = 100
_INSTANCES = ("1.2.3.1.1", "1.2.3.1.2")
_DIGESTS = ("blake3:00", "blake3:ff")


def arrival(number: int, instance: int = 0, digest: int = 0) -> InstanceStored:
    return replace(stored(number, STUDY), sop_instance_uid=_INSTANCES[instance], digest=_DIGESTS[digest])


def reference(event: InstanceStored) -> ReceiptReference:
    return ReceiptReference(event.series_instance_uid, event.sop_instance_uid, event.receipt)


def deletion(name: str, *events: InstanceStored, at: int = 0, final: bool = False) -> InstancesDeleted:
    return InstancesDeleted("default", "", STUDY, name, tuple(map(reference, events)), "why", "who", at, final)


def restoration(names: Sequence[str], *events: InstanceStored) -> InstancesRestored:
    return InstancesRestored("default", "", STUDY, tuple(names), tuple(map(reference, events)), "why", "who", 0)


def collection(*events: InstanceStored) -> ObjectsCollected:
    return ObjectsCollected("default", "", STUDY, tuple(map(reference, events)), tuple(e.digest for e in events), 0)


def relocation(store: str, *events: InstanceStored, at: int = 0) -> ObjectsRelocated:
    return ObjectsRelocated("default", "", STUDY, tuple(map(reference, events)), store, at)


def loss(event: InstanceStored) -> ObjectLost:
    uids = event.study_instance_uid, event.series_instance_uid, event.sop_instance_uid
    return ObjectLost("default", "", *uids, event.receipt, event.object_key, "missing", "verify", 0)


def placed(name: str) -> HoldPlaced:
    return HoldPlaced("default", "", STUDY, name, "trial", "who", 0)


def released(name: str) -> HoldReleased:
    return HoldReleased("default", "", STUDY, name, "trial", "who", 0)


@dataclass
class Operator:
    """What a person at the log would say, event after event: the slow and obvious way, with an order."""

    there: dict[str, InstanceStored] = field(default_factory=dict)
    deleted: dict[str, dict[str, InstanceStored]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    holds: set[str] = field(default_factory=set)
    stores: dict[str, str] = field(default_factory=dict)
    log: list[Event] = field(default_factory=list)
    number: int = 0

    def arrives(self, instance: int, digest: int) -> None:
        self.number += 1
        event = arrival(self.number, instance, digest)
        self.there[event.receipt] = event
        self.log.append(event)

    def deletes(self, choice: int) -> None:
        events = {key: event for n, (key, event) in enumerate(self.there.items()) if choice >> n & 1}
        if events and not self.holds:
            self.number += 1
            self.deleted[f"d{self.number}"] = events
            self.there = {key: event for key, event in self.there.items() if key not in events}
            self.log.append(deletion(f"d{self.number}", *events.values(), at=self.number))

    def restores(self, choice: int) -> None:
        names = sorted(self.deleted)
        if names:
            name = names[choice % len(names)]
            back = {key: event for key, event in self.deleted.pop(name).items() if key not in self.gone}
            self.there |= back
            if back:
                self.log.append(restoration([name], *back.values()))

    def collects(self, choice: int) -> None:
        names = sorted(self.deleted)
        if names and not self.holds:
            events = self.deleted.pop(names[choice % len(names)])
            self.gone |= events.keys()
            self.log.append(collection(*events.values()))

    def holds_or_releases(self, choice: int) -> None:
        if self.holds and choice % 2:
            self.log.append(released(self.holds.pop()))
        elif choice < 3:
            self.number += 1
            self.holds.add(f"h{self.number}")
            self.log.append(placed(f"h{self.number}"))

    def relocates(self, choice: int) -> None:
        events = {key: event for n, (key, event) in enumerate(self.there.items()) if choice >> n & 1}
        if events:
            self.number += 1
            store = (HOT, "cold", "glacier")[choice % 3]
            self.stores |= dict.fromkeys(events, store)
            self.log.append(relocation(store, *events.values(), at=self.number))

    def loses(self, choice: int) -> None:
        keys = list(self.there)
        if keys:
            self.log.append(loss(self.there[keys[choice % len(keys)]]))
            self.log.append(conflict(choice, STUDY))


_STEPS = st.lists(
    st.tuples(st.sampled_from("aaaddrchlmm"), st.integers(0, 15), st.integers(0, 1)), min_size=1, max_size=25
)


def history(steps: list[tuple[str, int, int]]) -> Operator:
    operator = Operator()
    for step, number, digest in steps:
        if step == "a":
            operator.arrives(number % 2, digest)
        else:
            does = {"d": "deletes", "r": "restores", "c": "collects", "h": "holds_or_releases", "l": "loses"}
            does["m"] = "relocates"
            getattr(operator, does[step])(number)
    return operator


@given(_STEPS)
def test_the_fold_in_order_says_what_a_person_at_the_log_would_say(steps: list[tuple[str, int, int]]) -> None:
    operator = history(steps)
    state = fold(operator.log)
    assert {key for key, receipt in state.receipts.items() if receipt.is_present} == operator.there.keys()
    assert state.holds == operator.holds
    moved = {key: receipt.place.store for key, receipt in state.receipts.items() if receipt.place != NEVER_MOVED}
    assert moved == operator.stores
    for uid in _INSTANCES:
        keys = sorted(key for key, event in operator.there.items() if event.sop_instance_uid == uid)
        assert state.current(("1.2.3.1", uid)) == (keys[0] if keys else None)
        asides = [key for key in keys if operator.there[key].digest != operator.there[keys[0]].digest]
        assert state.aside(("1.2.3.1", uid)) == asides


@given(_STEPS, st.data())
def test_any_interleaving_and_duplication_ends_as_in_order(
    steps: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    log = history(steps).log
    again = data.draw(st.lists(st.sampled_from(log), max_size=10)) if log else []
    assert fold(data.draw(st.permutations([*log, *again]))) == fold(log)


@given(_STEPS, st.data())
def test_a_log_cut_off_anywhere_and_replayed_ends_as_in_order(
    steps: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    log = history(steps).log
    # As after a restore from a bucket that is behind, or an index that was an older copy.
    cut, since = data.draw(st.integers(0, len(log))), data.draw(st.integers(0, len(log)))
    assert fold(log, fold(log[:cut])) == fold(log)
    assert fold(log[min(cut, since) :], fold(log[:cut])) == fold(log)


@given(_STEPS, st.data())
def test_what_was_deleted_and_not_withdrawn_never_comes_back(
    steps: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    operator = history(steps)
    state = fold(operator.log)
    for event in data.draw(st.lists(st.sampled_from([*operator.log, arrival(99)]), max_size=20)):
        state = apply(state, event)
        for names in operator.deleted.values():
            assert not any(state.receipts[key].is_present for key in names)
        assert not any(state.receipts[key].is_present for key in operator.gone)


def test_the_same_object_sent_again_after_a_deletion_is_there() -> None:
    first, again = arrival(1), arrival(2)
    state = fold([first, deletion("d", first), first, again])
    assert state.current(("1.2.3.1", _INSTANCES[0])) == again.receipt


def test_deleting_restoring_and_deleting_again_needs_no_clock() -> None:
    first = arrival(1)
    events = [deletion("d1", first), restoration(["d1"], first), deletion("d2", first), first]
    assert fold(events).instances == set()
    assert fold([*reversed(events), restoration(["d2"], first)]).instances == {("1.2.3.1", _INSTANCES[0])}


def test_a_restoration_brings_back_only_what_it_names() -> None:
    first, second = arrival(1, 0), arrival(2, 1)
    state = fold([first, second, deletion("d", first, second), restoration(["d"], second)])
    assert state.instances == {("1.2.3.1", _INSTANCES[1])}


def test_neither_what_is_collected_nor_what_was_deleted_for_good_comes_back() -> None:
    first, second = arrival(1, 0), arrival(2, 1)
    events = [first, second, deletion("d", first), collection(first), deletion("f", second, final=True)]
    state = fold([*events, restoration(["d", "f"], first, second)])
    assert state.instances == set()
    assert not any(receipt.deletion_state.restorable for receipt in state.receipts.values())


def test_objects_are_due_after_the_grace_time_at_once_when_final_and_never_under_a_hold() -> None:
    first, second = arrival(1, 0), arrival(2, 1)
    state = fold([first, second, deletion("d", first, at=1000), deletion("f", second, at=1000, final=True)])
    assert state.due(1000, GRACE) == [second.receipt]
    assert state.due(1099, GRACE) == [second.receipt]
    assert state.due(1100, GRACE) == [first.receipt, second.receipt]
    held = apply(state, placed("h"))
    assert held.due(9999, GRACE) == []
    assert apply(held, released("h")).due(9999, GRACE) == [first.receipt, second.receipt]
    assert fold([restoration(["d"], first), collection(second)], state).due(9999, GRACE) == []


def test_an_object_lies_where_it_was_put_last_whatever_is_heard_first_and_whatever_becomes_of_it() -> None:
    first = arrival(1)
    departure, back = relocation("cold", first, at=5), relocation(HOT, first, at=9)
    assert fold([back, first, departure]).receipts[first.receipt].place.store == HOT
    assert fold([departure, departure, first]).receipts[first.receipt].place.store == "cold"
    # Neither hides it nor brings it back.
    assert fold([departure]).instances == set()
    gone = fold([first, deletion("d", first), departure])
    assert (gone.instances, gone.receipts[first.receipt].place.at) == (set(), 5)


def test_a_lost_object_is_read_from_another_receipt_of_its_bytes_until_that_is_deleted() -> None:
    first, same, other = arrival(1), arrival(2), arrival(3, 0, 1)
    instance = "1.2.3.1", _INSTANCES[0]
    state = fold([loss(first), other, same, first])
    assert (state.current(instance), state.read_from(instance)) == (first.receipt, same.receipt)
    assert state.aside(instance) == [other.receipt]
    assert fold([deletion("d", same)], state).read_from(instance) == first.receipt
    # Other bytes become current when those before them are deleted.
    assert fold([deletion("d", first, same)], state).current(instance) == other.receipt


@given(_STEPS)
def test_a_deletion_state_is_stored_and_read_back(steps: list[tuple[str, int, int]]) -> None:
    for receipt in fold(history(steps).log).receipts.values():
        assert DeletionState.unpacked(receipt.deletion_state.packed()) == receipt.deletion_state
        assert receipt.deletion_state | receipt.deletion_state == receipt.deletion_state


def test_a_study_of_which_nothing_is_known_has_nothing() -> None:
    assert fold([]) == StudyState()
    assert (fold([]).instances, fold([]).due(1, 0), fold([]).read_from(("1", "2"))) == (set(), [], None)
