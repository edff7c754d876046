"""Paths of profiles."""

from __future__ import annotations

import re

import pytest

from gantry.common.hl7.fields import PATH, FieldPath, find
from gantry.common.hl7.message import parse
from gantry.common.hl7.problems import Spot

MESSAGE = parse("MSH|^~\\&|A\rOBR||P1\rOBR||P2^X&Y|F2")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("OBR-18", FieldPath("OBR", 18)),
        ("PID-3.4", FieldPath("PID", 3, 4)),
        ("ZDS-1.2.3", FieldPath("ZDS", 1, 2, 3)),
    ],
)
def test_a_path_is_read_as_it_is_written(text: str, path: FieldPath) -> None:
    assert re.fullmatch(PATH, text)
    assert FieldPath.of(text) == path


@pytest.mark.parametrize("text", ["OBR", "OBR-0", "obr-1", "OBR-1.", "OBR-1.2.3.4", "OBRX-1", ""])
def test_what_is_no_path_does_not_look_like_one(text: str) -> None:
    assert not re.fullmatch(PATH, text)


def test_the_first_path_with_a_text_wins_and_says_where_it_stands() -> None:
    match = find(MESSAGE.segments, [FieldPath.of("OBR-3"), FieldPath.of("OBR-2")])
    assert (match.text, match.spot) == ("F2", Spot("OBR", 2, 3))
    match = find(MESSAGE.segments, [FieldPath.of("OBR-2.2.2")])
    assert (match.text, match.spot) == ("Y", Spot("OBR", 2, 2, 2))


def test_nothing_found_names_the_first_place_that_was_looked_at() -> None:
    match = find(MESSAGE.segments, [FieldPath.of("OBR-9"), FieldPath.of("OBR-8")])
    assert not match
    assert match.spot == Spot("OBR", 1, 9)
    assert not find(MESSAGE.segments, [])
