"""What becomes a span, and what does not."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.clock import ManualClock
from gantry.common.telemetry.spans import Span, Tracer, is_sampled, step
from gantry.common.telemetry.traces import trace_id

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_steps_stand_below_what_is_under_way_and_tell_how_long_it_took() -> None:
    spans: list[Span] = []
    clock = ManualClock()
    tracer = Tracer(clock, spans.append)
    trace = tracer.child_of(PARENT)
    with tracer.span("C-STORE", trace, PARENT, calling="CT1") as attributes:
        clock.advance(1)
        with step("object store"):
            clock.advance(2)
            with step("S3 PUT"):
                assert structlog.contextvars.get_contextvars()["trace"] == trace
        attributes["status"] = "0000"
    inner, middle, outer = spans
    assert [span.name for span in spans] == ["S3 PUT", "object store", "C-STORE"]
    assert (inner.parent, middle.parent, outer.parent) == (middle.trace, outer.trace, PARENT)
    assert {trace_id(span.trace) for span in spans} == {trace_id(PARENT)}
    assert (middle.ended - middle.begun, outer.ended - outer.begun) == (2_000_000, 3_000_000)
    assert outer.attributes == {"calling": "CT1", "status": "0000"}
    assert (outer.served, inner.served) == (True, False)
    assert "trace" not in structlog.contextvars.get_contextvars()


def test_what_raises_is_told_with_the_kind_of_error_and_raised() -> None:
    spans: list[Span] = []
    tracer = Tracer(ManualClock(), spans.append)
    with pytest.raises(KeyError), tracer.span("GET study", PARENT), step("OpenSearch"):
        raise KeyError("a name that is nobody's business")
    assert [(span.name, span.error) for span in spans] == [("OpenSearch", "KeyError"), ("GET study", "KeyError")]


async def test_two_tasks_do_not_get_each_others_steps() -> None:
    spans: list[Span] = []
    tracer = Tracer(ManualClock(), spans.append)

    async def one(name: str) -> None:
        with tracer.span(name, tracer.new_trace()):
            await asyncio.sleep(0)
            with step(f"below {name}"):
                await asyncio.sleep(0)

    await asyncio.gather(one("a"), one("b"))
    by_name = {span.name: span for span in spans}
    assert by_name["below a"].parent == by_name["a"].trace
    assert by_name["below b"].parent == by_name["b"].trace


def test_nothing_is_told_without_a_sink_or_for_a_trace_that_is_not_sampled() -> None:
    spans: list[Span] = []
    with Tracer(ManualClock()).span("a", PARENT), step("b"):
        pass
    tracer = Tracer(ManualClock(), spans.append)
    with tracer.span("a", PARENT[:-2] + "00"), step("b"):
        pass
    with step("outside of anything"):
        pass
    tracer.tell(Span("a", "", "", 0, 0, {}))
    assert spans == []
    assert (tracer.tells, Tracer(ManualClock()).tells) == (True, False)


@given(st.floats(0, 1))
def test_the_part_that_is_told_is_chosen_when_a_trace_begins(ratio: float) -> None:
    tracer = Tracer(ManualClock(), lambda _: None, ratio)
    for _ in range(20):
        trace = tracer.new_trace()
        assert is_sampled(trace) == (int(trace[19:35], 16) < int(ratio * 2**64))
        # Whoever calls has decided already.
        assert is_sampled(tracer.child_of(trace)) == is_sampled(trace)
