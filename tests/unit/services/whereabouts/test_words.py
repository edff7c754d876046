"""What an operator reads, and what is advised: nothing where all is well."""

from __future__ import annotations

import pytest

from gantry.services.whereabouts.account import (
    Account,
    ArrivalAccount,
    CommitmentAccount,
    CommitmentElsewhere,
    DeadInstance,
)
from gantry.services.whereabouts.words import advice, history_lines, moment

AT = 1_700_000_000_000_000
ARRIVAL = ArrivalAccount("CT1", "GANTRY", "10.0.0.1", AT, AT + 61_000_000, 12, "ab" * 16, "released")
WELL = Account("1.2.3", searchable=12, arrivals=(ARRIVAL,))


def test_a_time_is_utc() -> None:
    assert moment(AT) == "2023-11-14 22:13:20Z"


def test_a_study_that_is_well_needs_nothing() -> None:
    assert advice(WELL) == []
    lines = history_lines(WELL)
    received = (
        "12 instances from CT1 at 10.0.0.1, called GANTRY, 2023-11-14 22:13:20Z to 2023-11-14 22:14:21Z; "
        f"association released; trace {'ab' * 16}"
    )
    assert lines[0] == ("received", received)
    assert ("indexed", "12 instances can be found and retrieved") in lines
    assert ("committed", "nobody has asked for storage commitment of it") in lines


@pytest.mark.parametrize(
    ("account", "line", "step"),
    [
        (
            Account("1.2.3", dead=(DeadInstance("59a3f9e21c07", "1.2.3.4", "NotFound: no object"),)),
            "instance 1.2.3.4: NotFound: no object",
            "gantry dlq replay 59a3f9e21c07",
        ),
        (Account("1.2.3", lost=1), "1 receipt is missing or damaged in the object store", "1 object is missing"),
        (Account("1.2.3", lost=2), "2 receipts are missing or damaged in the object store", "send the study again"),
        (Account("1.2.3", unread=3), "3 receipts are stored, and not read by the indexers yet", "/readyz"),
        (Account("1.2.3", aside=1), "1 receipt is kept aside: other bytes than the current ones", "gantry choose"),
        (
            Account("1.2.3", deleted=4, restorable=4),
            "4 receipts are deleted, 4 of these can be restored",
            "gantry undelete 1.2.3",
        ),
        (Account("1.2.3", rejected=1), "1 receipt is rejected by a note", "gantry undelete UID"),
        (
            Account("1.2.3", commitments=(CommitmentAccount("2.1", "CT1", AT, 4),)),
            "4 instances, asked by CT1 at 2023-11-14 22:13:20Z: no report yet",
            "a commitment report is owed",
        ),
        (
            Account("1.2.3", commitments=(CommitmentAccount("2.1", "CT1", AT, 4, AT, False, 1),)),
            "1 of them not committed, report could not be delivered",
            "let it ask again",
        ),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(account: Account, line: str, step: str) -> None:
    assert any(line in fact for _, fact in history_lines(account))
    assert any(step in advice_line for advice_line in advice(account))


def test_what_was_deleted_for_good_cannot_be_brought_back() -> None:
    assert advice(Account("1.2.3", deleted=4, restorable=0, collected=4)) == []


def test_of_many_arrivals_the_last_are_shown_and_the_others_counted() -> None:
    lines = history_lines(Account("1.2.3", arrivals=(ARRIVAL,) * 23))
    assert lines[0] == ("received", "3 earlier associations")
    assert sum(head == "received" for head, _ in lines) == 21


def test_who_committed_a_study_elsewhere_is_said_with_what_is_missing() -> None:
    reports = CommitmentElsewhere("DEEP", "2.25.7", AT, 11, 1), CommitmentElsewhere("DEEP", "2.25.8", AT, 1, 0)
    lines = [line for head, line in history_lines(Account("1.2.3", elsewhere=reports)) if head == "committed"]
    at = "which reported at 2023-11-14 22:13:20Z, transaction"
    assert lines[1:] == [
        f"11 instances by DEEP, {at} 2.25.7, 1 not committed",
        f"1 instance by DEEP, {at} 2.25.8",
    ]
