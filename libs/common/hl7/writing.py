"""How messages of our own are written: values as fields, and a character set for the whole (HL7 v2.5 2.5 to 2.7). Pure.

Values come from objects and may hold anything. What would end a frame or a segment never reaches the message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gantry.common.hl7.charsets import codec_of
from gantry.common.hl7.message import NULL, Delimiters

DELIMITERS = Delimiters()
_LINE_END = re.compile(r"\r\n?")
# VT and FS frame a message (MLLP), ESC switches character sets: no control character but the line end is passed on.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_SWITCHED = {"ISO IR87": "iso2022_jp"}
"""Read by a codec that knows more than what MSH-18 names; written by one that does not."""
_NAMED = {"ISO IR87": "ASCII~ISO IR87"}


def plain(value: str) -> str:
    """A value without what no field can hold: line ends are those of one kind, other control characters spaces."""
    return _CONTROL.sub(" ", _LINE_END.sub("\n", value)).strip()


def text(value: str) -> str:
    """A value as it stands in a component. One that says "delete" (HL7 v2.5 2.5.3.5) is left out: no object says so."""
    plain_text = plain(value)
    return "" if plain_text == NULL else DELIMITERS.escaped(plain_text)


def components(*values: str, separator: str = DELIMITERS.component) -> str:
    """Components, or with another separator subcomponents, that are written already; empty ones at the end are left
    out."""
    return separator.join(values).rstrip(separator)


def subcomponents(*values: str) -> str:
    """Subcomponents that are written already."""
    return components(*values, separator=DELIMITERS.subcomponent)


def repetitions(values: Sequence[str]) -> str:
    """Those of a field that are not empty."""
    return DELIMITERS.repetition.join(filter(None, values))


def segment(name: str, fields: Mapping[int, str]) -> str:
    """A segment of fields that are written already, by their numbers. MSH-1 is the separator itself."""
    first = 2 if name == "MSH" else 1
    values = [fields.get(number, "") for number in range(first, max(fields) + 1)]
    return DELIMITERS.field.join((name, *values)).rstrip(DELIMITERS.field)


class MessageCharset:
    """What a receiver wants messages in: a name of HL7 table 0211."""

    def __init__(self, name: str) -> None:
        """Raises `MessageRefused` for a name that is not known."""
        self.header = _NAMED.get(name, name)
        """MSH-18."""
        self._codec = _SWITCHED.get(name) or codec_of([name])

    def holds(self, value: str) -> bool:
        """Whether every character can be written."""
        try:
            value.encode(self._codec)
        except UnicodeEncodeError:
            return False
        return True

    def encoded(self, segments: Sequence[str]) -> bytes:
        """The message; what the character set does not have becomes a question mark."""
        return "".join(f"{segment}\r" for segment in segments).encode(self._codec, "replace")
