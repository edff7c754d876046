"""Request and Response Modules of storage commitment over HTTP: each reference once, in order, and nothing invalid."""

from __future__ import annotations

import json

import pytest

from gantry.common.errors import NotUnderstood, TooLarge
from gantry.common.events import CommitmentFailure, CommitmentReference
from gantry.services.commitment.payloads import references_of, response_of
from gantry.services.commitment.results import CommitmentResult


def request(*uids: str, wrapped: bool = False) -> bytes:
    items = [{"00081150": {"vr": "UI", "Value": ["1.9"]}, "00081155": {"vr": "UI", "Value": [uid]}} for uid in uids]
    body = {"00081199": {"vr": "SQ", "Value": items}}
    return json.dumps([body] if wrapped else body).encode()


@pytest.mark.parametrize("wrapped", [True, False])
def test_references_are_read_in_order_and_each_once(wrapped: bool) -> None:
    references = references_of(request("1.3", "1.2", "1.3", wrapped=wrapped), xml=False, most=10)
    assert references == (CommitmentReference("1.9", "1.3"), CommitmentReference("1.9", "1.2"))


def test_more_than_the_limit_is_too_large() -> None:
    assert len(references_of(request("1.1", "1.2"), xml=False, most=2)) == 2
    with pytest.raises(TooLarge):
        references_of(request("1.1", "1.2", "1.3"), xml=False, most=2)


@pytest.mark.parametrize("body", [b"", b"[" * 100_000, b"\xff", b"[1]", b"null"])
def test_a_body_that_is_no_data_set_is_not_understood(body: bytes) -> None:
    with pytest.raises(NotUnderstood):
        references_of(body, xml=False, most=10)


def test_xml_without_the_model_is_not_understood() -> None:
    for body in (b"<a/>", b"<!DOCTYPE a><a/>", b""):
        with pytest.raises(NotUnderstood):
            references_of(body, xml=True, most=10)


def test_a_response_leaves_out_what_is_empty() -> None:
    committed, failed = CommitmentReference("1.9", "1.1"), CommitmentFailure("1.9", "1.2", 0x0112)
    assert set(response_of(CommitmentResult("1", (committed,), ()))) == {"00081199"}
    both = response_of(CommitmentResult("1", (committed,), (failed,)))
    assert both["00081198"]["Value"] == [
        {
            "00081150": {"vr": "UI", "Value": ["1.9"]},
            "00081155": {"vr": "UI", "Value": ["1.2"]},
            "00081197": {"vr": "US", "Value": [0x0112]},
        }
    ]
