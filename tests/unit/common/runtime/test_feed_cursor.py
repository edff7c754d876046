"""The cursor of the change feed: text that says the same afterwards, and junk that is refused."""

from __future__ import annotations

import base64

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.runtime.feed_cursor import FeedCursor, SealedPlace, feed_cursor

NUMBERS = st.integers(0, (1 << 62) - 1)
OFFSETS = st.dictionaries(st.sampled_from(["instances", "conflicts", "commitment"]), st.dictionaries(NUMBERS, NUMBERS))
PLACES = st.none() | st.builds(SealedPlace, NUMBERS, NUMBERS, st.text("0123456789abcdef", max_size=32), NUMBERS)


@given(NUMBERS, OFFSETS, PLACES)
def test_a_cursor_is_the_same_after_it_was_text(
    read_ms: int, offsets: dict[str, dict[int, int]], sealed: SealedPlace | None
) -> None:
    cursor = FeedCursor(read_ms, offsets, sealed)
    assert feed_cursor(cursor.text) == cursor
    assert cursor.text.replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=60))
def test_other_text_is_no_cursor_and_raises_nothing(text: str) -> None:
    cursor = feed_cursor(text)
    assert cursor is None or feed_cursor(cursor.text) == cursor


@pytest.mark.parametrize(
    "value", [[2, 0, [], []], [1, "0", [], []], [1, 0, [["t", [[0, -1]]]], []], [1, 0, [], [1]], 7, {}]
)
def test_a_form_of_another_release_is_refused(value: object) -> None:
    assert feed_cursor(base64.urlsafe_b64encode(msgpack.packb(value)).decode().rstrip("=")) is None
