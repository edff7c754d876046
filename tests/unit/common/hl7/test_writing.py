"""Values as fields of messages of our own."""

from __future__ import annotations

import pytest

from gantry.common.hl7.problems import MessageRefused
from gantry.common.hl7.writing import MessageCharset, components, plain, repetitions, segment, subcomponents, text


def test_what_would_end_a_frame_or_a_segment_never_reaches_the_message() -> None:
    assert plain(" a\x0bb\x1cc\x1bd\te\x00 ") == "a b c d e"
    assert text("a|b^c~d\\e&f\r\ng\rh\ni") == "a\\F\\b\\S\\c\\R\\d\\E\\e\\T\\f\\.br\\g\\.br\\h\\.br\\i"


def test_what_says_delete_is_left_out() -> None:
    assert (text('""'), text(' "" '), text('"x"')) == ("", "", '"x"')


def test_what_is_empty_at_the_end_is_left_out() -> None:
    assert components("", "a", "", "") == "^a"
    assert subcomponents("a", "", "") == "a"
    assert repetitions(["a", "", "b"]) == "a~b"
    assert segment("OBX", {1: "1", 3: "x", 5: ""}) == "OBX|1||x"
    assert segment("MSH", {2: "^~\\&", 3: "A"}) == "MSH|^~\\&|A"


def test_a_character_set_knows_what_it_can_write() -> None:
    latin = MessageCharset("8859/1")
    assert latin.holds("Müller")
    assert not latin.holds("山")
    assert latin.encoded(["Müller", "山"]) == b"M\xfcller\r?\r"
    assert MessageCharset("ISO IR87").header == "ASCII~ISO IR87"
    # Half-width katakana are of a set that MSH-18 does not name then.
    assert not MessageCharset("ISO IR87").holds("ｱ")
    with pytest.raises(MessageRefused):
        MessageCharset("8859/99")
