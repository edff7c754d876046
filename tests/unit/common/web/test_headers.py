"""Header fields as RFC 9110 has them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from gantry.common.web.headers import LONGEST, combined, items, split, weight

PLAIN = st.text("ab;=/ ", max_size=8)


def fields(*lines: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(lines))


def test_several_lines_of_a_field_are_one_list_in_their_order() -> None:
    """RFC 9110 5.3."""
    headers = combined(fields(("Accept", "a/b"), ("X", "1"), ("accept", "c/d"), ("ACCEPT", "e/f")))
    assert headers.getall("Accept") == ["a/b, c/d, e/f"]
    assert headers["x"] == "1"


@pytest.mark.parametrize("name", ["Host", "content-type", "Content-Length", "Authorization", "Range", "Origin"])
def test_a_field_of_one_value_may_not_be_there_twice(name: str) -> None:
    with pytest.raises(ValueError, match="twice"):
        combined(fields((name, "a"), (name.upper(), "b")))


def test_a_list_has_a_longest() -> None:
    half = "x" * (LONGEST // 2 - 1)
    assert len(combined(fields(("Accept", half), ("Accept", half)))["Accept"]) == LONGEST
    with pytest.raises(ValueError, match="too long"):
        combined(fields(("Accept", half), ("Accept", half + "x")))


@given(st.lists(PLAIN, min_size=1))
def test_without_quotes_a_list_is_split_at_every_separator(parts: list[str]) -> None:
    assert split(",".join(parts), ",") == parts


@given(st.lists(st.text('a,;\\"', max_size=6), min_size=1, max_size=4))
def test_a_quoted_string_is_never_split(texts: list[str]) -> None:
    """RFC 9110 5.6.4."""
    quoted = ['"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts]
    assert split(",".join(quoted), ",") == quoted
    assert split(";".join(quoted), ";") == quoted


@given(st.text('a,;\\"', max_size=30), st.sampled_from([",", ";"]))
def test_nothing_is_lost_where_a_text_is_split(text: str, separator: str) -> None:
    assert separator.join(split(text, separator)) == text


def test_a_quoted_string_that_is_not_closed_reaches_to_the_end() -> None:
    assert split('a,"b,c', ",") == ["a", '"b,c']


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1.0),
        ("0", 0.0),
        ("0.5", 0.5),
        (" 0.25 ", 0.25),
        ("1.000", 1.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("7", 1.0),
        ("", 0.0),
        (".", 0.0),
        ("-1", 0.0),
        ("nan", 0.0),
        ("1e3", 0.0),
        ("٣", 0.0),
        ("0.5x", 0.0),
    ],
)
def test_a_weight_is_from_0_to_1_and_0_for_what_is_none(text: str, expected: float) -> None:
    """RFC 9110 12.4.2."""
    assert weight(text) == expected


@given(st.text(max_size=20))
def test_no_text_is_a_weight_beyond_the_bounds(text: str) -> None:
    assert 0.0 <= weight(text) <= 1.0


def test_items_are_stripped_and_empty_ones_left_out() -> None:
    assert items({"X-Forwarded-For": " a, ,b,, c "}, "X-Forwarded-For") == ["a", "b", "c"]
    assert items({}, "X-Forwarded-For") == []


def test_of_a_list_that_is_too_long_the_end_counts() -> None:
    """What was added nearer to us."""
    addresses = items({"X-Forwarded-For": "client," * LONGEST + "proxy"}, "X-Forwarded-For")
    assert addresses[-1] == "proxy"
    assert len(",".join(addresses)) <= LONGEST


def test_hostile_fields_take_linear_time() -> None:
    begin = time.thread_time()
    split('"\\' * 200_000, ",")
    split("," * 200_000, ",")
    weight("1" * 200_000)
    assert time.thread_time() - begin < 2
