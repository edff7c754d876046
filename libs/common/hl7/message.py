"""A message as it is written: segments, fields, repetitions, components, subcomponents (HL7 v2.5 2.5 to 2.7). Pure.

Fields are split when they are asked for: what a message costs does not depend on how many separators it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from gantry.common.hl7.problems import ErrorCode, MessageProblem, MessageRefused, Spot

NULL = '""'
"""A field that says: delete what is known (HL7 v2.5 2.5.3.5)."""

_HEADER = re.compile(r"MSH([^\w\s])((?:(?!\1)[^\w\s]){4,5})\1")
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")
_LINE_END = re.compile(r"\r\n|\n\r|\r|\n")
_MOST_SEGMENTS = 5_000
_MOST_REPETITIONS = 200
"""Of one field; those behind them are not looked at."""
_HEX = re.compile(r"X((?:[0-9A-Fa-f]{2}){1,1024})")
_LINE = re.compile(r"\.(br|sp|ce)(\+?[1-9]\d?)?")


@dataclass(frozen=True, slots=True)
class Delimiters:
    """Those that the header of a message declares."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"

    @property
    def encoding_characters(self) -> str:
        """MSH-2."""
        return self.component + self.repetition + self.escape + self.subcomponent

    def unescaped(self, text: str) -> str:
        """Text with its escape sequences resolved (HL7 v2.5 2.7); those for highlighting, and unknown ones, are left
        out."""
        if self.escape not in text:
            return text
        parts = text.split(self.escape)
        # Between two escape characters stands a sequence; one without an end is text.
        whole = len(parts) - 1 if len(parts) % 2 == 0 else len(parts)
        texts = [part if n % 2 == 0 else self._resolved(part) for n, part in enumerate(parts[:whole])]
        return "".join(texts) + (self.escape + parts[-1] if whole < len(parts) else "")

    def _resolved(self, sequence: str) -> str:
        own = {"F": self.field, "S": self.component, "R": self.repetition, "E": self.escape, "T": self.subcomponent}
        if sequence in own:
            return own[sequence]
        if match := _LINE.fullmatch(sequence):
            return "\n" * int((match[2] or "1").lstrip("+"))
        if match := _HEX.fullmatch(sequence):
            # Of which character set the bytes are is not said: those of ASCII are the same in all.
            return bytes.fromhex(match[1]).decode("ascii", "ignore")
        return ""

    def escaped(self, text: str) -> str:
        """Text as it may stand in a field."""
        names = {
            self.escape: "E",
            self.field: "F",
            self.component: "S",
            self.repetition: "R",
            self.subcomponent: "T",
            "\r": ".br",
            "\n": ".br",
        }
        return "".join(
            f"{self.escape}{names[character]}{self.escape}" if character in names else character for character in text
        )


@dataclass(frozen=True, slots=True)
class Field:
    """One repetition of a field, as it is written."""

    raw: str
    delimiters: Delimiters

    def text(self, component: int = 1, subcomponent: int = 0) -> str:
        """A component, unescaped and without spaces around it, "" where there is none. Without a subcomponent: the
        first one of it."""
        components = self.raw.split(self.delimiters.component, component)
        if len(components) < component:
            return ""
        parts = components[component - 1].split(self.delimiters.subcomponent)
        position = max(subcomponent, 1)
        return self.delimiters.unescaped(parts[position - 1]).strip() if len(parts) >= position else ""

    @property
    def is_null(self) -> bool:
        """Whether it says to delete what is known."""
        return self.raw.strip() == NULL

    def __bool__(self) -> bool:
        return bool(self.raw.strip().strip(self.delimiters.component + self.delimiters.subcomponent))


@dataclass(frozen=True)
class MessageSegment:
    """One segment; `occurrence` counts those of its name in the message, from 1."""

    name: str
    occurrence: int
    raw: str
    delimiters: Delimiters

    @cached_property
    def _fields(self) -> list[str]:
        fields = self.raw.split(self.delimiters.field)
        # HL7 v2.5 2.15.9.1: the field separator itself is MSH-1.
        return [fields[0], self.delimiters.field, *fields[1:]] if self.name == "MSH" else fields

    def repetitions(self, field: int) -> list[Field]:
        """All repetitions of a field that are not empty."""
        if len(self._fields) <= field:
            return []
        raw = self._fields[field]
        if self.name == "MSH" and field in (1, 2):
            return [Field(raw, Delimiters(*"\0\1\2\3\4"))]
        repetitions = raw.split(self.delimiters.repetition, _MOST_REPETITIONS)[:_MOST_REPETITIONS]
        return [part for repetition in repetitions if repetition and (part := Field(repetition, self.delimiters))]

    def field(self, field: int) -> Field:
        """The first repetition of a field; an empty one where there is none."""
        return next(iter(self.repetitions(field)), Field("", self.delimiters))

    def text(self, field: int, component: int = 1, subcomponent: int = 0) -> str:
        """A component of the first repetition of a field; "" for what is deleted as for what is not there."""
        value = self.field(field).text(component, subcomponent)
        return "" if value == NULL else value

    def lines(self, field: int) -> str:
        """A field as text: its repetitions as lines, and its components as they are written, since free text has
        separators that were not escaped."""
        raw = self._fields[field] if len(self._fields) > field else ""
        lines = (self.delimiters.unescaped(repetition) for repetition in raw.split(self.delimiters.repetition))
        return "" if raw == NULL else "\n".join(lines)

    def spot(self, field: int = 0, component: int = 0) -> Spot:
        """Where one of its fields is, for a problem."""
        return Spot(self.name, self.occurrence, field, component)


class Hl7Message:
    """A whole message."""

    def __init__(self, segments: Sequence[MessageSegment]) -> None:
        self.segments = tuple(segments)
        self.header = self.segments[0]

    @property
    def kind(self) -> str:
        """Message type and trigger event, as `ADT^A08`."""
        return f"{self.header.text(9, 1)}^{self.header.text(9, 2)}".rstrip("^")

    @property
    def event(self) -> str:
        """The trigger event, `A08`."""
        return self.header.text(9, 2)

    @property
    def source(self) -> str:
        """Sending application and facility (MSH-3, MSH-4), as `RIS^HOSPITAL`."""
        return f"{self.header.text(3)}^{self.header.text(4)}"

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.header.text(10)

    @property
    def version(self) -> str:
        """MSH-12, as `2.5.1`."""
        return self.header.text(12)

    def all(self, name: str) -> list[MessageSegment]:
        """The segments of a name, in order."""
        return [segment for segment in self.segments if segment.name == name]

    def first(self, name: str) -> MessageSegment | None:
        """The first segment of a name."""
        return next((segment for segment in self.segments if segment.name == name), None)

    def groups(self, *begins: str) -> Iterator[list[MessageSegment]]:
        """The segments from each one of the first of these names that the message has up to the next."""
        names = {segment.name for segment in self.segments}
        begin = next((name for name in begins if name in names), "")
        group: list[MessageSegment] = []
        for segment in self.segments:
            if segment.name == begin and group:
                yield group
                group = []
            if segment.name == begin or group:
                group.append(segment)
        if group:
            yield group


def parse(text: str) -> Hl7Message:
    """The message in a text. Raises `MessageRefused`, which is a rejection: what is no message cannot be repaired."""
    lines = [line for line in _LINE_END.split(text.strip("\r\n\0 ")) if line.strip()]
    name = lines[0][:3] if lines else ""
    if name in ("FHS", "BHS"):
        raise _rejected("a batch (FHS, BHS) is not taken here: send its messages one by one")
    header = _HEADER.match(lines[0]) if lines else None
    if header is None or len(set(header[1] + header[2])) < len(header[1] + header[2]):
        raise _rejected("not an HL7 version 2 message: it is to begin with MSH and its delimiters")
    if len(lines) > _MOST_SEGMENTS:
        raise _rejected(f"more than {_MOST_SEGMENTS} segments")
    delimiters = Delimiters(header[1], *header[2][:4])
    counts: dict[str, int] = {}
    segments: list[MessageSegment] = []
    for line in lines:
        name = line[:3]
        if not _SEGMENT.fullmatch(name) or line[3:4] not in ("", delimiters.field):
            raise _rejected(f"line {len(segments) + 1} is not a segment: a name of three characters and a delimiter")
        counts[name] = counts.get(name, 0) + 1
        segments.append(MessageSegment(name, counts[name], line, delimiters))
    if counts["MSH"] > 1:
        raise _rejected("more than one MSH: send messages one by one")
    return Hl7Message(segments)


def _rejected(text: str) -> MessageRefused:
    return MessageRefused(MessageProblem(ErrorCode.SEGMENT_SEQUENCE, text), rejected=True)
