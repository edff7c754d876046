"""Elements de-identified, level by level (PS3.15 E.1.1): each is removed, emptied, replaced, cleaned or kept. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gantry.common.deidentify.actions import TEXT_VALUE, ActionCode, decide, is_known, unlisted
from gantry.common.deidentify.dummy_items import dummy_items
from gantry.common.deidentify.moved_dates import moved
from gantry.common.deidentify.options import DeidentificationProfile, Option
from gantry.common.deidentify.pseudonyms import Pseudonyms
from gantry.common.deidentify.safe_private import is_safe
from gantry.common.deidentify.strict import has_standard_code, strict_value, without_odd
from gantry.common.deidentify.table import row_of
from gantry.common.deidentify.values import BULK_DUMMY, dummy
from gantry.common.deidentify.vocabulary import cleaned_text
from gantry.common.dicom.encoding.charsets import DEFAULT, CharacterSet, character_set
from gantry.common.dicom.encoding.elements import elements, item_bounds
from gantry.common.dicom.encoding.syntax import MAX_READ_NESTING, syntax_of
from gantry.common.dicom.encoding.values import value_list
from gantry.common.dicom.encoding.writing import ElementWriter
from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    DEIDENTIFICATION_METHOD,
    DEIDENTIFICATION_METHOD_CODE_SEQUENCE,
    LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED,
    PATIENT_ID,
    PATIENT_IDENTITY_REMOVED,
    PATIENT_NAME,
    SPECIFIC_CHARACTER_SET,
)
from gantry.common.dicom.standard.transfer_syntaxes import Encoding
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.errors import NotUnderstood

SAID_BY_US = frozenset(
    (
        PATIENT_IDENTITY_REMOVED,
        DEIDENTIFICATION_METHOD,
        DEIDENTIFICATION_METHOD_CODE_SEQUENCE,
        LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED,
    )
)
"""Written anew at the top level; what stood there, on any level, was of another de-identification."""
_IMPLICIT = Encoding(explicit=False)
_FIRST_GROUP_OF_DATA_SETS = 0x0008


@dataclass(frozen=True, slots=True)
class CleaningSubject:
    """Whose object it is: the pseudonym, by how many days dates are moved, and the words of all names in the object."""

    pseudonym: str
    days: int
    names: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Level:
    """A data set or an item: its encoding and character set; `strict` where texts that the table does not have are
    cleaned as well; private creators by group and block."""

    encoding: Encoding
    text: CharacterSet
    strict: bool = False
    depth: int = 0
    has_code: bool = False
    creators: dict[int, tuple[str, bytes]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Element:
    tag: int
    vr: bytes
    said: bytes
    """The VR of the data dictionary."""
    value: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class DataSetCleaner:
    """De-identifies the elements of one object. Raises `NotUnderstood` where they cannot be read."""

    profile: DeidentificationProfile
    pseudonyms: Pseudonyms
    subject: CleaningSubject

    def elements(self, data: bytes, encoding: Encoding, text: CharacterSet = DEFAULT) -> list[tuple[int, bytes]]:
        """What is left of the elements in `data`, which is not deflated, by their tags and in their encoding."""
        return self._level(data, _Level(encoding, text))

    def _level(self, data: bytes, level: _Level) -> list[tuple[int, bytes]]:
        if level.depth > MAX_READ_NESTING:
            raise NotUnderstood("sequences are nested too deep")
        level.has_code = level.strict and has_standard_code(data, level.encoding)
        left: dict[int, bytes] = {}
        begin = 0
        for tag, vr, start, end in elements(data, level.encoding):
            value = data[start:end]
            element = _Element(tag, vr, vr_of(tag), value, _whole(data[begin:end], tag, vr, value, level))
            begin = end
            if tag >> 16 & 1:
                left.update(self._private(element, level))
                continue
            if tag == SPECIFIC_CHARACTER_SET:
                level.text = character_set([str(term or "") for term in value_list(b"CS", element.value, DEFAULT)])
            if written := self._element(element, level):
                left[tag] = written
        return sorted(left.items())

    def _private(self, element: _Element, level: _Level) -> dict[int, bytes]:
        """PS3.15 E.3.10: a private element that is known to be safe, with its creator; else nothing."""
        group, number = element.tag & 0xFFFF0000, element.tag & 0xFFFF
        if 0x10 <= number <= 0xFF:
            creator = level.text.decode(element.value).strip(" \0")
            level.creators[group | number] = creator, element.raw
            return {}
        block = group | number >> 8
        creator, raw = level.creators.get(block, ("", b""))
        if Option.SAFE_PRIVATE not in self.profile.options or level.encoding.big_endian:
            return {}
        if not is_safe(creator, element.tag, element.vr, element.value):
            return {}
        return {block: raw, element.tag: element.raw}

    def _element(self, element: _Element, level: _Level) -> bytes:
        tag, vr, stated_vr = element.tag, element.vr, element.said
        group = tag >> 16
        # PS3.5 7.2: group lengths are retired. Groups below belong to commands, files and directories.
        if tag & 0xFFFF == 0 or group < _FIRST_GROUP_OF_DATA_SETS or tag in SAID_BY_US:
            return b""
        # PS3.3 C.9.2: without its data an overlay is none; what is drawn into it cannot be seen by us.
        if group >> 8 == 0x60 and group <= 0x601E:
            return b""
        row = row_of(tag)
        if row is None and (not is_known(tag) or (stated_vr == b"SQ" and vr not in (b"SQ", b"UN"))):
            return b""
        row = row or unlisted(tag, vr)
        if tag == TEXT_VALUE and level.strict:
            row = None  # the content of a report is cleaned as a whole
        action = ActionCode.KEEP if row is None else decide(row, self.profile.options, stated_vr)
        if row is not None and action is ActionCode.CLEAN_TEXT:
            cleaned = cleaned_text(level.text.decode(element.value), self.subject.names, stated_vr)
            if cleaned:
                return self._text(ElementWriter(level.encoding, level.text), element, cleaned)
            action = decide(row, frozenset(), stated_vr)
        return self._acted(action, element, level)

    def _acted(self, action: ActionCode, element: _Element, level: _Level) -> bytes:
        if action is ActionCode.REMOVE:
            return b""
        if element.said == b"SQ" or element.vr == b"SQ":
            return self._sequence(action, element, level)
        if action is ActionCode.KEEP:
            return self._without_odd(element, level)
        value = element.value.strip(b" \0")
        writer = ElementWriter(level.encoding, level.text)
        if not value:
            return writer.plain(element.tag, element.said, b"")
        if action is ActionCode.MOVE_DATES:
            day = moved(element.said, value.decode("ascii", "replace"), self.subject.days)
            return self._text(writer, element, day)
        if action is ActionCode.NEW_UIDS:
            return self._text(writer, element, self._uids(value))
        return self._replaced(action, element, writer, level.text.decode(value))

    def _replaced(self, action: ActionCode, element: _Element, writer: ElementWriter, value: str) -> bytes:
        """Emptied, or with a value that tells nothing: a pseudonym for who and which examination it is."""
        if element.tag in (PATIENT_ID, PATIENT_NAME):
            return self._text(writer, element, self.subject.pseudonym)
        if element.tag == ACCESSION_NUMBER:
            return self._text(writer, element, self.pseudonyms.accession(value.strip(" \0")))
        if action is ActionCode.EMPTY:
            return writer.plain(element.tag, element.said, b"")
        if element.said == b"UI":
            return self._text(writer, element, self.pseudonyms.uid(value))
        written = dummy(element.said)
        if written is None:
            return writer.plain(element.tag, element.said, BULK_DUMMY)
        return writer.element(element.tag, {"vr": element.said.decode("ascii"), "Value": [written]})

    def _text(self, writer: ElementWriter, element: _Element, value: str) -> bytes:
        return writer.element(element.tag, {"vr": element.said.decode("ascii"), "Value": [value] if value else []})

    def _uids(self, value: bytes) -> str:
        uids = value.decode("ascii", "replace").split("\\")
        return "\\".join([self.pseudonyms.uid(uid.strip(" \0")) for uid in uids])

    def _without_odd(self, element: _Element, level: _Level) -> bytes:
        if (left := without_odd(element.said, element.value)) != element.value:
            padding = b" " * (len(left) % 2)
            return ElementWriter(level.encoding, level.text).plain(element.tag, element.said, left + padding)
        if not level.strict or level.has_code:
            return element.raw
        value = strict_value(element.said, element.value, level.text, self.subject.names)
        return element.raw if value is None else self._text(ElementWriter(level.encoding, level.text), element, value)

    def _sequence(self, action: ActionCode, element: _Element, level: _Level) -> bytes:
        """Emptied, with items that tell nothing, or with its items de-identified by the same table."""
        writer = ElementWriter(level.encoding, level.text)
        if action is ActionCode.EMPTY or not element.value or element.vr not in (b"SQ", b"UN"):
            return writer.sequence(element.tag, [])
        if (
            action is ActionCode.DUMMY
            and (items := dummy_items(element.tag, element.value, level.encoding)) is not None
        ):
            return writer.sequence(element.tag, [writer.elements(item) for item in items])
        strict = level.strict or action in (ActionCode.CLEAN_ITEMS, ActionCode.DUMMY)
        # PS3.5 6.2.2: a sequence whose VR is unknown has its items in implicit VR little endian.
        encoding = _IMPLICIT if element.vr == b"UN" else level.encoding
        bounds = item_bounds(element.value, 0, len(element.value), syntax_of(encoding))
        inner = _Level(encoding, level.text, strict, level.depth + 1)
        items_left = [
            b"".join([written for _, written in self._level(element.value[begin:end], _fresh(inner))])
            for begin, end in bounds
        ]
        if element.vr == b"SQ":
            return writer.sequence(element.tag, items_left)
        content = ElementWriter(encoding, level.text).sequence(element.tag, items_left)[8:]
        return writer.plain(element.tag, b"UN", content)


def _whole(raw: bytes, tag: int, vr: bytes, value: bytes, level: _Level) -> bytes:
    """The element as it came; with a VR where a sender left it out in an explicit encoding, as some do."""
    if not level.encoding.explicit or raw[4:6] == vr:
        return raw
    return ElementWriter(level.encoding, level.text).plain(tag, vr, value)


def _fresh(level: _Level) -> _Level:
    return replace(level, creators={})
