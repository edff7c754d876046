"""`orderby` of a QIDO-RS request, an extension to DICOMweb: the order of matches. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gantry.common.dicom.query.attributes import AttributeTable, Level, keyword_of
from gantry.common.dicom.query.matching import Condition, Single
from gantry.common.dicom.query.ordering import RECEIVED, STUDY_ORDERS, Order, SortKey
from gantry.common.dicom.query.queries import is_supported
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.web.errors import HttpProblem

MOST_KEYS = 8
RECEIVED_WORD = "received"
"""In place of a keyword: the time at which the earliest current receipt of a study arrived."""
_WORDS = {Level.SERIES: "series are", Level.IMAGE: "instances are"}


def order_of(values: Sequence[str], level: Level, attributes: AttributeTable) -> Order:
    """The order that the values of all `orderby` parameters name. Raises `HttpProblem` 400."""
    keys: dict[int, SortKey] = {}
    for name in [part.strip() for value in values for part in value.split(",", MOST_KEYS + 1)]:
        if name:
            key = SortKey(_tag(name.removeprefix("-")), name.startswith("-"))
            if not _is_order(key.tag, level, attributes):
                raise HttpProblem(400, _why_not(name.removeprefix("-")[:64], level))
            keys.setdefault(key.tag, key)
    if len(keys) > MOST_KEYS:
        raise HttpProblem(400, f"orderby names more than {MOST_KEYS} attributes")
    return tuple(keys.values())


def check_scope(order: Order, level: Level, conditions: Mapping[int, Condition]) -> None:
    """Raises `HttpProblem` 400 if series or instances are to be ordered and the request does not name one study."""
    study = conditions.get(STUDY_INSTANCE_UID)
    if order and level is not Level.STUDY and not (isinstance(study, Single) and len(study.values) == 1):
        raise HttpProblem(400, f"{_WORDS[level]} ordered within one study: name it in the path or as StudyInstanceUID")


def _tag(name: str) -> int:
    if name == RECEIVED_WORD:
        return RECEIVED
    tag = TAGS.get(name)
    if tag is None and len(name) == 8 and name.isascii():
        try:
            tag = int(name, 16)
        except ValueError:
            tag = None
    if not tag:
        raise HttpProblem(400, f"orderby names {name[:64]!a}, which is not an attribute")
    return int(tag)


def _is_order(tag: int, level: Level, attributes: AttributeTable) -> bool:
    if level is Level.STUDY:
        return tag in STUDY_ORDERS
    return tag != RECEIVED and is_supported(tag, level, attributes) and attributes.vr_of(tag) != b"SQ"


def _why_not(name: str, level: Level) -> str:
    if level is not Level.STUDY:
        return f"orderby names {name!a}, by which {_WORDS[level]} not ordered"
    known = [RECEIVED_WORD if tag == RECEIVED else keyword_of(tag) for tag in STUDY_ORDERS]
    return f"orderby names {name!a}: studies are ordered by {', '.join(known)}"
