"""Which receipts are redundant."""

from __future__ import annotations

from dataclasses import replace

from gantry.common.ports.index import KnownReceipt, Location
from gantry.services.lifecycle.copies import Copies, redundant_of

CURRENT = KnownReceipt("a", "blake3:00", "1.2", "objects/a")
LOCATION = Location("1", "1.1", "1.1.1", "1.9", "1.2", "objects/a", 0, 100, "blake3:00")


def test_receipts_of_the_same_bytes_beside_the_one_that_is_read_are_redundant() -> None:
    again, third = replace(CURRENT, id="b", object_key="objects/b"), replace(CURRENT, id="c", object_key="c")
    assert redundant_of(LOCATION, [CURRENT, again, third]) == [again, third]
    assert Copies(LOCATION, [again, third]).bytes == 200
    assert redundant_of(LOCATION, [CURRENT]) == []


def test_a_lost_object_is_not_given_up_again_and_the_one_that_is_read_never() -> None:
    lost = replace(CURRENT, id="0", object_key="objects/0", lost=True)
    assert redundant_of(LOCATION, [lost, CURRENT]) == []


def test_nothing_is_redundant_where_other_bytes_are_kept_aside() -> None:
    again = replace(CURRENT, id="b", object_key="objects/b")
    for aside in (replace(CURRENT, id="c", digest="blake3:ff"), replace(CURRENT, transfer_syntax_uid="1.3")):
        assert redundant_of(LOCATION, [CURRENT, again, aside]) == ()
