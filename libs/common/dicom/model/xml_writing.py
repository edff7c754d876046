"""The Native DICOM Model (PS3.19 A.1) from the DICOM JSON model: both say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from gantry.common.dicom.standard.dictionary import keyword_of_tag

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">'
)
_NAME_PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
# XML 1.0 2.2: characters that no document may contain, not even escaped.
_NO_CHARACTER = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_xml(attributes: Mapping[str, Mapping[str, Any]]) -> bytes:
    """A document of one data set."""
    return "".join([_HEAD, *_elements(attributes), "</NativeDicomModel>"]).encode("utf-8")


def _elements(attributes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, attribute in attributes.items():
        keyword = keyword_of_tag(int(name, 16))
        keyword_text = f" keyword={quoteattr(keyword)}" if keyword else ""
        yield f'<DicomAttribute tag="{name}" vr="{attribute["vr"]}"{keyword_text}>'
        if "BulkDataURI" in attribute:
            yield f"<BulkData uri={quoteattr(attribute['BulkDataURI'])}/>"
        elif "InlineBinary" in attribute:
            yield f"<InlineBinary>{attribute['InlineBinary']}</InlineBinary>"
        for number, value in enumerate(attribute.get("Value", ()), 1):
            yield from _value(attribute["vr"], number, value)
        yield "</DicomAttribute>"


def _value(vr: str, number: int, value: Any) -> Iterator[str]:
    if vr == "SQ":
        yield f'<Item number="{number}">'
        yield from _elements(value or {})
        yield "</Item>"
    elif vr == "PN":
        yield f'<PersonName number="{number}">{"".join(_name(value or {}))}</PersonName>'
    elif value is None:
        yield f'<Value number="{number}"/>'
    else:
        yield f'<Value number="{number}">{_text(value)}</Value>'


def _name(value: Mapping[str, str]) -> Iterator[str]:
    for group, name in value.items():
        yield f"<{group}>"
        for part, text in zip(_NAME_PARTS, name.split("^"), strict=False):
            if text:
                yield f"<{part}>{_text(text)}</{part}>"
        yield f"</{group}>"


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return escape(_NO_CHARACTER.sub("\ufffd", str(value)))
