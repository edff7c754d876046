"""Trace identifiers: the `traceparent` of W3C Trace Context."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.telemetry.traces import child_of, is_trace, new_trace, trace_id

# The example of the recommendation, section 3.2.
EXAMPLE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HEX = "0123456789abcdef"


def test_a_new_trace_is_a_traceparent_that_is_sampled() -> None:
    traces = {new_trace() for _ in range(50)}
    assert len(traces) == 50
    assert all(is_trace(trace) and trace.endswith("-01") and len(trace) == 55 for trace in traces)


@given(st.text(HEX, min_size=32, max_size=32), st.text(HEX, min_size=16, max_size=16), st.sampled_from(["00", "01"]))
def test_identifiers_that_are_all_zero_are_none(trace: str, span: str, flags: str) -> None:
    """Sections 3.2.2.3 and 3.2.2.4."""
    assert is_trace(f"00-{trace}-{span}-{flags}") is bool(trace.strip("0") and span.strip("0"))


def test_all_zero_is_refused() -> None:
    assert not is_trace(f"00-{'0' * 32}-{'1' * 16}-01")
    assert not is_trace(f"00-{'1' * 32}-{'0' * 16}-01")


def test_a_child_is_another_span_of_the_same_trace_with_the_same_flags() -> None:
    child = child_of(EXAMPLE)
    assert is_trace(child)
    assert trace_id(child) == trace_id(EXAMPLE) == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert child[36:52] != EXAMPLE[36:52]
    assert child_of(EXAMPLE[:-2] + "00").endswith("-00")


@pytest.mark.parametrize(
    "value", ["", "junk", EXAMPLE.upper(), EXAMPLE + "-x", "01" + EXAMPLE[2:], EXAMPLE + "\n", " " + EXAMPLE]
)
def test_what_is_no_traceparent_begins_a_fresh_trace(value: str) -> None:
    assert not is_trace(value)
    assert trace_id(value) == ""
    child = child_of(value)
    assert is_trace(child)
    assert child != value


@given(st.text(max_size=60))
def test_a_child_is_always_a_traceparent(value: str) -> None:
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", child_of(value))
