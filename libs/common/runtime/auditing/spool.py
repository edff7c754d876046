"""Audit records on disk until the log has them: after a process was killed, another one appends the rest.

A record is written when its group is opened, and not again. A sheet is removed when all
of its records are on the log. Nothing waits for the disk: the last records before a power failure may be lost, but not
those of a killed process.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from gantry.common.errors import UndecodableEvent
from gantry.common.events import AuditRecorded, decode, encode
from gantry.common.telemetry.logs import get_logger

logger = get_logger("audit")
_LENGTH = struct.Struct(">I")
_SHEET = 256 << 10
_SUFFIX = ".audit"


@dataclass(eq=False, slots=True)
class Sheet:
    """One file. `outstanding` of its records are not on the log; `kept`: at least one of them is no longer in
    memory."""

    path: Path
    fd: int
    written: int = 0
    outstanding: int = 0
    kept: bool = False


class AuditSpool:
    """The sheets of one process, in a folder that processes may share."""

    def __init__(self, folder: Path, most: int) -> None:
        """At most `most` bytes. The folder is made for the first record, so that a mere check of settings makes
        none."""
        self._folder = folder
        self._refused = False
        self._most = most
        self._current: Sheet | None = None
        self._sheets: list[Sheet] = []

    def write(self, record: AuditRecorded) -> Sheet | None:
        """Write a record. Returns its sheet; None if the spool is full, or the disk fails."""
        payload = encode(record)
        line = _LENGTH.pack(len(payload)) + payload
        if sum(sheet.written for sheet in self._sheets) + len(line) > self._most:
            return None
        try:
            sheet = self._sheet()
            os.write(sheet.fd, line)
        except OSError as error:
            if not self._refused:
                self._refused = True
                words = "no spool for audit records: what is not on the log is in memory alone"
                logger.warning(words, folder=str(self._folder), error=error)
            return None
        sheet.written += len(line)
        sheet.outstanding += 1
        return sheet

    def settle(self, sheet: Sheet | None) -> None:
        """A record of the sheet is on the log, or is from now on only in the sheet."""
        if sheet is None:
            return
        sheet.outstanding -= 1
        if not sheet.outstanding and not sheet.kept:
            self._remove(sheet)

    def keep(self, sheet: Sheet) -> None:
        """A record of the sheet is no longer in memory, and has to be read from the sheet."""
        sheet.kept = True
        self.settle(sheet)

    def sheets_to_append(self) -> list[Sheet]:
        """The sheets that are to be appended whole."""
        return [sheet for sheet in self._sheets if sheet.kept]

    def remove(self, sheet: Sheet) -> None:
        """All records of a kept sheet are on the log."""
        sheet.kept = False
        if not sheet.outstanding:
            self._remove(sheet)

    def adopt(self) -> None:
        """Take over the sheets of processes that have ended: they are kept ones from now on."""
        own = {sheet.path for sheet in self._sheets}
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if path in own:
                continue
            fd = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)  # its process is running
                continue
            self._sheets.append(Sheet(path, fd, os.fstat(fd).st_size, kept=True))

    def close(self) -> None:
        """Leave the records that are not on the log to the next process."""
        for sheet in list(self._sheets):
            os.close(sheet.fd)
            if not sheet.written:
                sheet.path.unlink(missing_ok=True)
        self._sheets, self._current = [], None

    def _sheet(self) -> Sheet:
        if self._current is None or self._current.written >= _SHEET or self._current.kept:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._folder / f"{token_hex(12)}{_SUFFIX}"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._current = Sheet(path, fd)
            self._sheets.append(self._current)
        return self._current

    def _remove(self, sheet: Sheet) -> None:
        if sheet is self._current and sheet.written < _SHEET:
            os.ftruncate(sheet.fd, 0)
            sheet.written = 0
            return
        sheet.path.unlink(missing_ok=True)
        os.close(sheet.fd)
        self._sheets.remove(sheet)


def records_in(sheet: Sheet) -> Iterator[AuditRecorded]:
    """The records of a sheet, as they were written; an incomplete one is left out."""
    content = sheet.path.read_bytes()
    position = 0
    while position + _LENGTH.size <= len(content):
        (length,) = _LENGTH.unpack_from(content, position)
        position += _LENGTH.size
        payload = content[position : position + length]
        position += length
        try:
            event = decode(payload)
        except UndecodableEvent:
            continue
        if len(payload) == length and isinstance(event, AuditRecorded):
            yield event
