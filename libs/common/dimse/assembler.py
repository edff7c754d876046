"""Fragments in, messages out: commands are assembled, data sets stream through.

PS3.7 6.3.1 and PS3.8 Annex E: a command, then, if its Command Data Set Type says so, the data set of the same
presentation context; messages do not interleave.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from gantry.common.dimse.command import Command, CommandError
from gantry.common.ul import Fragment


class DimseError(Exception):
    """A sequence of fragments that is not a message; the association must end. `reason` as in PS3.8 table 9-26."""

    def __init__(self, message: str, reason: int = 6) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A whole command set; its data set follows if `command.has_data_set`."""

    context_id: int
    command: Command


@dataclass(slots=True)
class DataReceived:
    """Pieces of the current data set, in order, valid as long as the fragments they came in; `is_end` on the last."""

    views: list[memoryview]
    is_end: bool


class Assembler:
    """One direction of one association."""

    __slots__ = ("_command", "_contexts", "_data_context", "_max_command")

    def __init__(self, contexts: Collection[int], max_command: int = 65536) -> None:
        self._contexts = contexts
        self._max_command = max_command
        self._command = bytearray()
        self._data_context = 0
        """The context of the current data set; 0 between messages, and the negated id within a command."""

    @property
    def between_messages(self) -> bool:
        """Whether no message is partly received."""
        return self._data_context == 0

    def feed(self, fragments: Iterable[Fragment]) -> list[CommandReceived | DataReceived]:
        """The commands and data in the fragments. Raises `DimseError` at the first fragment that is out of place."""
        out: list[CommandReceived | DataReceived] = []
        data: DataReceived | None = None
        for context_id, is_command, is_end, view in fragments:
            if is_command:
                data = None
                received = self._take_command(context_id, is_end, view)
                if received is not None:
                    out.append(received)
                continue
            if context_id != self._data_context:
                raise DimseError("a data set fragment without its command", 5)
            if data is None:
                data = DataReceived([], False)
                out.append(data)
            data.views.append(view)
            if is_end:
                data.is_end = True
                self._data_context = 0
                data = None
        return out

    def _take_command(self, context_id: int, is_end: bool, view: memoryview) -> CommandReceived | None:
        if self._data_context != -context_id:
            if self._data_context:
                raise DimseError("a command within another message", 5)
            if context_id not in self._contexts:
                raise DimseError(f"presentation context {context_id} is not in use")
            self._data_context = -context_id
        self._command += view
        if len(self._command) > self._max_command:
            raise DimseError("command set too long")
        if not is_end:
            return None
        try:
            command = Command.decode(self._command)
        except CommandError as error:
            raise DimseError(str(error)) from error
        self._command = bytearray()
        self._data_context = context_id if command.has_data_set else 0
        return CommandReceived(context_id, command)
