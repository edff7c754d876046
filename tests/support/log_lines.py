"""The log lines of the code under test."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from gantry.common.telemetry.logs import set_up_logs


class LogLines:
    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    def of(self, event: str) -> list[dict[str, Any]]:
        """The lines with this event, the first one first."""
        lines = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]


@contextmanager
def log_lines() -> Iterator[LogLines]:
    """The lines that are logged within the block."""
    stream = io.StringIO()
    set_up_logs("json", "info", stream)
    try:
        yield LogLines(stream)
    finally:
        structlog.reset_defaults()
