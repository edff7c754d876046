"""Workitems as documents of the DICOM JSON model, and documents as attributes of workitems (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gantry.common.dicom.model.json_writing import Attributes as Document
from gantry.common.dicom.model.json_writing import keys_as_attributes
from gantry.common.dicom.standard.tags import RETRIEVE_URL, SPECIFIC_CHARACTER_SET
from gantry.common.lifecycle.correctable import require_elements, unpadded
from gantry.common.web.routes import BASE
from gantry.common.workitems import Workitem

MOST_VALUES = 5000
"""Most values of one attribute: a workitem may name many instances."""
_OURS = frozenset((SPECIFIC_CHARACTER_SET, RETRIEVE_URL))
"""A document is UTF-8 (PS3.18 F.2), and the caller cannot set the URL of a workitem."""


def workitem_path(uid: str) -> str:
    """The path of a workitem."""
    return f"{BASE}/workitems/{uid}"


def document_of(workitem: Workitem, url: str = "") -> Document:
    """A workitem without its Transaction UID, and with its URL if one is given."""
    located = {RETRIEVE_URL: [url]} if url else {}
    return keys_as_attributes({**workitem.document, **located})


def count_of_values(attributes: Mapping[int, Any]) -> int:
    """The number of values, including those in sequences."""
    count = 0
    for values in attributes.values():
        for value in values:
            # A person name is a mapping as well, with words as keys.
            is_item = isinstance(value, Mapping) and all(isinstance(tag, int) for tag in value)
            count += count_of_values(value) if is_item else 1
    return count


def attributes_in(document: Mapping[str, Any]) -> dict[int, list[Any]]:
    """The attributes of a document, including those without a value: missing and empty differ. Raises `NotUnderstood`,
    in words for the requester."""
    elements = unpadded({name: element for name, element in document.items() if element is not None})
    require_elements(elements, MOST_VALUES)
    return _values(elements)


def _values(document: Mapping[str, Any]) -> dict[int, list[Any]]:
    attributes: dict[int, list[Any]] = {}
    for name, element in document.items():
        tag, values = int(name, 16), element.get("Value", ())
        if tag not in _OURS:
            attributes[tag] = [_values(value) for value in values] if element["vr"] == "SQ" else list(values)
    return attributes
