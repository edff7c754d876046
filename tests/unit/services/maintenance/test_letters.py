"""What is open, whatever came twice, late or in another order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import permutations

import pytest

from gantry.common.errors import NotFound
from gantry.common.events import (
    DeadLetter,
    DeadLetterDiscarded,
    DeadLetterReplayed,
    Event,
    encode,
    letter_id,
)
from gantry.services.maintenance.letters import LetterLedger, LetterState, described
from tests.support.facts import requested, stored

NAME = b"Doe^Jane"
EVENT = replace(stored(1), header=b"\x10\x00\x10\x00PN\x08\x00" + NAME, calling_ae_title="CT1")
LETTER = DeadLetter("default", "t", "indexer", "instances", 7, "why", 100, encode(EVENT))
OTHER = DeadLetter("default", "t", "g", "commitment", 7, "why", 101, encode(requested("1.2")))
ID = letter_id(LETTER)
REPLAYED = DeadLetterReplayed("default", "t", "indexer", ID, "admin", 200)
DISCARDED = DeadLetterDiscarded("default", "t", "indexer", ID, "sent again", "admin", 300)


def ledger_of(events: Sequence[Event | None]) -> LetterLedger:
    ledger = LetterLedger()
    for event in events:
        ledger.take(event)
    return ledger


def test_a_letter_says_which_event_of_whom_failed_and_nothing_of_a_patient() -> None:
    (letter,) = ledger_of([LETTER]).open()
    assert (letter.id, letter.event, letter.sender) == (ID, "InstanceStored", "CT1")
    assert (letter.study_instance_uid, letter.receipt) == (EVENT.study_instance_uid, EVENT.receipt)
    assert NAME.decode() not in repr(asdict(letter))


def test_what_this_release_cannot_read_is_a_letter_without_an_event() -> None:
    letter = described(replace(LETTER, payload=b"\xc1junk"))
    assert (letter.event, letter.study_instance_uid) == ("", "")


@pytest.mark.parametrize("order", list(permutations([LETTER, LETTER, REPLAYED, OTHER])))
def test_a_decision_closes_its_letter_alone_in_whatever_order(order: Sequence[Event]) -> None:
    ledger = ledger_of(order)
    assert [letter.id for letter in ledger.open()] == [letter_id(OTHER)]
    assert [letter.state for letter in ledger.all()] == [LetterState.REPLAYED, LetterState.OPEN]


def test_the_last_decision_counts() -> None:
    for order in permutations([LETTER, REPLAYED, DISCARDED]):
        (letter,) = ledger_of(order).all()
        assert (letter.state, letter.decided_why, letter.decided_at) == (LetterState.DISCARDED, "sent again", 300)


def test_what_fails_at_the_same_place_after_a_decision_is_open_again() -> None:
    ledger = ledger_of([LETTER, DISCARDED, replace(LETTER, failed_at=301)])
    assert [letter.failed_at for letter in ledger.open()] == [301]


def test_what_is_no_event_of_the_topic_changes_nothing() -> None:
    assert ledger_of([LETTER, None, stored(3)]).open() == ledger_of([LETTER]).open()


def test_a_letter_is_named_by_the_beginning_of_its_name() -> None:
    ledger = ledger_of([LETTER, OTHER])
    assert ledger.named(ID[:6]) is LETTER
    with pytest.raises(NotFound, match="no such"):
        ledger.named("ffffffff0000")
    with pytest.raises(NotFound):
        ledger.named("")  # all begin so
    twin = ledger_of([LETTER])
    twin.letters[ID[:6] + "ffffff"] = OTHER
    with pytest.raises(NotFound, match="several"):
        twin.named(ID[:6])
