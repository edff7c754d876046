"""The fold of the topic of messages."""

from __future__ import annotations

import pytest

from gantry.common.errors import NotFound
from gantry.common.events import MessageAnswered, MessageDiscarded, MessageQuarantined, StudyAccessed
from gantry.services.orders.hl7.ledger import MessageLedger, message_id

HOUR = 3600 * 1_000_000


def answered(control_id: str = "1", at: int = 0, digest: str = "d") -> MessageAnswered:
    return MessageAnswered("default", "", "RIS^H", control_id, digest, "ORM^O01", b"reply " + control_id.encode(), at)


def refused(control_id: str = "1", at: int = 0, digest: str = "d", source: str = "RIS^H") -> MessageQuarantined:
    return MessageQuarantined("default", "", source, control_id, digest, "ORM^O01", b"MSH", ("ORC: no",), at)


def discarded(control_id: str = "1", digest: str = "d") -> MessageDiscarded:
    return MessageDiscarded("default", "", "RIS^H", control_id, digest, "a test", "ann", 9)


def ledger(*events: MessageAnswered | MessageQuarantined | MessageDiscarded) -> MessageLedger:
    made = MessageLedger(24 * HOUR)
    for event in events:
        made.take(event)
    return made


def test_the_answer_of_an_accepted_message_is_remembered_for_its_time() -> None:
    made = ledger(answered(at=HOUR))
    message = made.answer("RIS^H", "1", 25 * HOUR)
    assert message is not None
    assert (message.reply, message.digest) == (b"reply 1", "d")
    assert made.answer("RIS^H", "1", 25 * HOUR + 1) is None
    assert made.answer("RIS^OTHER", "1", 2 * HOUR) is None
    assert made.answer("RIS^H", "2", 2 * HOUR) is None


def test_answers_that_are_too_old_are_forgotten() -> None:
    made = ledger(*(answered(str(hour), hour * HOUR) for hour in range(100)))
    assert made.answer("RIS^H", "0", 0) is None
    assert made.answer("RIS^H", "99", 99 * HOUR) is not None


def test_a_refused_message_is_open_until_it_or_its_control_id_is_accepted() -> None:
    made = ledger(refused(digest="d"), refused(digest="d", at=5), refused(digest="d", at=5), refused("2"))
    assert [(message.control_id, message.times, message.at) for message in made.open()] == [("2", 1, 0), ("1", 2, 5)]
    assert made.attempts("RIS^H", "1", "d") == 2
    assert made.attempts("RIS^H", "1", "other") == 0
    made.take(answered(digest="repaired"))
    assert [message.control_id for message in made.open()] == ["2"]
    assert {message.control_id: message.state for message in made.all()} == {"1": "applied", "2": "open"}


def test_a_message_of_another_sender_is_another_message() -> None:
    made = ledger(refused(source="A^B"), answered())
    assert len(made.open()) == 1


def test_a_person_discards_one_with_a_reason() -> None:
    made = ledger(refused(), discarded(), discarded("7"))
    (message,) = made.all()
    assert (message.state, message.reason, message.by) == ("discarded", "a test", "ann")
    made.take(refused(at=7))
    assert made.open()[0].state == "open"


def test_a_message_is_found_by_the_beginning_of_its_name() -> None:
    made = ledger(refused("1"), refused("2"))
    name = message_id("RIS^H", "1", "d")
    assert made.named(name[:6]).id == name
    assert made.text(name) == b"MSH"
    assert made.digest(name) == "d"
    with pytest.raises(NotFound, match="no such"):
        made.named("zz")
    with pytest.raises(NotFound):
        made.named("")


def test_events_of_other_topics_and_texts_that_are_not_wanted_are_passed_over() -> None:
    made = MessageLedger(texts=False)
    made.take(StudyAccessed("default", "", "1.2", 1))
    made.take(refused())
    with pytest.raises(KeyError):
        made.text(made.all()[0].id)
