"""Spans to an OpenTelemetry collector: OTLP over HTTP, by OpenTelemetry's SDK, in a thread of its own.

The SDK is loaded where it is wanted alone. What a collector does not take is dropped, and never waited for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from gantry.common.telemetry.spans import Sink, Span
from gantry.common.telemetry.traces import is_trace


def otlp_sink(
    endpoint: str, headers: Mapping[str, str], resource: Mapping[str, str]
) -> tuple[Sink, Callable[[], None]]:
    """A sink for the collector at `endpoint` (`http://collector:4318`), and what ends it: it blocks for some seconds at
    most, to send what is left. `resource` says which process this is, by OpenTelemetry's names."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
    from opentelemetry.trace.status import Status, StatusCode

    # It says so once for each batch, with a stack trace.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", headers=dict(headers), timeout=5)
    processor = BatchSpanProcessor(exporter, schedule_delay_millis=1000, export_timeout_millis=5000)
    about, scope = Resource.create(dict(resource)), InstrumentationScope("gantry")

    def context(trace: str) -> SpanContext | None:
        if not is_trace(trace):
            return None
        return SpanContext(int(trace[3:35], 16), int(trace[36:52], 16), False, TraceFlags(int(trace[53:], 16)))

    def sink(span: Span) -> None:
        processor.on_end(
            ReadableSpan(
                span.name,
                context=context(span.trace),
                parent=context(span.parent),
                resource=about,
                attributes=span.attributes,
                kind=SpanKind.SERVER if span.served else SpanKind.INTERNAL,
                status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
                start_time=span.begun * 1000,
                end_time=span.ended * 1000,
                instrumentation_scope=scope,
            )
        )

    return sink, processor.shutdown
