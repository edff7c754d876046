"""Messages from the bytes that pass by."""

from __future__ import annotations

import pytest

from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND
from gantry.common.dimse import Command, CommandField, Element, message_pdus, response_to
from gantry.common.ul import AssociateAccept, AssociateReject, ContextResult
from gantry.common.ul.pdu import encode_accept, encode_reject
from gantry.services.frontdoor.shadow.overhearing import CANCELLED, NOT_MIRRORED, Exchange, Overheard, Room
from tests.support.wire import (
    CT,
    EXPLICIT,
    IMPLICIT,
    RELEASE_RP,
    RELEASE_RQ,
    USER_ABORT,
    VERIFICATION,
    associate_rq,
    echo_command,
    rq_bytes,
    store_command,
)

CONTEXTS = ((1, CT, (EXPLICIT, IMPLICIT)), (3, VERIFICATION, (IMPLICIT,)), (5, STUDY_ROOT_FIND, (IMPLICIT,)))
RQ = associate_rq(contexts=CONTEXTS)
AC = encode_accept(
    AssociateAccept(
        "GANTRY",
        "TEST",
        max_pdu_length=16384,
        implementation_class_uid="1.2.3.4",
        results=(ContextResult(1, 0, EXPLICIT), ContextResult(3, 0, IMPLICIT), ContextResult(5, 0, IMPLICIT)),
    )
)
MOST = 1 << 20


def find_command(message_id: int = 1) -> Command:
    return Command(
        {
            Element.AFFECTED_SOP_CLASS_UID: STUDY_ROOT_FIND,
            Element.COMMAND_FIELD: int(CommandField.C_FIND_RQ),
            Element.MESSAGE_ID: message_id,
            Element.PRIORITY: 0,
        }
    )


class Spilling:
    """A data set that went to a spool."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.data = b""
        self.why = ""
        self.answered: int | None = None

    def write(self, data: bytes | bytearray, room: Room | None = None) -> bool:
        if room is not None:
            room.give(len(data))
        if len(self.data) + len(data) > self.shelf.most:
            self.drop("spool_full")
            return False
        self.data += data
        return True

    def finish(self, exchange: Exchange) -> None:
        self.answered = exchange.status

    def drop(self, why: str) -> None:
        self.why = self.why or why


class Shelf:
    """A spool in memory; no object of it may be longer than `most`."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.began: dict[int, Spilling] = {}

    def begin(self, exchange: Exchange) -> Spilling | None:
        if not self.most:
            return None
        return self.began.setdefault(exchange.number, Spilling(self))


class Line:
    """An association that is overheard, its bytes in pieces of a few."""

    def __init__(self, most: int = MOST, piece: int = 7, mirrored: bool = True, spool: Shelf | None = None) -> None:
        self.room = Room(most)
        spill = spool.begin if spool is not None else None
        self.heard = Overheard(RQ, lambda operation, abstract_syntax: mirrored, self.room, spill)
        self.piece = piece
        self.asked(rq_bytes(contexts=CONTEXTS), 0.0)
        self.answered(AC, 0.0)

    def asked(self, data: bytes, now: float = 1.0) -> list[Exchange]:
        return [exchange for piece in self._cut(data) for exchange in self.heard.take_requests(piece, now)]

    def answered(self, data: bytes, now: float = 2.0) -> list[Exchange]:
        return [exchange for piece in self._cut(data) for exchange in self.heard.take_responses(piece, now)]

    def _cut(self, data: bytes) -> list[memoryview]:
        return [memoryview(data)[start : start + self.piece] for start in range(0, len(data), self.piece)]


def store(message_id: int, data: bytes) -> bytes:
    return message_pdus(1, store_command(message_id), data, 4096)


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_an_object_and_its_answer_are_heard_whole_however_they_are_cut(piece: int) -> None:
    line = Line(piece=piece)
    (exchange,) = line.asked(store(7, b"ab" * 5000), 3.0)
    assert (exchange.operation, exchange.context.transfer_syntax, bytes(exchange.data)) == (
        "C-STORE",
        EXPLICIT,
        b"ab" * 5000,
    )
    (answered,) = line.answered(message_pdus(1, response_to(exchange.command, 0xB000).encode(), None, 4096), 3.5)
    assert answered is exchange
    assert (exchange.status, exchange.seconds) == (0xB000, 0.5)
    line.heard.done_with(exchange)
    assert line.room.used == 0
    assert not line.heard.broken


def test_the_matches_of_a_question_are_heard_in_their_order() -> None:
    line = Line()
    command = find_command()
    (exchange,) = line.asked(message_pdus(5, command.encode(data_set=True), b"question", 4096))
    pending = response_to(command, 0xFF00).encode(data_set=True)
    for match in (b"first " * 1000, b"second"):
        assert line.answered(message_pdus(5, pending, match, 256)) == []
    line.answered(message_pdus(5, response_to(command, 0).encode(), None, 4096))
    assert [bytes(answer) for answer in exchange.answers] == [b"first " * 1000, b"second"]


def test_messages_without_data_and_the_end_are_heard() -> None:
    line = Line()
    (exchange,) = line.asked(message_pdus(3, echo_command(), None, 4096))
    assert exchange.operation == "C-ECHO"
    line.answered(message_pdus(3, response_to(exchange.command, 0).encode(), None, 4096))
    line.asked(RELEASE_RQ)
    line.answered(RELEASE_RP)
    assert (exchange.status, line.heard.broken) == (0, "")


def test_a_rejection_is_heard() -> None:
    heard = Overheard(RQ, lambda *_: True, Room(MOST))
    heard.take_requests(memoryview(rq_bytes(contexts=CONTEXTS)), 0.0)
    heard.take_responses(memoryview(encode_reject(AssociateReject(1, 1, 3))), 0.0)
    assert heard.reject == AssociateReject(1, 1, 3)
    assert heard.accept is None


def test_what_is_not_mirrored_holds_nothing() -> None:
    line = Line(mirrored=False)
    (exchange,) = line.asked(store(1, b"ab" * 5000))
    assert (exchange.why_not, exchange.data, line.room.used) == (NOT_MIRRORED, b"", 0)


def test_an_object_that_is_too_long_is_passed_over_and_the_next_one_is_heard() -> None:
    line = Line(most=8192)
    (exchange,) = line.asked(store(1, b"ab" * 10000))
    assert (exchange.why_not, line.room.used, line.heard.fell_behind) == ("too_long", 0, False)
    (after,) = line.asked(store(2, b"ab"))
    assert (after.why_not, bytes(after.data)) == ("", b"ab")


def test_who_falls_behind_is_told_from_an_object_that_is_too_long() -> None:
    line = Line(most=8192)
    for number in range(1, 4):
        line.asked(store(number, b"ab" * 1500))
    assert line.heard.fell_behind


def test_more_matches_than_there_is_room_for_are_let_go() -> None:
    line = Line(most=8192)
    command = find_command()
    (exchange,) = line.asked(message_pdus(5, command.encode(data_set=True), b"question", 4096))
    pending = response_to(command, 0xFF00).encode(data_set=True)
    for _ in range(100):
        line.answered(message_pdus(5, pending, b"match " * 20, 4096))
    assert (exchange.why_not, exchange.answers, line.room.used) == ("too_many", [], 0)
    assert line.answered(message_pdus(5, response_to(command, 0).encode(), None, 4096)) == [exchange]


def test_what_c_get_sends_is_heard_as_digests_and_nothing_of_it_is_held() -> None:
    line = Line(most=8192)
    command = find_command()
    command.elements[Element.COMMAND_FIELD] = int(CommandField.C_GET_RQ)
    (exchange,) = line.asked(message_pdus(5, command.encode(data_set=True), b"question", 4096))
    for number, data in enumerate((b"ab" * 10_000, b"cd", b"ab" * 10_000)):
        line.answered(message_pdus(1, store_command(number, sop_instance=f"1.2.{number}"), data, 4096))
        line.asked(message_pdus(1, response_to(Command.decode(store_command(number)), 0).encode(), None, 4096))
    line.answered(message_pdus(5, response_to(command, 0xFF00).encode(), None, 4096))
    (answered,) = line.answered(message_pdus(5, response_to(command, 0).encode(), None, 4096))
    assert answered is exchange
    assert sorted(exchange.objects) == ["1.2.0", "1.2.1", "1.2.2"]
    assert exchange.objects["1.2.0"] == exchange.objects["1.2.2"] != exchange.objects["1.2.1"]
    assert {syntax for syntax, _ in exchange.objects.values()} == {EXPLICIT}
    assert line.room.used < 4096
    line.heard.done_with(exchange)
    assert line.room.used == 0


def test_what_c_get_sends_belongs_to_it_and_to_no_other_request_that_is_open() -> None:
    line = Line()
    (finding,) = line.asked(message_pdus(5, find_command(8).encode(data_set=True), b"question", 4096))
    getting = Command({**find_command(9).elements, Element.COMMAND_FIELD: int(CommandField.C_GET_RQ)})
    (exchange,) = line.asked(message_pdus(5, getting.encode(data_set=True), b"question", 4096))
    line.answered(message_pdus(1, store_command(1), b"object", 4096))
    assert (len(finding.objects), len(exchange.objects)) == (0, 1)


def test_a_question_that_is_withdrawn_is_not_compared() -> None:
    line = Line()
    (exchange,) = line.asked(message_pdus(5, find_command(9).encode(data_set=True), b"question", 4096))
    cancel = Command({Element.COMMAND_FIELD: 0x0FFF, Element.MESSAGE_ID_BEING_RESPONDED_TO: 9})
    line.asked(message_pdus(5, cancel.encode(), None, 4096))
    assert (exchange.why_not, line.room.used) == (CANCELLED, 0)


@pytest.mark.parametrize(
    ("rubbish", "why"),
    [(USER_ABORT, "aborted"), (b"\x09rubbish", "not followed"), (b"\4\0\0\0\0\x06\0\0\0\x02\x63\x03", "not followed")],
    ids=["abort", "no-pdu", "context-never-proposed"],
)
def test_what_cannot_be_followed_ends_the_listening_and_raises_nothing(rubbish: bytes, why: str) -> None:
    line = Line()
    line.asked(rubbish)
    assert line.heard.broken == why
    assert line.asked(store(1, b"ab")) == []


def test_what_is_held_counts_for_all_together() -> None:
    everybody = Room(100)
    first, other = Room(80, everybody), Room(80, everybody)
    assert first.take(60)
    assert not other.take(60)
    assert other.take(40)
    first.close()
    first.give(60)
    assert (everybody.used, first.take(1)) == (40, False)


# ---- a spool


def stored(uid: str, message_id: int = 1) -> Command:
    return Command.decode(store_command(message_id, sop_instance=uid)[12:])


@pytest.mark.parametrize("piece", [500, 7, 1 << 20])
def test_beyond_half_of_the_room_a_data_set_goes_to_the_spool_and_what_was_held_before_it(piece: int) -> None:
    shelf = Shelf()
    line = Line(8000, piece, spool=shelf)
    long_one = bytes(range(250)) * 36
    (short,) = line.asked(message_pdus(1, stored("1.1").encode(data_set=True), b"s" * 100, 16384), 1.0)
    (long,) = line.asked(message_pdus(1, stored("1.2", 2).encode(data_set=True), long_one, 1000), 2.0)
    assert (bytes(short.data), short.spilled, short.why_not) == (b"s" * 100, None, "")
    spilled = shelf.began[1]
    assert (spilled.data, long.data, long.why_not, long.spilled) == (long_one, b"", "", spilled)
    assert spilled.answered is None
    line.answered(message_pdus(1, response_to(stored("1.2", 2), 0xB000).encode(), None, 16384), 3.0)
    assert spilled.answered == 0xB000
    assert not line.heard.fell_behind
    for exchange in (short, long):
        line.heard.done_with(exchange)
    assert line.room.used == 0


def test_a_spool_that_is_full_gives_up_the_object_alone() -> None:
    for shelf in (Shelf(0), Shelf(5000)):
        line = Line(8000, 500, spool=shelf)
        (long,) = line.asked(message_pdus(1, stored("1.1").encode(data_set=True), b"l" * 9000, 16384), 1.0)
        assert long.why_not == "spool_full"
        (short,) = line.asked(message_pdus(1, stored("1.2", 2).encode(data_set=True), b"s" * 10, 16384), 1.0)
        assert (short.why_not, bytes(short.data)) == ("", b"s" * 10)
        assert not line.heard.fell_behind
        line.heard.done_with(short)
        assert line.room.used == 0


def test_an_association_that_is_put_off_holds_no_data_sets() -> None:
    shelf = Shelf()
    line = Line(piece=500, spool=shelf)
    first_command, second_command = stored("1.1"), stored("1.2", 2)
    first = line.asked(message_pdus(1, first_command.encode(data_set=True), b"a" * 100, 16384), 1.0)
    line.answered(message_pdus(1, response_to(first_command, 0).encode(), None, 16384), 1.5)
    pdus = message_pdus(1, second_command.encode(data_set=True), b"b" * 3000, 16384)
    assert line.asked(pdus[:1500], 2.0) == []
    line.heard.put_off(first)
    assert (shelf.began[0].data, shelf.began[0].answered) == (b"a" * 100, 0)
    (second,) = line.asked(pdus[1500:], 3.0)
    assert (shelf.began[1].data, shelf.began[1].answered) == (b"b" * 3000, None)
    line.answered(message_pdus(1, response_to(second_command, 0).encode(), None, 16384), 4.0)
    assert shelf.began[1].answered == 0
    for exchange in (*first, second):
        line.heard.done_with(exchange)
    assert line.room.used == 0
