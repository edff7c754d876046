"""What events decide about receipts: one decision for each that they name, and for those that followed by a move."""

from __future__ import annotations

from gantry.common.events import InstancesDeleted, InstancesMovedBack, ObjectsRelocated, ReceiptReference
from gantry.common.lifecycle import Place, successor
from gantry.common.ports.index import InstanceKey
from gantry.common.runtime.decisions import decisions_of, relocations_of
from tests.support.facts import stored

RECEIPTS = tuple(ReceiptReference("1.2.3.1", f"1.2.3.1.{n}", f"{n:032x}") for n in (1, 2))


def test_a_deletion_decides_about_each_receipt_that_it_names() -> None:
    deletion = InstancesDeleted("default", "", "1.2.3", "d" * 32, RECEIPTS, "twice", "who", 5)
    decisions = decisions_of([stored(1), deletion])
    assert [(decision.instance, decision.receipt) for decision in decisions] == [
        (InstanceKey("1.2.3", "1.2.3.1", "1.2.3.1.1"), f"{1:032x}"),
        (InstanceKey("1.2.3", "1.2.3.1", "1.2.3.1.2"), f"{2:032x}"),
    ]
    assert all(decision.deletion_state.hidden and decision.deletion_state.restorable for decision in decisions)


def test_a_move_that_is_taken_back_hides_for_good_what_followed_from_it() -> None:
    back = InstancesMovedBack("default", "", "1.2.3", "m" * 32, RECEIPTS[:1], "4.5", "4.5.1", "no", "who", 6)
    own, other = decisions_of([back])
    assert (own.receipt, own.deletion_state.hidden) == (f"{1:032x}", False)
    assert other.instance == InstanceKey("4.5", "4.5.1", "1.2.3.1.1")
    assert other.receipt == successor(f"{1:032x}", "m" * 32)
    assert (other.deletion_state.hidden, other.deletion_state.restorable) == (True, False)


def test_a_relocation_says_of_each_receipt_where_its_object_lies_and_decides_nothing() -> None:
    moved = ObjectsRelocated("default", "", "1.2.3", RECEIPTS, "cold", 7)
    assert [
        (relocation.instance, relocation.receipt, relocation.place) for relocation in relocations_of([stored(1), moved])
    ] == [
        (InstanceKey("1.2.3", "1.2.3.1", "1.2.3.1.1"), f"{1:032x}", Place(7, "cold")),
        (InstanceKey("1.2.3", "1.2.3.1", "1.2.3.1.2"), f"{2:032x}", Place(7, "cold")),
    ]
    assert decisions_of([moved]) == []
