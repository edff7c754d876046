"""Which studies a rule is about: `KEY=VALUE` texts become a query of the study level (PS3.4 C.2.2.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gantry.common.dicom.query.attributes import AttributeTable, Level
from gantry.common.dicom.query.identifiers import Identifier
from gantry.common.dicom.query.matching import Query
from gantry.common.dicom.query.queries import Model, compile_query
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.tags import QUERY_RETRIEVE_LEVEL
from gantry.common.errors import IdentifierError, NotUnderstood

_HEX = re.compile(r"[0-9A-Fa-f]{8}")


def studies_where(conditions: Sequence[str], partition: str, attributes: AttributeTable) -> Query:
    """The studies that meet all conditions; several values of a key are separated by backslashes. Without conditions it
    is all of them. Raises `NotUnderstood` for a key that is not one of studies or patients here, and for a condition
    that would be ignored: it would match more than was meant."""
    keys: dict[int, list[str]] = {QUERY_RETRIEVE_LEVEL: [Level.STUDY.value]}
    for condition in conditions:
        name, equals, value = condition.partition("=")
        tag = _tag(name.strip())
        if not equals or not value.strip("*?\\ "):
            raise NotUnderstood(f"{name}: a condition is KEY=VALUE, and a value says which")
        attribute = None if tag is None else attributes.by_tag.get(tag)
        if tag is None or attribute is None or attribute.level.depth > Level.STUDY.depth:
            raise NotUnderstood(f"{name}: not an attribute of studies or patients that can be searched here")
        if tag in keys:
            raise NotUnderstood(f"{name} is there twice: several values of one key are separated by \\")
        keys[tag] = [part.strip() for part in value.split("\\")]
    try:
        query = compile_query(Identifier(keys), Model.STUDY_ROOT, partition, attributes=attributes)
    except IdentifierError as error:
        raise NotUnderstood(str(error)) from error
    if len(query.conditions) < len(conditions):
        raise NotUnderstood("a condition would be ignored")
    return query


def _tag(name: str) -> int | None:
    return int(name, 16) if _HEX.fullmatch(name) else TAGS.get(name)
