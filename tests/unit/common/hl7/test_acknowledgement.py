"""How messages are answered."""

from __future__ import annotations

import pytest

from gantry.common.hl7.acknowledgement import AcknowledgementCode, MessageAnswer, acknowledgements, rejection
from gantry.common.hl7.message import Hl7Message, parse
from gantry.common.hl7.problems import ErrorCode, MessageProblem, Spot

GOOD = MessageAnswer(AcknowledgementCode.ACCEPT, text="order placed")
BAD = MessageAnswer(
    AcknowledgementCode.ERROR,
    (
        MessageProblem(ErrorCode.DATA_TYPE, "not a date | at all", Spot("PID", 1, 7)),
        MessageProblem(ErrorCode.INTERNAL, "x"),
    ),
)


def received(
    version: str = "2.5.1", accept: str = "", application: str = "", kind: str = "ADT^A08^ADT_A01"
) -> Hl7Message:
    return parse(f"MSH|^~\\&|RIS|HOSP&1&ISO|GANTRY|HERE|2026||{kind}|MSG1|T|{version}|||{accept}|{application}")


def lines(acknowledgement: bytes) -> list[str]:
    return acknowledgement.decode("ascii").split("\r")[:-1]


def answered(message: Hl7Message, answer: MessageAnswer) -> list[str]:
    (only,) = acknowledgements(message, answer, "OURS", "20261127")
    return lines(only)


def test_an_acknowledgement_turns_the_addresses_round_and_echoes_version_and_processing_id() -> None:
    assert answered(received(), GOOD) == [
        "MSH|^~\\&|GANTRY|HERE|RIS|HOSP&1&ISO|20261127||ACK^A08^ACK|OURS|T|2.5.1",
        "MSA|AA|MSG1|order placed",
    ]


def test_each_problem_is_an_err_segment_with_location_code_and_words() -> None:
    assert answered(received(), BAD)[1:] == [
        "MSA|AE|MSG1|PID-7: not a date \\F\\ at all",
        "ERR||PID^1^7|102^Data type error^HL70357|E|||not a date \\F\\ at all|not a date \\F\\ at all",
        "ERR|||207^Application internal error^HL70357|E|||x|x",
    ]


@pytest.mark.parametrize("version", ["2.3.1", "2.4"])
def test_before_version_2_5_a_problem_stands_in_err_1(version: str) -> None:
    assert answered(received(version), BAD)[2:] == [
        "ERR|PID^1^7^102&not a date \\F\\ at all&HL70357",
        "ERR|^^^207&x&HL70357",
    ]


def test_before_version_2_4_an_acknowledgement_has_no_structure() -> None:
    assert "|ACK^A08|" in answered(received("2.3.1"), GOOD)[0]
    assert "|ACK^A08^ACK|" in answered(received("2.4"), GOOD)[0]
    assert answered(received("9.9"), GOOD)[0].endswith("|2.5")


def test_the_delimiters_are_those_of_the_message() -> None:
    message = parse("MSH#*+!%#RIS##GANTRY####ADT*A08#MSG1")
    first = answered(message, BAD)[0]
    assert first.startswith("MSH#*+!%#GANTRY##RIS##20261127##ACK*A08*ACK#OURS#P#2.5")


@pytest.mark.parametrize(
    ("accept", "application", "answer", "codes"),
    [
        ("AL", "NE", GOOD, ["CA"]),
        ("AL", "NE", BAD, ["CE"]),
        ("NE", "AL", GOOD, ["AA"]),
        ("AL", "AL", GOOD, ["CA", "AA"]),
        ("ER", "SU", GOOD, ["AA"]),
        ("ER", "SU", BAD, ["CE"]),
        ("SU", "ER", MessageAnswer(AcknowledgementCode.REJECT), ["AR"]),
        ("NE", "NE", BAD, []),
        ("NE", "", GOOD, []),
    ],
)
def test_enhanced_mode_sends_what_its_conditions_ask_for(
    accept: str, application: str, answer: MessageAnswer, codes: list[str]
) -> None:
    sent = acknowledgements(received(accept=accept, application=application), answer, "OURS", "2026")
    assert [parse(one.decode()).all("MSA")[0].text(1) for one in sent] == codes
    assert len({parse(one.decode()).control_id for one in sent}) == len(sent)


def test_what_is_no_message_is_rejected_with_an_empty_msa_2() -> None:
    made = lines(rejection(BAD, "OURS", "2026"))
    assert made[0] == "MSH|^~\\&|GANTRY||||2026||ACK|OURS|P|2.5"
    assert made[1].startswith("MSA|AE||PID-7")


def test_a_thousand_problems_are_the_first_twenty() -> None:
    problems = tuple(MessageProblem(ErrorCode.DATA_TYPE, str(number)) for number in range(1000))
    assert len(answered(received(), MessageAnswer(AcknowledgementCode.ERROR, problems))) == 22


def test_names_of_another_character_set_do_not_end_an_answer() -> None:
    message = parse("MSH|^~\\&|RÖNTGEN||||||ADT^A08|MSG1")
    assert b"R?NTGEN" in acknowledgements(message, GOOD, "OURS", "2026")[0]
