"""Spans: what was done for one trace, and for how long. Without a sink nothing is measured, and hardly anything runs.

A `Tracer` begins spans where work comes from outside: an association's request, an HTTP request, events of the log.
What is done below that is a `step` of whatever is under way, so that stores and drivers need to know nobody. Attributes
are ours: AE titles, statuses, counts, sizes, kinds of requests; never UIDs in names, and nothing of a patient at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import structlog

from gantry.common.clock import Clock
from gantry.common.telemetry.traces import child_of, is_trace, new_trace

Value = str | int | float
Attributes = dict[str, Value]
_SPACE = 1 << 64


@dataclass(frozen=True, slots=True)
class Span:
    """Something that is over. `trace` is its own traceparent, `parent` that of the span around it ("" for a root);
    times in microseconds since the Unix epoch. `served`: somebody outside asked for it."""

    name: str
    trace: str
    parent: str
    begun: int
    ended: int
    attributes: Attributes
    served: bool = False
    error: str = ""


Sink = Callable[[Span], None]
"""Takes a span; may not block, and may drop it."""


class Tracer:
    """Begins traces, and tells spans to a sink."""

    def __init__(self, clock: Clock, sink: Sink | None = None, ratio: float = 1.0) -> None:
        """Without `sink` nothing is told. `ratio`: the part of the traces begun here that is told, 0 to 1."""
        self.clock = clock
        self._sink = sink
        self._chosen = int(ratio * _SPACE)

    @property
    def tells(self) -> bool:
        """Whether there is somebody to tell."""
        return self._sink is not None

    def new_trace(self) -> str:
        """A traceparent that begins a trace, sampled or not: by its identifier, as OpenTelemetry's samplers do."""
        trace = new_trace()
        return trace if int(trace[19:35], 16) < self._chosen else f"{trace[:-2]}00"

    def child_of(self, trace: str) -> str:
        """The next span of `trace`, sampled if that is; a new trace if it is no traceparent."""
        return child_of(trace) if is_trace(trace) else self.new_trace()

    def tell(self, span: Span) -> None:
        """Tell a span, if its trace is sampled."""
        if self._sink is not None and is_sampled(span.trace):
            self._sink(span)

    @contextmanager
    def span(self, name: str, trace: str, parent: str = "", **attributes: Value) -> Iterator[Attributes]:
        """What somebody outside has asked for. What is done within is a step of it, and log lines name the trace. The
        attributes that are given may be added to."""
        if self._sink is None or not is_sampled(trace):
            yield attributes
            return
        with structlog.contextvars.bound_contextvars(trace=trace):
            yield from self._record_span(name, trace, parent, attributes, served=True)

    def _record_span(
        self, name: str, trace: str, parent: str, attributes: Attributes, *, served: bool
    ) -> Iterator[Attributes]:
        before, begun, error = _AROUND.set((self, trace)), self.clock.now_us(), ""
        try:
            yield attributes
        except BaseException as problem:
            error = type(problem).__name__
            raise
        finally:
            _AROUND.reset(before)
            self.tell(Span(name, trace, parent, begun, self.clock.now_us(), attributes, served, error))


_AROUND: ContextVar[tuple[Tracer, str] | None] = ContextVar("around", default=None)


@contextmanager
def step(name: str, **attributes: Value) -> Iterator[Attributes]:
    """A part of what is under way in this task; nothing where nobody wants to know of that."""
    around = _AROUND.get()
    if around is None:
        yield attributes
        return
    tracer, trace = around
    yield from tracer._record_span(name, child_of(trace), trace, attributes, served=False)


def is_sampled(trace: str) -> bool:
    """Whether the flags of a traceparent say that its spans are wanted."""
    return is_trace(trace) and bool(int(trace[-2:], 16) & 1)
