"""The record of a study that is not here whole."""

from __future__ import annotations

import json

import pytest

from gantry.services.retrieve.fetching.record import FetchRecord, parsed


def test_a_record_is_read_as_it_was_written() -> None:
    content = json.dumps({"until": 7, "instances": 3, "archive": "OLD"}).encode()
    assert parsed(content) == FetchRecord(7, 3, "OLD")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"\xff", b'{"until": "x", "instances": 1, "archive": "A"}', b"[" * 100_000],
    ids=["empty", "list", "nothing", "no text", "text", "deep"],
)
def test_one_that_is_damaged_says_that_nobody_is_at_it_and_nothing_is_known(content: bytes) -> None:
    assert parsed(content) == FetchRecord(0, 0, "")
