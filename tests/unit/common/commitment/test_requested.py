"""What we ask other archives to commit, and what follows from their reports."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.commitment.requested import (
    Answered,
    RequestedTransaction,
    answer_of,
    pack_answered,
    pack_requested,
    transaction_of,
    unpack_answered,
    unpack_requested,
)
from gantry.common.commitment.wire import EventInformation
from gantry.common.errors import Corrupt
from gantry.common.events import CommitmentFailure, CommitmentReference
from gantry.common.ids import is_uid

CT = "1.2.840.10008.5.1.4.1.1.2"
ONE, TWO, THREE = (CommitmentReference(CT, f"1.5.{number}") for number in (1, 2, 3))
ASKED = RequestedTransaction(
    *("2.25.7", "default", "trace", "1.2.3", "a1" * 16, "DEEP"),
    number=2,
    failures_before=1,
    at=1_700_000_000_000_000,
    again=30,
    asks_all=True,
    is_last=False,
    references=(ONE, TWO, THREE),
    digests=("blake3:1", "blake3:2", "blake3:3"),
)


def report(committed: set[CommitmentReference], *failed: CommitmentFailure) -> EventInformation:
    return EventInformation("2.25.7", frozenset(committed), failed)


def test_what_is_packed_is_unpacked_the_same() -> None:
    assert unpack_requested(pack_requested(ASKED)) == ASKED
    answered = Answered((ONE,), ("blake3:1",), (CommitmentFailure(CT, "1.5.2", 0x0112),))
    assert unpack_answered(pack_answered(answered)) == answered


def test_what_was_sent_de_identified_is_asked_for_as_it_was_sent_and_answered_under_our_uids() -> None:
    request = replace(ASKED, sent_as=("2.25.1", "2.25.2", "2.25.3"))
    assert unpack_requested(pack_requested(request)) == request
    assert [reference.sop_instance_uid for reference in request.as_sent] == ["2.25.1", "2.25.2", "2.25.3"]
    assert ASKED.as_sent == ASKED.references
    sent = request.as_sent
    answered = answer_of(request, report({sent[0], TWO}, CommitmentFailure(CT, "2.25.3", 0x0112)))
    # Our own UID in a report is none that was asked for.
    assert (answered.committed, answered.digests) == ((ONE,), ("blake3:1",))
    assert [(failure.sop_instance_uid, failure.reason) for failure in answered.failures] == [
        ("1.5.2", 0x0110),
        ("1.5.3", 0x0112),
    ]


@pytest.mark.parametrize("place", [0, 20, -1])
def test_bytes_that_changed_are_refused(place: int) -> None:
    content = bytearray(pack_requested(ASKED))
    content[place] ^= 1
    with pytest.raises(Corrupt):
        unpack_requested(bytes(content))


def test_a_transaction_has_the_same_uid_at_the_same_try_and_another_at_each_other() -> None:
    uids = [transaction_of(route, number) for route in ("a", "b") for number in range(50)]
    assert len(set(uids)) == 100
    assert all(map(is_uid, uids))
    assert transaction_of("a", 3) == uids[3]


def test_all_are_committed_with_the_digests_of_what_was_sent() -> None:
    answered = answer_of(ASKED, report({ONE, TWO, THREE}))
    assert answered == Answered(ASKED.references, ASKED.digests, ())
    assert answered.why("DEEP") == ""


def test_what_a_report_does_not_name_or_names_twice_is_not_committed() -> None:
    answered = answer_of(ASKED, report({ONE, TWO}, CommitmentFailure(CT, "1.5.2", 0x0112)))
    assert (answered.committed, answered.digests) == ((ONE,), ("blake3:1",))
    assert [(failure.sop_instance_uid, failure.reason) for failure in answered.failures] == [
        ("1.5.2", 0x0112),
        ("1.5.3", 0x0110),
    ]
    assert "DEEP did not commit 2 of 3 instances" in answered.why("DEEP")
    assert "no such object instance" in answered.why("DEEP")


def test_the_same_instance_under_another_class_is_not_committed() -> None:
    answered = answer_of(replace(ASKED, references=(ONE,), digests=("d",)), report({replace(ONE, sop_class_uid="1.9")}))
    assert not answered.committed
    assert len(answered.failures) == 1


def test_what_we_did_not_ask_for_is_passed_over() -> None:
    answered = answer_of(replace(ASKED, references=(ONE,), digests=("d",)), report({ONE, TWO}))
    assert answered == Answered((ONE,), ("d",), ())


@given(st.sets(st.sampled_from([ONE, TWO, THREE])), st.sets(st.sampled_from([ONE, TWO, THREE])))
def test_each_instance_is_committed_or_failed_and_never_both(
    reported: set[CommitmentReference], failed: set[CommitmentReference]
) -> None:
    failures = [CommitmentFailure(reference.sop_class_uid, reference.sop_instance_uid, 0x0110) for reference in failed]
    answered = answer_of(ASKED, report(reported, *failures))
    committed = {reference.sop_instance_uid for reference in answered.committed}
    assert committed == {reference.sop_instance_uid for reference in reported - failed}
    assert committed | {failure.sop_instance_uid for failure in answered.failures} == {"1.5.1", "1.5.2", "1.5.3"}
    assert len(answered.committed) + len(answered.failures) == 3
