"""Data sets that resemble each other, like those of a series, as text of the DICOM JSON model (PS3.18 Annex F).

Common parts are converted once: the text of an element is cached by its bytes, and runs of elements that are the same
as in an earlier data set are not even parsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gantry.common.dicom.encoding.charsets import DEFAULT, CharacterSet
from gantry.common.dicom.encoding.elements import elements
from gantry.common.dicom.model.json_writing import BulkUri, ModelReader, named
from gantry.common.dicom.standard.tags import SPECIFIC_CHARACTER_SET
from gantry.common.dicom.standard.transfer_syntaxes import Encoding

_MOST_KNOWN = 4 << 20
_MOST_PATTERNS = 16
_LONGEST, _MOST_ELEMENTS = 1 << 18, 4096
"""Most bytes and elements of a data set that serves as a pattern for others."""

_Shared = tuple[int, bytes, bytes]
"""Tag, encoded element, and the text of its attribute."""


class Texts:
    """Converts one data set after the other to text."""

    def __init__(self) -> None:
        self._known: dict[tuple[Encoding, CharacterSet], dict[bytes, bytes]] = {}
        self._patterns: dict[tuple[Encoding, CharacterSet], Pattern] = {}
        self._size = 0

    def attributes(self, data: bytes, encoding: Encoding, uri: BulkUri) -> dict[int, bytes]:
        """The text of each attribute of a data set, name included, by tag: what `attributes_of` has. Raises
        `NotUnderstood`."""
        members: dict[int, bytes] = {}
        reader, text, pos, parsed = ModelReader(data, uri), DEFAULT, 0, 0
        pattern, place = self._patterns.get((encoding, text)), 0
        shared: list[list[_Shared]] = [[]]
        while True:
            if pattern is not None:
                place, pos = pattern.take(place, data, pos, members)
            if pos == len(data):
                break
            element = next(elements(data, encoding, within=(pos, len(data))))
            tag, raw, pos, parsed = element[0], data[pos : element[3]], element[3], parsed + 1
            if tag == SPECIFIC_CHARACTER_SET:
                text = reader.character_set(*element[2:])
                pattern, place, shared = self._patterns.get((encoding, text)), 0, [[]]
            places = reader.places
            if tag & 0xFFFF:
                members[tag] = self._member(reader, element, raw, encoding, text)
            if pattern is not None:
                place = pattern.skip(place, tag)
            # Not shared: elements with URIs of this data set's own bulk, and the character set, which governs all
            # elements after it.
            elif tag & 0xFFFF and places == reader.places and tag != SPECIFIC_CHARACTER_SET:
                shared[-1].append((tag, raw, members[tag]))
            else:
                shared.append([])
        self._learn((encoding, text), pattern, shared, len(data), parsed)
        return members

    def _member(
        self,
        reader: ModelReader,
        element: tuple[int, bytes, int, int],
        raw: bytes,
        encoding: Encoding,
        text: CharacterSet,
    ) -> bytes:
        known = self._known.setdefault((encoding, text), {})
        member = known.get(raw)
        if member is None:
            places = reader.places
            member = named(element[0], reader.element(element, encoding, text, "", 0))
            if places == reader.places and self._size < _MOST_KNOWN:
                known[raw] = member
                self._size += len(raw) + len(member)
        return member

    def _learn(
        self,
        key: tuple[Encoding, CharacterSet],
        pattern: Pattern | None,
        shared: Sequence[list[_Shared]],
        length: int,
        parsed: int,
    ) -> None:
        """Use a data set as the pattern if there is none, and drop a pattern that the last one did not resemble."""
        if pattern is not None:
            if parsed > 8 + pattern.count // 4:
                del self._patterns[key]
        elif length <= _LONGEST and parsed <= _MOST_ELEMENTS and len(self._patterns) < _MOST_PATTERNS:
            self._patterns[key] = Pattern(shared)


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive elements, and their bytes together."""

    elements: Sequence[_Shared]
    raw: bytes
    said: dict[int, bytes]


def _run(elements: Sequence[_Shared]) -> _Run:
    return _Run(elements, b"".join([raw for _, raw, _ in elements]), {tag: member for tag, _, member in elements})


class Pattern:
    """A data set in runs of elements; a run is divided where a later data set differs from it."""

    def __init__(self, runs: Sequence[Sequence[_Shared]]) -> None:
        self._runs = [_run(elements) for elements in runs if elements]
        self.count = sum(len(run.elements) for run in self._runs)

    def take(self, place: int, data: bytes, pos: int, members: dict[int, bytes]) -> tuple[int, int]:
        """Take the runs from `place` on that equal the data at `pos`. Returns where pattern and data continue."""
        while place < len(self._runs):
            run = self._runs[place]
            if data.startswith(run.raw, pos):
                members.update(run.said)
                pos += len(run.raw)
                place += 1
            elif len(run.elements) == 1 or not self._divide(place, data, pos):
                break
        return place, pos

    def _divide(self, place: int, data: bytes, pos: int) -> bool:
        """Set the element apart in which the data differs; whether there is one before it."""
        elements, same = self._runs[place].elements, 0
        while data.startswith(elements[same][1], pos):
            pos += len(elements[same][1])
            same += 1
        parts = elements[:same], elements[same : same + 1], elements[same + 1 :]
        self._runs[place : place + 1] = [_run(part) for part in parts if part]
        return same > 0

    def skip(self, place: int, tag: int) -> int:
        """The first run from `place` on that begins after a tag."""
        while place < len(self._runs) and self._runs[place].elements[0][0] <= tag:
            place += 1
        return place
