"""Log lines: lower-case messages with fields, as JSON lines or for a console; never patient data.

    log = get_logger("ingest")
    log.info("object stored", sop_instance_uid=uid, bytes=525_000, trace=trace)

Patients are protected by a rule (log our own identifiers, UIDs and AE titles, never attributes of a data set) and by a
safety net: fields that are named after patients are withheld, and so are bytes, whatever they hold.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from traceback import walk_tb
from typing import IO, Any, Literal, cast

import structlog

from gantry.common.errors import GantryError

Format = Literal["json", "console"]
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_LONGEST_TEXT = 500
_WITHHELD = "(withheld)"
_MOST_PLACES = 16
# Attributes of PS3.3 C.7.1 to C.7.3 that identify a patient or the staff.
_PERSONAL = ("patient", "person", "physician", "birth", "accession", "other_id", "operators", "study_description")


class Lines:
    """Where log lines go: a text stream, or standard error. One that cannot be written (its reader has gone, the disk
    is full) is dropped and counted: the archive outlives the reader of its log."""

    dropped = 0
    """Lines of this process that could not be written."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        # If a program has replaced `sys.stderr`, its stream gets the lines.
        self._stream = stream if stream is not None or sys.stderr is sys.__stderr__ else sys.stderr

    def write(self, text: str) -> None:
        """Write a line, whole or not at all as far as we know."""
        try:
            if self._stream is not None:
                self._stream.write(text)
                return
            # Python's own stream would retain unwritten text, and fail with it again and again.
            left = memoryview(text.encode("utf-8", "backslashreplace"))
            while left:
                left = left[os.write(2, left) :]
        except (OSError, ValueError):
            Lines.dropped += 1

    def flush(self) -> None:
        """Does nothing: lines are not buffered here."""
        with suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.flush()


def set_up_logs(form: Format, level: str = "info", stream: IO[str] | None = None) -> None:
    """Configure the process's log lines; called once, at its start. `level` is debug, info, warning or error."""
    render: Any = structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _error_as_fact,
            _withhold,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(cast("Any", Lines(stream))),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_FromLibraries()], level=logging.WARNING, force=True)


def keep_quiet() -> None:
    """For programs that embed an archive: warnings and errors only, unless they have configured structlog
    themselves."""
    if not structlog.is_configured():
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def get_logger(component: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of a component: "ingest", "net", "commitment", …"""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(component=component))


class _FromLibraries(logging.Handler):
    """Log records of libraries become lines like ours: one each, without a stack trace."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {}
        if record.exc_info is not None and record.exc_info[1] is not None:
            fields["error"] = record.exc_info[1]
        message = record.getMessage().partition("\n")[0]
        structlog.get_logger(component=record.name.partition(".")[0]).log(record.levelno, message, **fields)


def _error_as_fact(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """`error=exception` becomes its type and, for a `GantryError`, its message; other messages may quote data. So does
    what `logger.exception` is about, with where it came from."""
    raised = fields.pop("exc_info", None)
    raised = sys.exc_info()[1] if raised is True else raised[1] if isinstance(raised, tuple) else raised
    if isinstance(raised, BaseException):
        fields.setdefault("error", raised)
        fields["where"] = _places(raised)
    error = fields.get("error")
    if isinstance(error, BaseException):
        fields["error"] = type(error).__name__
        if isinstance(error, GantryError):
            fields["reason"] = str(error)
        elif error.__traceback__ is not None:
            last = error.__traceback__
            while last.tb_next is not None:
                last = last.tb_next
            fields["at"] = f"{last.tb_frame.f_code.co_name}:{last.tb_lineno}"
    return fields


def _places(error: BaseException) -> list[str]:
    """Where an exception passed, the place that raised it last: no values, which a stack trace would have."""
    frames = [
        (frame.f_code.co_filename.split(os.sep)[-2:], line, frame.f_code.co_name)
        for frame, line in walk_tb(error.__traceback__)
    ]
    return [f"{'/'.join(file)}:{line} {name}" for file, line, name in frames[-_MOST_PLACES:]]


def _withhold(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in fields.items():
        if any(word in name for word in _PERSONAL) or isinstance(value, (bytes, bytearray, memoryview)):
            fields[name] = _WITHHELD
        elif isinstance(value, str) and (len(value) > _LONGEST_TEXT or not value.isprintable()):
            # Text from outside must not begin a line of its own, nor fill the disk.
            fields[name] = ascii(value[:_LONGEST_TEXT])[1:-1]
    return fields
