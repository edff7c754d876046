"""OpenTelemetry's own collector, which forwards what it receives to this process, as JSON."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

import pytest

from tests.support.answering import http_answers
from tests.support.overheard import note
from tests.support.parts import part, parts
from tests.support.ports import free_port
from tests.support.server import Unavailable

_ERROR = 2
"""`STATUS_CODE_ERROR` of OTLP."""


@dataclass(frozen=True)
class TracedSpan:
    """A span as received; ids in hexadecimal, times in nanoseconds."""

    name: str
    service: str
    trace: str
    id: str
    parent: str
    begun: int
    ended: int
    attributes: dict[str, Any]
    failed: bool


class Collector:
    """A collector on a free port. Skips the test if it is not available."""

    def __init__(self, folder: Path) -> None:
        try:
            parts("collector")
        except Unavailable as error:
            pytest.skip(f"no OpenTelemetry collector: {error}")
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._passed_on: list[dict[str, Any]] = []
        self._receiver = ThreadingHTTPServer(("127.0.0.1", 0), _receiving(self._passed_on))
        self._log = folder / "collector.log"
        address = f"http://127.0.0.1:{self._receiver.server_port}"
        config = {
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{self.port}"}}}},
            "exporters": {"otlp_http": {"endpoint": address, "encoding": "json", "compression": "none"}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlp_http"]}},
            },
        }
        (folder / "collector.json").write_text(json.dumps(config))
        self._command = [str(part("collector", "COLLECTOR") / "otelcol"), "--config", str(folder / "collector.json")]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        Thread(target=self._receiver.serve_forever, daemon=True).start()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + 30
        while not http_answers(self.endpoint):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
        self._receiver.shutdown()
        self._receiver.server_close()

    def spans(self, trace: str = "") -> list[TracedSpan]:
        """All spans so far, only those of `trace` if it is given, in the order of their start."""
        all_spans = [
            _span(span, resource)
            for posted in list(self._passed_on)
            for resource in posted["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]
        return sorted((span for span in all_spans if trace in ("", span.trace)), key=lambda span: span.begun)


def _receiving(into: list[dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Receiving(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted = self.rfile.read(int(self.headers["Content-Length"]))
            note("spans", posted.decode().replace(",", "\n"))
            into.append(json.loads(posted))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:
            return None

    return Receiving


def _span(span: dict[str, Any], resource: dict[str, Any]) -> TracedSpan:
    return TracedSpan(
        span["name"],
        _values(resource["resource"]["attributes"])["service.name"],
        span["traceId"],
        span["spanId"],
        span.get("parentSpanId", ""),
        int(span["startTimeUnixNano"]),
        int(span["endTimeUnixNano"]),
        _values(span.get("attributes", [])),
        span.get("status", {}).get("code", 0) == _ERROR,
    )


def _values(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {attribute["key"]: next(iter(attribute["value"].values())) for attribute in attributes}
