"""What a collector gets: our identifiers, times and words, over OTLP."""

from __future__ import annotations

import gzip
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gantry.common.telemetry.otlp import otlp_sink
from gantry.common.telemetry.spans import Span

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"


@pytest.fixture
def posted() -> list[tuple[str, str, bytes]]:
    return []


def test_a_span_arrives_with_its_own_identifiers_and_the_rest_at_the_end(posted: list[tuple[str, str, bytes]]) -> None:
    class Receiving(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            posted.append((self.path, self.headers["X-Token"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiving)
    Thread(target=server.serve_forever, daemon=True).start()
    sink, end = otlp_sink(f"http://127.0.0.1:{server.server_port}/", {"X-Token": "t"}, {"service.name": "gantry-all"})
    sink(Span("C-STORE", TRACE, PARENT, 1_000_001, 2_000_002, {"status": "0000", "bytes": 7}, True, "TimeoutError"))
    sink(Span("not sampled", TRACE[:-2] + "00", "", 1, 2, {}))
    end()
    server.shutdown()
    server.server_close()
    [(path, token, body)] = posted
    assert (path, token) == ("/v1/traces", "t")
    [resource] = ExportTraceServiceRequest.FromString(body).resource_spans
    assert "gantry-all" in str(resource.resource)
    [span] = resource.scope_spans[0].spans
    assert (span.name, span.trace_id.hex(), span.span_id.hex()) == ("C-STORE", TRACE[3:35], TRACE[36:52])
    assert span.parent_span_id.hex() == PARENT[36:52]
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (1_000_001_000, 2_000_002_000)
    assert {attribute.key for attribute in span.attributes} == {"status", "bytes"}
    assert span.status.message == "TimeoutError"
