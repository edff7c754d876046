"""Log lines, metrics and traces."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

import pytest
import structlog
from prometheus_client import generate_latest

from gantry.common.errors import DependencyUnavailable
from gantry.common.telemetry.logs import get_logger, set_up_logs
from gantry.common.telemetry.metrics import METRICS, Metrics, metrics_as_markdown
from gantry.common.telemetry.traces import child_of, is_trace, new_trace, trace_id


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    set_up_logs("json", "info", stream)
    yield stream
    structlog.reset_defaults()


def only_line(stream: io.StringIO) -> dict[str, object]:
    (line,) = stream.getvalue().splitlines()
    return json.loads(line)


def test_log_line_is_a_fact_with_fields(lines: io.StringIO) -> None:
    get_logger("ingest").debug("not told")
    get_logger("ingest").info("object stored", sop_instance_uid="1.2.3", bytes=5)
    line = only_line(lines)
    assert line.pop("timestamp")
    assert line == {
        "event": "object stored",
        "level": "info",
        "component": "ingest",
        "sop_instance_uid": "1.2.3",
        "bytes": 5,
    }


def test_log_withholds_what_may_be_patient_data(lines: io.StringIO) -> None:
    get_logger("x").info("fact", patient_name="DOE^JANE", value=b"DOE^JANE", accession_number="A1", birth_date="1970")
    assert "DOE" not in lines.getvalue()
    assert {only_line(lines)[n] for n in ("patient_name", "value", "accession_number", "birth_date")} == {"(withheld)"}


def test_log_keeps_messages_of_foreign_errors_out(lines: io.StringIO) -> None:
    try:
        raise ValueError("cannot parse DOE^JANE")
    except ValueError as error:
        get_logger("x").error("failed", error=error)
    assert "DOE" not in lines.getvalue()
    assert only_line(lines)["error"] == "ValueError"


def test_log_tells_the_reason_of_our_own_errors(lines: io.StringIO) -> None:
    get_logger("x").error("failed", error=DependencyUnavailable("index", "timeout"))
    assert only_line(lines)["reason"] == "index unavailable: timeout"


def test_name_from_outside_cannot_begin_a_line_or_fill_the_disk(lines: io.StringIO) -> None:
    get_logger("x").info("association rejected", calling="A\n{}\x1b[2J" + "B" * 5000)
    value = only_line(lines)["calling"]
    assert isinstance(value, str)
    assert len(value) < 600
    assert value.isprintable()


def test_every_metric_of_the_table_is_served_and_every_attribute_is_in_the_table() -> None:
    assert [metric.attribute for metric in METRICS] == [n for n in get_type_hints(Metrics) if n != "registry"]
    metrics = Metrics()
    metrics.objects_received.labels("0000").inc()
    text = generate_latest(metrics.registry).decode()
    for metric in METRICS:
        assert f"# HELP {metric.name}" in text
    assert 'gantry_objects_received_total{status="0000"} 1.0' in text


def test_committed_docs_of_metrics_are_current() -> None:
    assert (Path(__file__).parents[4] / "docs/metrics.md").read_text() == metrics_as_markdown()


def test_child_span_stays_in_its_trace() -> None:
    trace = new_trace()
    child = child_of(trace)
    assert is_trace(trace)
    assert is_trace(child)
    assert child != trace
    assert trace_id(child) == trace_id(trace) != ""


@pytest.mark.parametrize(
    "junk", ["", "x", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "00-" + "A" * 32, "01" + "-" * 53]
)
def test_trace_from_outside_that_is_none_begins_a_new_one(junk: str) -> None:
    assert not is_trace(junk)
    assert trace_id(junk) == ""
    assert is_trace(child_of(junk))


def test_what_a_library_says_is_a_line_like_ours(lines: io.StringIO) -> None:
    try:
        raise OSError("of no concern\nto anybody")
    except OSError:
        logging.getLogger("asyncio.something").error("task %s\nwas never retrieved", 7, exc_info=True)
    logging.getLogger("aiokafka").info("chatter")
    (line,) = lines.getvalue().splitlines()
    entry = json.loads(line)
    assert (entry["component"], entry["event"], entry["level"], entry["error"]) == (
        "asyncio",
        "task 7",
        "error",
        "OSError",
    )
    assert "concern" not in line
