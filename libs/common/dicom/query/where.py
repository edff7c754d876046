"""The studies, or objects, that a rule matches: `KEY=VALUE` texts become a query (PS3.4 C.2.2.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gantry.common.dicom.query.attributes import ATTRIBUTES, Attribute, AttributeTable, Level
from gantry.common.dicom.query.identifiers import Identifier
from gantry.common.dicom.query.matching import Query
from gantry.common.dicom.query.queries import BASIC, Extended, Model, compile_query
from gantry.common.dicom.standard.dictionary import TAGS, keyword_of_tag
from gantry.common.dicom.standard.tags import QUERY_RETRIEVE_LEVEL
from gantry.common.dicom.standard.vrs import BULK_VRS, vr_of
from gantry.common.errors import IdentifierError, NotUnderstood
from gantry.common.ids import DEFAULT_PARTITION

_HEX = re.compile(r"[0-9A-Fa-f]{8}")
_NO_VALUES = frozenset(vr.decode("ascii") for vr in (*BULK_VRS, b"SQ"))
# For one object, there is no level above it.
_OF_OBJECTS = Extended(relational=True, empty_values=True)


def studies_where(conditions: Sequence[str], partition: str, attributes: AttributeTable) -> Query:
    """The studies that meet all conditions; several values of a key are separated by backslashes. Without conditions,
    all studies. Raises `NotUnderstood` for a key that is not an attribute of studies or patients here, and for a
    condition that would be ignored: it would match more than intended."""
    keys = _keys(conditions)
    for name, tag in keys.tags.items():
        attribute = None if tag is None else attributes.by_tag.get(tag)
        if attribute is None or attribute.level.depth > Level.STUDY.depth:
            raise NotUnderstood(f"{name}: not an attribute of studies or patients that can be searched here")
    return _compiled(keys, Level.STUDY, partition, BASIC, attributes)


def objects_where(conditions: Sequence[str]) -> Query:
    """The objects whose own attributes meet all conditions: any top-level attribute with text or numbers; `KEY=""` if
    it has no value (PS3.4 C.2.2.2.7). Raises `NotUnderstood` as `studies_where`."""
    keys = _keys(conditions)
    added = []
    for name, tag in keys.tags.items():
        keyword = "" if tag is None else keyword_of_tag(tag)
        vr = vr_of(tag).decode("ascii") if tag is not None else ""
        known = ATTRIBUTES.get(tag or 0)
        if tag is None or not keyword or not 0x0008 <= tag >> 16 < 0x7FE0 or vr in _NO_VALUES:
            raise NotUnderstood(f"{name}: not an attribute of objects that can be compared")
        if known is not None and known.computed:
            raise NotUnderstood(f"{name}: no object has it, it is counted or collected from many")
        if known is None:
            added.append(Attribute(tag, keyword, vr, Level.IMAGE))
    return _compiled(keys, Level.IMAGE, DEFAULT_PARTITION, _OF_OBJECTS, AttributeTable(added))


@dataclass(frozen=True, slots=True)
class _Keys:
    """The keys of conditions, each once: its tag, None if the dictionary has none, and the requested values."""

    tags: Mapping[str, int | None]
    values: Mapping[int, list[str]]


def _keys(conditions: Sequence[str]) -> _Keys:
    tags: dict[str, int | None] = {}
    values: dict[int, list[str]] = {}
    for condition in conditions:
        name, equals, value = condition.partition("=")
        if not equals or not value.strip("*?\\ "):
            raise NotUnderstood(f"{name}: a condition is KEY=VALUE, and a value says which")
        tag = tags[name] = _tag(name.strip())
        if tag in values:
            raise NotUnderstood(f"{name} is there twice: several values of one key are separated by \\")
        if tag is not None:
            values[tag] = [part.strip() for part in value.split("\\")]
    return _Keys(tags, values)


def _compiled(keys: _Keys, level: Level, partition: str, extended: Extended, attributes: AttributeTable) -> Query:
    identifier = Identifier({QUERY_RETRIEVE_LEVEL: [level.value], **keys.values})
    try:
        query = compile_query(identifier, Model.STUDY_ROOT, partition, extended, attributes)
    except IdentifierError as error:
        raise NotUnderstood(str(error)) from error
    if len(query.conditions) < len(keys.tags):
        raise NotUnderstood("a condition would be ignored")
    return query


def _tag(name: str) -> int | None:
    return int(name, 16) if _HEX.fullmatch(name) else TAGS.get(name)
