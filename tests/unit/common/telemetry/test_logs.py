"""Log lines: facts with fields, without patients, each of them one line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from gantry.common.errors import Corrupt, GantryError
from gantry.common.telemetry.logs import Format, Lines, get_logger, keep_quiet, set_up_logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    set_up_logs("json", "info", stream)
    yield stream
    structlog.reset_defaults()


def line(stream: io.StringIO) -> dict[str, object]:
    (only,) = stream.getvalue().splitlines()
    entry: dict[str, object] = json.loads(only)
    return entry


@pytest.mark.parametrize(
    "name",
    ["patient_name", "patient_id", "birth_date", "referring_physician", "accession_number", "person", "other_ids"],
)
def test_a_field_that_is_named_after_a_patient_is_withheld(stream: io.StringIO, name: str) -> None:
    get_logger("x").info("a fact", **{name: "Doe^Jane"})
    assert "Doe" not in stream.getvalue()
    assert line(stream)[name] == "(withheld)"


@pytest.mark.parametrize("value", [b"Doe^Jane", bytearray(b"Doe"), memoryview(b"Doe")])
def test_bytes_are_withheld_whatever_they_hold(stream: io.StringIO, value: object) -> None:
    get_logger("x").info("a fact", data=value)
    assert line(stream)["data"] == "(withheld)"


def test_a_name_from_outside_begins_no_line_of_its_own_and_fills_no_disk(stream: io.StringIO) -> None:
    get_logger("x").info("a fact", ae_title="A\n{}", path="x" * 10_000)
    entry = line(stream)
    assert entry["ae_title"] == "A\\n{}"
    assert len(str(entry["path"])) == 500


def test_an_error_of_ours_says_its_reason_and_one_of_others_says_where(stream: io.StringIO) -> None:
    get_logger("x").warning("failed", error=Corrupt("digest differs"))
    assert line(stream)["reason"] == "digest differs"
    stream.truncate(stream.seek(0))
    try:
        raise KeyError("Doe^Jane")
    except KeyError as error:
        get_logger("x").warning("failed", error=error)
    entry = line(stream)
    assert entry["error"] == "KeyError"
    assert str(entry["at"]).startswith("test_an_error_of_ours")
    assert "Doe" not in stream.getvalue()


def _fails() -> None:
    raise ValueError("Doe^Jane")


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_fault_of_ours_says_where_it_came_from_and_no_value(form: Format) -> None:
    stream = io.StringIO()
    set_up_logs(form, "info", stream)
    try:
        try:
            _fails()
        except ValueError:
            get_logger("web").exception("request failed", resource="move_back")
    finally:
        structlog.reset_defaults()
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert "Doe" not in text
    assert "ValueError" in text
    assert "telemetry/test_logs.py:" in text
    if form == "json":
        entry = json.loads(text)
        assert (entry["error"], entry["resource"], "exc_info" in entry) == ("ValueError", "move_back", False)
        assert [place.rpartition(" ")[2] for place in entry["where"]] == [
            "test_a_fault_of_ours_says_where_it_came_from_and_no_value",
            "_fails",
        ]


def test_what_libraries_say_is_one_line_without_a_stack_trace(stream: io.StringIO) -> None:
    try:
        raise ValueError("x")
    except ValueError:
        logging.getLogger("aiokafka.consumer").exception("first\nsecond")
    entry = line(stream)
    assert (entry["component"], entry["event"], entry["error"]) == ("aiokafka", "first", "ValueError")
    logging.getLogger("aiokafka").info("not told")
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_a_level_says_what_is_told(level: str, count: int) -> None:
    stream = io.StringIO()
    set_up_logs("json", level, stream)
    try:
        for name in ("debug", "info", "warning", "error"):
            getattr(get_logger("x"), name)("a fact")
    finally:
        structlog.reset_defaults()
    assert stream.getvalue().count("\n") == count


def test_who_has_set_up_their_own_logs_keeps_them() -> None:
    structlog.configure(processors=[])
    try:
        keep_quiet()
        assert structlog.get_config()["processors"] == []
    finally:
        structlog.reset_defaults()


def test_a_line_that_cannot_be_written_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lines, "dropped", 0)
    closed = io.StringIO()
    closed.close()
    Lines(closed).write("a fact\n")
    assert Lines.dropped == 1


class _OfARole(GantryError):
    """As services define them beside their code."""


def test_an_error_of_ours_says_its_reason_wherever_it_is_defined(stream: io.StringIO) -> None:
    get_logger("x").warning("failed", error=_OfARole("the object is missing"))
    assert line(stream)["reason"] == "the object is missing"
