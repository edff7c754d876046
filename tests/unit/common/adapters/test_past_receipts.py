"""What comes back of a receipt is what was kept of it."""

from __future__ import annotations

from gantry.common.adapters.past_receipts import (
    pack_deletion_state,
    pack_entry,
    unpack_deletion_state,
    unpack_entry,
    with_entries,
)
from gantry.common.lifecycle import Deletion, DeletionState
from gantry.common.ports.index import KnownReceipt
from tests.support.entries import entry


def receipt_of(number: int, *, digest: str = "blake3:00", offset: int = 300, lost: bool = False) -> KnownReceipt:
    instance = entry(number, digest=digest)
    return KnownReceipt(
        instance.receipt, digest, instance.transfer_syntax_uid, instance.object_key, offset, instance.sender, lost
    )


def test_an_entry_is_the_same_after_it_was_packed() -> None:
    instance = entry(1, PatientName="Müller^Jörg", sender="CT1")
    assert unpack_entry(pack_entry(instance)) == instance


def test_the_same_deletion_state_is_the_same_bytes_in_whatever_order_it_came() -> None:
    deletions = [Deletion("a", 1), Deletion("b", 2, final=True)]
    deletion_state = DeletionState(frozenset(deletions), frozenset(["a"]), collected=True)
    other = DeletionState(frozenset(deletions[1:]), frozenset(["a"])) | DeletionState(
        frozenset(deletions[:1]), collected=True
    )
    assert pack_deletion_state(deletion_state) == pack_deletion_state(other)
    assert unpack_deletion_state(pack_deletion_state(deletion_state)) == deletion_state


def test_a_receipt_has_the_attributes_of_its_bytes_and_a_place_of_its_own() -> None:
    content = entry(1, PatientID="P1")
    (known,) = with_entries([receipt_of(2, lost=True)], [entry(9, digest="blake3:ff", PatientID="P9"), content])
    assert known.lost
    assert known.entry.attributes == content.attributes
    assert (known.entry.receipt, known.entry.object_key) == (entry(2).receipt, entry(2).object_key)


def test_a_receipt_whose_bytes_or_place_nothing_tells_of_is_left_out() -> None:
    receipts = [receipt_of(1, digest="blake3:ff"), receipt_of(2, offset=-1), receipt_of(3)]
    assert [known.entry.receipt for known in with_entries(receipts, [entry(1)])] == [entry(3).receipt]
