"""What an acknowledgement says to its receiver."""

from __future__ import annotations

import pytest

from gantry.common.hl7.acknowledgement import AcknowledgementCode, MessageAnswer, acknowledgements
from gantry.common.hl7.answers import acknowledged, answer_in
from gantry.common.hl7.message import parse
from gantry.common.hl7.mllp import framed
from gantry.common.hl7.problems import ErrorCode, MessageProblem, Spot

BAD = MessageAnswer(
    AcknowledgementCode.ERROR, (MessageProblem(ErrorCode.DATA_TYPE, "not a date", Spot("PID", 1, 3, 4)),)
)


@pytest.mark.parametrize(("version", "place"), [("2.5", "PID-3.4"), ("2.3", "PID-3")])
def test_our_own_answers_are_understood(version: str, place: str) -> None:
    message = parse(f"MSH|^~\\&|RIS||GANTRY||2026||ADT^A08|MSG1|P|{version}")
    said = answer_in(b"".join(map(framed, acknowledgements(message, BAD, "1", "2026"))))
    assert (said.code, said.control_id, said.accepted) == ("AE", "MSG1", False)
    assert said.words == ["AE not applied: mend it", f"{place}: not a date (102)"]


def test_an_accepted_message_has_its_words() -> None:
    said = acknowledged(parse("MSH|^~\\&|X\rMSA|AA|MSG1|order placed"))
    assert said.accepted
    assert said.words == ["AA accepted: it is applied: order placed"]


def test_of_several_frames_the_last_one_counts() -> None:
    frames = framed(b"MSH|^~\\&|X\rMSA|CA|MSG1") + framed(b"MSH|^~\\&|X\rMSA|AE|MSG1|no")
    assert answer_in(frames).code == "AE"
    assert answer_in(b"").code == ""


def test_what_is_no_acknowledgement_says_so() -> None:
    assert "no MSA" in acknowledged(parse("MSH|^~\\&|X\rPID|1")).words[0]
    assert acknowledged(parse("MSH|^~\\&|X\rMSA|ZZ|1")).words == ["ZZ an answer of an unknown code"]
