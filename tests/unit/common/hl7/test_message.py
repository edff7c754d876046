"""Segments, fields, components and escapes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.hl7.message import Delimiters, parse
from gantry.common.hl7.problems import MessageRefused

HEADER = "MSH|^~\\&|RIS|HOSPITAL|GANTRY||20261127||ADT^A08^ADT_A01|MSG1|P|2.5.1"
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)


def test_the_header_is_counted_from_its_separator() -> None:
    message = parse(HEADER)
    assert message.header.text(1) == "|"
    assert message.header.text(2) == "^~\\&"
    assert (message.kind, message.event, message.version) == ("ADT^A08", "A08", "2.5.1")
    assert (message.source, message.control_id) == ("RIS^HOSPITAL", "MSG1")


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r", "\n\r"])
def test_segments_end_with_any_line_end(end: str) -> None:
    message = parse(end.join((HEADER, "PID|1", "OBX|1", "OBX|2", "")))
    assert [(segment.name, segment.occurrence) for segment in message.segments[1:]] == [
        ("PID", 1),
        ("OBX", 1),
        ("OBX", 2),
    ]
    assert message.first("ZZZ") is None
    assert len(message.all("OBX")) == 2


def test_components_subcomponents_and_repetitions_are_told_apart() -> None:
    pid = parse(HEADER + "\rPID|||1^^^A&1.2&ISO~~2^^^B||X^Y").segments[1]
    first, second = pid.repetitions(3)
    assert (first.text(1), first.text(4), first.text(4, 2), second.text(4)) == ("1", "A", "1.2", "B")
    assert pid.text(5, 2) == "Y"
    assert (pid.text(5, 3), pid.text(99), pid.repetitions(4), pid.text(3, 4, 9)) == ("", "", [], "")


def test_other_delimiters_are_those_of_the_header() -> None:
    message = parse("MSH#*+!%#RIS#\rPID###1***A%1.2+2\r")
    pid = message.segments[1]
    assert [repetition.text(1) for repetition in pid.repetitions(3)] == ["1", "2"]
    assert pid.text(3, 4, 2) == "1.2"


def test_a_header_may_name_no_sender() -> None:
    message = parse("MSH|^~\\&||||GANTRY|2026||ADT^A08|1")
    assert (message.source, message.kind, message.control_id) == ("^", "ADT^A08", "1")


def test_a_null_says_delete_and_is_no_text() -> None:
    pid = parse(HEADER + '\rPID|||1|""|X').segments[1]
    assert pid.field(4).is_null
    assert pid.text(4) == ""
    assert not pid.field(5).is_null


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        ("A\\T\\B", "A&B"),
        ("\\F\\\\S\\\\R\\\\E\\", "|^~\\"),
        ("one\\.br\\two", "one\ntwo"),
        ("one\\.sp2\\two", "one\n\ntwo"),
        ("\\X41\\\\X42C4\\", "AB"),
        ("\\H\\loud\\N\\", "loud"),
        ("\\Zunknown\\x", "x"),
        ("\\.sp99999999999\\x", "x"),
        ("open \\ end", "open \\ end"),
        ("a\\\\b", "ab"),
    ],
)
def test_escapes_are_resolved_and_unknown_ones_left_out(escaped: str, text: str) -> None:
    assert Delimiters().unescaped(escaped) == text


@given(TEXT)
def test_what_is_escaped_comes_back(text: str) -> None:
    escaped = Delimiters().escaped(text)
    assert not set(escaped) & set("|^~&")
    assert Delimiters().unescaped(escaped) == text


@given(TEXT)
def test_unescaping_never_fails_and_never_grows_much(text: str) -> None:
    assert len(Delimiters().unescaped(text)) <= 100 * len(text) + 100


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not an HL7 version 2 message"),
        ("GET / HTTP/1.1", "not an HL7 version 2 message"),
        ("MSH", "not an HL7 version 2 message"),
        ("MSH|^~\\&", "not an HL7 version 2 message"),
        ("MSH|^^^^|A", "not an HL7 version 2 message"),
        ("MSH|||||A", "not an HL7 version 2 message"),
        ("FHS|^~\\&|A\rBHS|^~\\&|A\r" + HEADER, "batch"),
        ("BHS|^~\\&|A\r" + HEADER, "batch"),
        (HEADER + "\r" + HEADER, "more than one MSH"),
        (HEADER + "\rpid|1", "line 2 is not a segment"),
        (HEADER + "\rPIDX|1", "line 2 is not a segment"),
        (HEADER + "\rOBX|1" * 5_000, "segments"),
    ],
)
def test_what_is_no_message_is_rejected_in_words(text: str, words: str) -> None:
    with pytest.raises(MessageRefused, match=words) as refused:
        parse(text)
    assert refused.value.rejected


@given(st.text(max_size=200))
def test_any_text_is_a_message_or_refused(text: str) -> None:
    for candidate in (text, f"MSH|^~\\&|A|B\r{text}"):
        try:
            message = parse(candidate)
        except MessageRefused:
            continue
        for segment in message.segments:
            assert all(field.text(1).strip() == field.text(1) for field in segment.repetitions(1))


def test_groups_begin_with_the_first_of_the_names_that_is_there() -> None:
    message = parse(HEADER + "\rPID|1\rORC|1\rOBR|1\rORC|2\rOBR|2\rZDS|1")
    assert [[segment.name for segment in group] for group in message.groups("XXX", "ORC")] == [
        ["ORC", "OBR"],
        ["ORC", "OBR", "ZDS"],
    ]
    assert list(message.groups("XXX")) == []
