"""What web servers answer to STOW-RS, and what differs."""

from __future__ import annotations

import gzip
import json

import pytest

from gantry.common.dicom.model.xml_writing import to_xml
from gantry.common.errors import NotUnderstood
from gantry.services.frontdoor.shadow.comparing import AnswerDifference, DifferenceKind
from gantry.services.frontdoor.shadow.stow_answers import StowAnswer, compare_stow, read_stow
from gantry.services.frontdoor.shadow.web_answers import WebAnswer
from gantry.services.ingest.stow.response import StowOutcome, response_of

OUTCOMES = [
    StowOutcome("1.2.840", "1.1", "1.0", "1.0.1"),
    StowOutcome("1.2.840", "1.2", failure=0xA900),
    StowOutcome(failure=0xC000),
]
READ = StowAnswer(202, frozenset({"1.1"}), {"1.2": 0xA900}, 1)


def answer(body: object, status: int = 202, kind: str = "application/dicom+json") -> WebAnswer:
    return WebAnswer(status, kind, body if isinstance(body, bytes) else json.dumps(body).encode())


def test_what_gantry_answers_is_read() -> None:
    assert read_stow(answer(response_of(OUTCOMES, "http://here"))) == READ


def test_it_is_read_from_xml_from_a_list_of_one_and_compressed() -> None:
    response = response_of(OUTCOMES, "http://here")
    assert read_stow(answer(to_xml(response), kind="application/dicom+xml")) == READ
    assert read_stow(answer([response])) == READ
    assert read_stow(WebAnswer(202, "application/json", gzip.compress(json.dumps(response).encode()), True)) == READ


def test_a_status_without_a_body_stores_nothing() -> None:
    assert read_stow(answer(b"")) == StowAnswer(202)
    assert read_stow(answer(b"<html>", 503)) == StowAnswer(503)


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"{", b"[1, 2]", b"1", {"x": 1}, {"00081199": {"vr": "SQ", "Value": ["1.2"]}}, b"[" * 100_000],
    ids=["html", "broken", "a list", "a number", "no tag", "no items", "deep"],
)
def test_what_is_no_data_set_is_not_understood(body: object) -> None:
    with pytest.raises(NotUnderstood):
        read_stow(answer(body))


def test_it_is_kept_as_it_was() -> None:
    assert StowAnswer.of(json.loads(json.dumps(READ.to_json()))) == READ
    for broken in (None, {}, {**READ.to_json(), "failed": []}, {**READ.to_json(), "status": "x"}):
        with pytest.raises(ValueError):
            StowAnswer.of(broken)


def test_differences_are_told_by_their_kind() -> None:
    assert compare_stow(READ, READ) == []
    other = StowAnswer(200, frozenset({"1.3"}), {"1.2": 0xA700}, 0)
    assert compare_stow(READ, other) == [
        AnswerDifference(DifferenceKind.STATUS, 1, "Gantry 202, other 200"),
        AnswerDifference(DifferenceKind.ONLY_GANTRY, 1, "", ("1.1",)),
        AnswerDifference(DifferenceKind.ONLY_OTHER, 1, "", ("1.3",)),
        AnswerDifference(DifferenceKind.FAILURES, 1, "", ("1.2",)),
        AnswerDifference(DifferenceKind.FAILURES, 1, "without a UID failed: Gantry 1, other 0"),
    ]
    # Who says 403 has not looked at the instances: that they are missing there says nothing more.
    assert compare_stow(READ, StowAnswer(403)) == [AnswerDifference(DifferenceKind.STATUS, 1, "Gantry 202, other 403")]


def test_text_that_is_no_uid_is_not_repeated() -> None:
    named = {"00081155": {"vr": "UI", "Value": ["Shadow^Sue"]}}
    body = {"00081198": {"vr": "SQ", "Value": [named]}, "00081199": {"vr": "SQ", "Value": [named]}}
    assert read_stow(answer(body)) == StowAnswer(202, nameless=1)
