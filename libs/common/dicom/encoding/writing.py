"""Attributes of the DICOM JSON model (PS3.18 F.2) as elements of any encoding (PS3.5 7.1), in any character set. Pure.

For a few values, such as those of a correction: text, numbers, tags and sequences of them, none of them bulk.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct, pack
from struct import error as StructError
from typing import Any

from gantry.common.dicom.encoding.charsets import CharacterSet
from gantry.common.dicom.encoding.values import IN_CHARACTER_SET, text_of
from gantry.common.dicom.standard.transfer_syntaxes import Encoding
from gantry.common.dicom.standard.vrs import BULK_VRS, LONG_VRS, SHORT_VRS
from gantry.common.errors import NotUnderstood

_NUMBERS = {b"US": "H", b"SS": "h", b"UL": "I", b"SL": "i", b"UV": "Q", b"SV": "q", b"FL": "f", b"FD": "d"}
_MOST_SHORT = 0xFFFE


class ElementWriter:
    """Writes elements of one encoding, with text in one character set."""

    def __init__(self, encoding: Encoding, text: CharacterSet) -> None:
        self._explicit = encoding.explicit
        self._order = ">" if encoding.big_endian else "<"
        self._text = text

    def elements(self, attributes: Mapping[str, Mapping[str, Any]]) -> bytes:
        """Attributes by tag (eight hexadecimal digits), in order. Raises `NotUnderstood`, and `Unrepresentable`."""
        return b"".join([self.element(int(name, 16), attributes[name]) for name in sorted(attributes)])

    def element(self, tag: int, attribute: Mapping[str, Any]) -> bytes:
        """One attribute. Raises `NotUnderstood` for an invalid one, `Unrepresentable` for text that the character set
        does not have."""
        vr = str(attribute.get("vr", "")).encode("ascii", "replace")
        if vr == b"SQ":
            return self.sequence(tag, [self.elements(item or {}) for item in attribute.get("Value", ())])
        if vr in BULK_VRS or vr not in SHORT_VRS | LONG_VRS:
            raise NotUnderstood(f"{tag:08X} has no VR whose values can be written")
        return self.plain(tag, vr, self._value(tag, vr, attribute.get("Value", [])))

    def plain(self, tag: int, vr: bytes, value: bytes) -> bytes:
        """An element with a value that is encoded already. Raises `NotUnderstood` if it is too long."""
        if vr in SHORT_VRS and self._explicit and len(value) > _MOST_SHORT:
            raise NotUnderstood(f"{tag:08X} is too long for its VR")
        return self._head(tag, vr, len(value)) + value

    def sequence(self, tag: int, items: list[bytes]) -> bytes:
        """A sequence of items that are encoded already, with lengths (PS3.5 7.5)."""
        content = b"".join([self._delimiter(0xE000, len(item)) + item for item in items])
        return self._head(tag, b"SQ", len(content)) + content

    def _delimiter(self, element: int, length: int) -> bytes:
        return pack(f"{self._order}HHI", 0xFFFE, element, length)

    def _head(self, tag: int, vr: bytes, length: int) -> bytes:
        group, element = tag >> 16, tag & 0xFFFF
        if not self._explicit:
            return pack(f"{self._order}HHI", group, element, length)
        if vr in LONG_VRS:
            return pack(f"{self._order}HH2sHI", group, element, vr, 0, length)
        return pack(f"{self._order}HH2sH", group, element, vr, length)

    def _value(self, tag: int, vr: bytes, values: list[Any]) -> bytes:
        try:
            if vr in _NUMBERS:
                number = Struct(f"{self._order}{_NUMBERS[vr]}")
                return b"".join([number.pack(float(v) if vr in (b"FL", b"FD") else int(v)) for v in values])
            if vr == b"AT":
                return b"".join([pack(f"{self._order}HH", int(v[:4], 16), int(v[4:], 16)) for v in values])
            return self._encoded(tag, vr, "\\".join([text_of(value) for value in values]))
        except (StructError, OverflowError, TypeError, ValueError):
            raise NotUnderstood(f"{tag:08X} has a value that does not fit its VR") from None

    def _encoded(self, tag: int, vr: bytes, text: str) -> bytes:
        value = self._text.encode(text) if vr in IN_CHARACTER_SET or text.isascii() else None
        if value is None:
            raise Unrepresentable(f"{tag:08X}: the character set does not have this text")
        return value + (b"\0" if vr == b"UI" else b" ") * (len(value) & 1)


class Unrepresentable(NotUnderstood):
    """A character set cannot represent a text."""
