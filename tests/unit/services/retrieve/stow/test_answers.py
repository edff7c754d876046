"""What servers answer, and what is believed of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.services.ingest.stow.response import StowOutcome, response_of, status_of
from gantry.services.retrieve.stow.answers import answer_of

CT = "1.2.840.10008.5.1.4.1.1.2"
SENT = ("1.2.1", "1.2.2", "1.2.3")


def body(*outcomes: StowOutcome) -> bytes:
    return json.dumps(response_of(outcomes, "http://server/dicom-web")).encode()


def outcome(uid: str, **more: Any) -> StowOutcome:
    return StowOutcome(CT, uid, "1.2", "1.2.9", **more)


def test_every_instance_has_its_own_status() -> None:
    outcomes = [outcome("1.2.1"), outcome("1.2.2", warning=0xB000), outcome("1.2.3", failure=0xA700)]
    answer = answer_of(status_of(outcomes), body(*outcomes), SENT)
    assert answer.statuses == {"1.2.1": 0, "1.2.2": 0xB000, "1.2.3": 0xA700}
    assert (answer.refused, answer.away) == ("", "")


def test_what_an_answer_does_not_name_was_not_taken() -> None:
    assert answer_of(200, body(outcome("1.2.1")), SENT).statuses == {"1.2.1": 0, "1.2.2": 0x0110, "1.2.3": 0x0110}


def test_what_is_named_as_taken_and_as_failed_was_not_taken() -> None:
    answer = answer_of(202, body(outcome("1.2.1"), outcome("1.2.1", failure=0xC000)), SENT[:1])
    assert answer.statuses == {"1.2.1": 0xC000}


@pytest.mark.parametrize("reason", [0, 0xB000, "words", -1, None])
def test_a_failure_without_a_reason_is_a_failure(reason: object) -> None:
    item = {"00081155": {"vr": "UI", "Value": ["1.2.1"]}, "00081197": {"vr": "US", "Value": [reason]}}
    content = json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode()
    assert answer_of(409, content, SENT[:1]).statuses == {"1.2.1": 0x0110}


def test_an_answer_about_other_instances_takes_none() -> None:
    answer = answer_of(200, body(outcome("9.9.9")), SENT)
    assert (answer.statuses, answer.refused) == ({}, "answered 200, and names none of the instances")


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>login</html>", b"{}", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000, b'{"00100010":{}}'],
    ids=["nothing", "a page", "empty", "a list", "null", "words", "no text", "too deep", "another data set"],
)
def test_rubbish_takes_nothing_and_the_server_is_left_alone(content: bytes) -> None:
    answer = answer_of(200, content, SENT)
    assert (answer.statuses, answer.refused) == ({}, "")
    assert answer.away.startswith("answered 200, and what it says is no ")


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_a_request_that_is_not_wanted_is_about_what_it_holds(status: int) -> None:
    assert answer_of(status, b"no", SENT).refused == f"answered {status}"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "answered 401: is the token or the certificate the right one?"),
        (302, "answered 302: redirects are not followed; give the URL that it names"),
        (404, "answered 404"),
        (429, "answered 429"),
        (500, "answered 500"),
        (503, "answered 503"),
        (204, "answered 204"),
    ],
)
def test_a_server_that_does_not_serve_is_away_whatever_it_says(status: int, words: str) -> None:
    answer = answer_of(status, body(outcome("1.2.1")), SENT)
    assert (answer.statuses, answer.away) == ({}, words)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Value", "00081198", "00081199", "0008119A", "00081155", "00081196", "00081197"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=20,
)


@given(st.sampled_from([200, 202, 409]), _json)
def test_whatever_is_said_only_what_was_sent_has_a_status(status: int, content: object) -> None:
    answer = answer_of(status, json.dumps(content).encode(), SENT)
    assert answer.statuses.keys() <= set(SENT)
    assert bool(answer.statuses) + bool(answer.refused) + bool(answer.away) == 1
