"""The Native DICOM Model (PS3.19 A.1) as the DICOM JSON model, which says the same.

Documents from outside: no document type, so no entities of their own; depth and size are limited.
"""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

from gantry.common.dicom.encoding.syntax import MAX_NESTING
from gantry.common.errors import NotUnderstood

_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_NAME_PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def from_xml(document: bytes) -> dict[str, Any]:
    """The data set of a document. Raises `NotUnderstood`."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text.append
    try:
        parser.Parse(document, True)
    # Encodings that Python has and the parser cannot use raise a ValueError, unknown ones a LookupError.
    except (expat.ExpatError, ValueError, LookupError):
        raise NotUnderstood("the metadata is not xml") from None
    if not reader.is_model:
        raise NotUnderstood("the metadata is not of the native dicom model")
    return reader.data_set


class _Reader:
    def __init__(self) -> None:
        self.data_set: dict[str, Any] = {}
        self.is_model = False
        self.text: list[str] = []
        self._data_sets = [self.data_set]
        self._elements: list[dict[str, Any]] = []
        self._name: dict[str, dict[str, str]] = {}
        self._group = ""

    def refuse(self, *_: Any) -> None:
        raise NotUnderstood("a document type in the metadata")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        self.text.clear()
        if name == "NativeDicomModel":
            self.is_model = True
        elif name == "DicomAttribute":
            element: dict[str, Any] = {"vr": attributes.get("vr", "")}
            self._data_sets[-1][attributes.get("tag", "")] = element
            self._elements.append(element)
            if len(self._elements) > MAX_NESTING + 1:
                raise NotUnderstood("sequences are too deep")
        elif not self._elements:
            raise NotUnderstood("a value outside of an attribute")
        elif name == "Item":
            item: dict[str, Any] = {}
            self._values().append(item)
            self._data_sets.append(item)
        elif name == "BulkData":
            self._elements[-1]["BulkDataURI"] = attributes.get("uri") or attributes.get("uuid", "")
        elif name == "PersonName":
            self._name = {}
        elif name in _GROUPS:
            self._group, self._name[name] = name, {}

    def end(self, name: str) -> None:
        name = name.rpartition(":")[2]
        text = "".join(self.text)
        self.text.clear()
        if name == "DicomAttribute":
            self._elements.pop()
        elif name == "Item":
            self._data_sets.pop()
        elif name == "Value":
            self._values().append(text or None)
        elif name == "InlineBinary":
            self._elements[-1]["InlineBinary"] = "".join(text.split())
        elif name in _NAME_PARTS and self._group in self._name:
            self._name[self._group][name] = text
        elif name == "PersonName":
            groups = {group: _joined(parts) for group, parts in self._name.items()}
            self._values().append(groups or None)

    def _values(self) -> list[Any]:
        values: list[Any] = self._elements[-1].setdefault("Value", [])
        return values


def _joined(parts: dict[str, str]) -> str:
    return "^".join(parts.get(part, "") for part in _NAME_PARTS).rstrip("^")
