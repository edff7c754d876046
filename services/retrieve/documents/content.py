"""The content tree of a structured report (PS3.3 C.17.3), in words. Pure; read from the DICOM JSON model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gantry.common.dicom.model.json_writing import name_of
from gantry.common.dicom.standard.sop_classes import class_in_words
from gantry.common.dicom.standard.tags import (
    CODE_MEANING,
    CODE_VALUE,
    CODING_SCHEME_DESIGNATOR,
    CONCEPT_CODE_SEQUENCE,
    CONCEPT_NAME_CODE_SEQUENCE,
    CONTENT_SEQUENCE,
    DATE,
    DATE_TIME,
    GRAPHIC_DATA,
    GRAPHIC_TYPE,
    LONG_CODE_VALUE,
    MEASURED_VALUE_SEQUENCE,
    MEASUREMENT_UNITS_CODE_SEQUENCE,
    NUMERIC_VALUE,
    NUMERIC_VALUE_QUALIFIER_CODE_SEQUENCE,
    PERSON_NAME,
    REFERENCED_CONTENT_ITEM_IDENTIFIER,
    REFERENCED_FRAME_NUMBER,
    REFERENCED_SOP_CLASS_UID,
    REFERENCED_SOP_INSTANCE_UID,
    REFERENCED_SOP_SEQUENCE,
    RELATIONSHIP_TYPE,
    TEMPORAL_RANGE_TYPE,
    TEXT_VALUE,
    TIME,
    UID,
    URN_CODE_VALUE,
    VALUE_TYPE,
)

Attributes = Mapping[str, Any]
"""A data set in the DICOM JSON model (PS3.18 F.2)."""

_REFERENCE = "\N{RIGHTWARDS ARROW}"
_RELATIONSHIPS = {
    "HAS OBS CONTEXT": "context",
    "HAS ACQ CONTEXT": "acquisition",
    "HAS CONCEPT MOD": "modifier",
    "HAS PROPERTIES": "property",
    "INFERRED FROM": "inferred from",
    "SELECTED FROM": "selected from",
}
"""PS3.3 table C.17.3.2.4-1, as words before a name; CONTAINS needs none."""


@dataclass(frozen=True, slots=True)
class ContentItem:
    """One item, with those below it: how it belongs to its parent, the name of its concept, its value in words;
    `is_container` if it has no value of its own."""

    relationship: str
    name: str
    value: str
    is_container: bool
    items: tuple[ContentItem, ...]


def content_of(data_set: Attributes) -> ContentItem:
    """The root of the tree. Content that cannot be put into words becomes an item without a value; this never
    raises."""
    kind = text_of(data_set, VALUE_TYPE)
    reference = _values(data_set, REFERENCED_CONTENT_ITEM_IDENTIFIER)
    value = f"{_REFERENCE} item {'.'.join(map(str, reference))}" if reference else _VALUES.get(kind, _no_text)(data_set)
    return ContentItem(
        _RELATIONSHIPS.get(text_of(data_set, RELATIONSHIP_TYPE), ""),
        code_meaning(data_set, CONCEPT_NAME_CODE_SEQUENCE),
        value,
        kind == "CONTAINER",
        tuple([content_of(item) for item in items_of(data_set, CONTENT_SEQUENCE)]),
    )


def code_meaning(data_set: Attributes, tag: int) -> str:
    """The meaning of the first code of a sequence, or the code itself; "" if there is none."""
    code = next(iter(items_of(data_set, tag)), {})
    # A code that is long, or a URN, stands elsewhere (PS3.3 8.1).
    texts = [text_of(code, tag) for tag in (CODE_MEANING, CODE_VALUE, LONG_CODE_VALUE, URN_CODE_VALUE)]
    return next(filter(None, texts), "")


def person(data_set: Attributes, tag: int) -> str:
    """A person's name as it is read: family name, given names, title; other ways to write it in brackets."""
    groups = next((value for value in _values(data_set, tag) if isinstance(value, Mapping)), {})
    written = [_components(str(groups[name])) for name in ("Alphabetic", "Ideographic", "Phonetic") if groups.get(name)]
    return f"{written[0]} ({', '.join(written[1:])})" if len(written) > 1 else "".join(written)


def date(text: str) -> str:
    """A date (DA) with hyphens; another text as it is."""
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if re.fullmatch(r"\d{8}", text) else text


def time(text: str) -> str:
    """A time (TM) to the second, with colons; another text as it is."""
    match = re.fullmatch(r"(\d\d)(\d\d)?(\d\d)?(\.\d{1,6})?", text)
    return ":".join([part for part in match.groups()[:3] if part]) if match else text


def date_time(text: str) -> str:
    """The same of a date and time (DT), with its offset from UTC."""
    match = re.fullmatch(r"(\d{8})(\d{2,6}(?:\.\d{1,6})?)?([+-]\d{4})?", text)
    if match is None:
        return text
    return " ".join([date(match[1]), *([time(match[2])] if match[2] else []), *([match[3]] if match[3] else [])])


# ---- values (PS3.3 table C.17.3-7)


def _no_text(_: Attributes) -> str:
    return ""


def _number(data_set: Attributes) -> str:
    measured = next(iter(items_of(data_set, MEASURED_VALUE_SEQUENCE)), {})
    unit = next(iter(items_of(measured, MEASUREMENT_UNITS_CODE_SEQUENCE)), {})
    number = text_of(measured, NUMERIC_VALUE)
    # People read UCUM codes as they are, except 1, which is not a unit, and annotations in curly brackets.
    code = text_of(unit, CODE_VALUE) if text_of(unit, CODING_SCHEME_DESIGNATOR) == "UCUM" else "{"
    words = "" if code == "1" else text_of(unit, CODE_MEANING) if code.startswith("{") else code
    value = f"{number} {words}".strip()
    qualifier = code_meaning(data_set, NUMERIC_VALUE_QUALIFIER_CODE_SEQUENCE)
    return f"{value} ({qualifier})" if value and qualifier else value or qualifier or "no value"


def _coordinates(dimensions: int) -> Callable[[Attributes], str]:
    def words(data_set: Attributes) -> str:
        kind, points = text_of(data_set, GRAPHIC_TYPE).lower(), len(_values(data_set, GRAPHIC_DATA)) // dimensions
        return f"{kind} of {points} points" if points > 1 else kind

    return words


def _moments(data_set: Attributes) -> str:
    return f"{text_of(data_set, TEMPORAL_RANGE_TYPE).lower()} in time"


def _objects(data_set: Attributes) -> str:
    return "; ".join(map(_object, items_of(data_set, REFERENCED_SOP_SEQUENCE)))


def _object(item: Attributes) -> str:
    name = class_in_words(text_of(item, REFERENCED_SOP_CLASS_UID)).removesuffix(" Storage")
    frames = _values(item, REFERENCED_FRAME_NUMBER)
    of_it = f", frame{'s' * (len(frames) > 1)} {', '.join(map(str, frames))}" if frames else ""
    return f"{name} {text_of(item, REFERENCED_SOP_INSTANCE_UID)}{of_it}"


_VALUES: dict[str, Callable[[Attributes], str]] = {
    "TEXT": lambda d: text_of(d, TEXT_VALUE),
    "NUM": _number,
    "CODE": lambda d: code_meaning(d, CONCEPT_CODE_SEQUENCE),
    "DATETIME": lambda d: date_time(text_of(d, DATE_TIME)),
    "DATE": lambda d: date(text_of(d, DATE)),
    "TIME": lambda d: time(text_of(d, TIME)),
    "UIDREF": lambda d: text_of(d, UID),
    "PNAME": lambda d: person(d, PERSON_NAME),
    "SCOORD": _coordinates(2),
    "SCOORD3D": _coordinates(3),
    "TCOORD": _moments,
    "COMPOSITE": _objects,
    "IMAGE": _objects,
    "WAVEFORM": _objects,
}


def _components(group: str) -> str:
    family, given, middle, prefix, suffix = (part.strip() for part in (group.split("^") + [""] * 5)[:5])
    rest = " ".join([part for part in (prefix, given, middle, suffix) if part])
    return ", ".join([part for part in (family, rest) if part])


# ---- the model


def _values(data_set: Attributes, tag: int) -> list[Any]:
    attribute = data_set.get(name_of(tag))
    return list(attribute.get("Value", ())) if isinstance(attribute, Mapping) else []


def text_of(data_set: Attributes, tag: int) -> str:
    """The first value of an attribute as text; "" if it has none. Decimal strings are as they were written if the model
    was read that way (`ModelReader`)."""
    if "BulkDataURI" in data_set.get(name_of(tag), ()):
        return "(too long to be shown here)"
    for value in _values(data_set, tag):
        if isinstance(value, float) and value.is_integer():
            return f"{value:.0f}"
        if isinstance(value, str | int | float):
            return str(value).strip()
    return ""


def items_of(data_set: Attributes, tag: int) -> list[Attributes]:
    """The items of a sequence; empty if it is absent."""
    return [value for value in _values(data_set, tag) if isinstance(value, Mapping)]
