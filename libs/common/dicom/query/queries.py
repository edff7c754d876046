"""Identifiers become queries: the rules of the hierarchical search (PS3.4 C.4.1.2.1) and of the keys (C.2.2.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NoReturn

from gantry.common.dicom.query import dates
from gantry.common.dicom.query.attributes import STANDARD, TIME_OF_DATE, UNIQUE_KEYS, AttributeTable, Level, keyword_of
from gantry.common.dicom.query.identifiers import Identifier
from gantry.common.dicom.query.matching import (
    Condition,
    Empty,
    Fuzzy,
    Item,
    MultipleValues,
    Query,
    Range,
    Single,
    UidList,
    Wildcard,
)
from gantry.common.dicom.query.person_names import key_groups, words_of
from gantry.common.dicom.query.timezones import is_offset
from gantry.common.dicom.standard.dictionary import entry_of
from gantry.common.dicom.standard.sop_classes import REPOSITORY_QUERY
from gantry.common.dicom.standard.tags import (
    INSTANCE_AVAILABILITY,
    QUERY_RETRIEVE_LEVEL,
    RETRIEVE_AE_TITLE,
    TIMEZONE_OFFSET_FROM_UTC,
)
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.errors import IdentifierError
from gantry.common.ids import is_uid
from gantry.common.statuses import CANNOT_UNDERSTAND, DATA_SET_DOES_NOT_MATCH_SOP_CLASS, OUT_OF_RESOURCES

MAX_UIDS = 50_000
MAX_VALUES = 1000
MAX_PATTERN = 1024

# PS3.4 C.2.2.2.4: wildcard matching is for these VRs only.
_WILDCARD_VRS = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
_MOMENT_VRS = frozenset(("DA", "TM", "DT"))
# PS3.4 C.2.2.2.8: for these VRs several values can be requested that must all be present.
_MULTIPLE_VRS = frozenset(("AE", "AS", "AT", "CS", "LO", "PN", "SH", "UC"))
EMPTY = '""'
"""PS3.4 C.2.2.2.7: the value that asks for no value."""


class Model(Enum):
    """The information models of PS3.4 C.6, with the levels that each has."""

    PATIENT_ROOT = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)
    STUDY_ROOT = (Level.STUDY, Level.SERIES, Level.IMAGE)
    PATIENT_STUDY_ONLY = (Level.PATIENT, Level.STUDY)

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels, from the root down."""
        levels: tuple[Level, ...] = self.value
        return levels


_MODELS = {"1": Model.PATIENT_ROOT, "2": Model.STUDY_ROOT, "3": Model.PATIENT_STUDY_ONLY}


def model_of(sop_class_uid: str) -> Model | None:
    """The model of a FIND, MOVE or GET SOP class (PS3.4 C.6.1.3, C.6.2.3, C.6.3.3, C.6.4)."""
    if sop_class_uid == REPOSITORY_QUERY:
        return Model.STUDY_ROOT
    root, _, rest = sop_class_uid.partition("1.2.840.10008.5.1.4.1.2.")
    model, _, service = rest.partition(".")
    return _MODELS.get(model) if not root and service in ("1", "2", "3") else None


@dataclass(frozen=True, slots=True)
class Extended:
    """What the two sides agreed on beyond the basic matching (PS3.4 C.5.1.1, PS3.18 8.3.4)."""

    relational: bool = False
    combined_date_time: bool = False
    fuzzy_names: bool = False
    timezone: bool = False
    empty_values: bool = False
    multiple_values: bool = False


BASIC = Extended()
_FIELDS = (
    "relational",
    "combined_date_time",
    "fuzzy_names",
    "timezone",
    "",  # enhanced multi-frame image conversion: there is no such view
    "empty_values",
    "multiple_values",
)
FIND_INFORMATION = bytes(bool(name) for name in _FIELDS)
"""PS3.4 table C.5-2: what our C-FIND SCP supports, field by field."""
RETRIEVE_INFORMATION = b"\1\0"
"""PS3.4 C.5.2.1, C.5.3.1: relational retrieval, and no conversion of enhanced multi-frame images."""


def extended_of(information: bytes) -> Extended:
    """The agreement for a C-FIND SOP class; a missing field means no."""
    return Extended(**{name: byte == 1 for name, byte in zip(_FIELDS, information, strict=False) if name})


def level_of(identifier: Identifier, model: Model) -> Level:
    """The Query/Retrieve Level of a request. Raises `IdentifierError` if it is missing or not one of the model's."""
    values = identifier.keys.get(QUERY_RETRIEVE_LEVEL, [])
    level = next((level for level in model.levels if [level.value] == values), None)
    if level is None:
        reason = "query/retrieve level is not one of this model" if values else "query/retrieve level is missing"
        raise IdentifierError(DATA_SET_DOES_NOT_MATCH_SOP_CLASS, reason, (QUERY_RETRIEVE_LEVEL,))
    return level


def is_supported(tag: int, level: Level, attributes: AttributeTable = STANDARD) -> bool:
    """Whether a key can be matched and returned at this level; an optional key that cannot turns FF00H into FF01H."""
    if tag in (RETRIEVE_AE_TITLE, INSTANCE_AVAILABILITY, QUERY_RETRIEVE_LEVEL):
        return True
    attribute = attributes.by_tag.get(tag)
    return attribute is not None and attribute.level.depth <= level.depth


def is_creator(tag: int) -> bool:
    """Whether this is the tag of a private creator (PS3.5 7.8.1): it defines other keys, and is not a key itself."""
    return bool(tag & 0x10000) and 0x10 <= tag & 0xFFFF <= 0xFF


def creators_of(tags: Iterable[int], attributes: AttributeTable) -> dict[int, list[str]]:
    """The private creators that an answer with these tags needs (PS3.5 7.8.1)."""
    private = [a for tag in tags if (a := attributes.by_tag.get(tag)) is not None and a.creator]
    return {attribute.creator_tag: [attribute.creator] for attribute in private}


def compile_query(
    identifier: Identifier,
    model: Model,
    partition: str,
    extended: Extended = BASIC,
    attributes: AttributeTable = STANDARD,
    *,
    strict: bool = True,
) -> Query:
    """The query of a C-FIND identifier. Keys that are not supported at the level, or by `attributes`, are left out.
    Raises `IdentifierError`; if not `strict`, no patient needs to be named (`lacks_patient`)."""
    level = level_of(identifier, model)
    if not extended.relational:
        levels = model.levels if strict else [level for level in model.levels if level is not Level.PATIENT]
        _check_unique_keys_above(identifier, levels, level)
    conditions: dict[int, Condition] = {}
    for tag in identifier.keys:
        attribute = attributes.by_tag.get(tag)
        # PS3.4 C.2.2.2.5: the zone defines the meaning of other keys, and is not matched itself.
        if attribute is None or attribute.level.depth > level.depth or tag == TIMEZONE_OFFSET_FROM_UTC:
            continue
        if attribute.creator and identifier.keys.get(attribute.creator_tag, [attribute.creator]) != [attribute.creator]:
            continue  # another creator's attribute with this number
        condition = condition_of(tag, attribute.vr, identifier, extended)
        if condition is not None:
            conditions[tag] = condition
    if extended.combined_date_time:
        combine(conditions, TIME_OF_DATE)
    return Query(partition, level, conditions, zone=_zone(identifier, extended), attributes=attributes)


def _zone(identifier: Identifier, extended: Extended) -> str:
    offsets = [value for value in identifier.keys.get(TIMEZONE_OFFSET_FROM_UTC, []) if value]
    if not extended.timezone or not offsets:
        return ""
    if len(offsets) > 1 or not is_offset(offsets[0]):
        _refuse(CANNOT_UNDERSTAND, TIMEZONE_OFFSET_FROM_UTC, "is no offset from utc")
    return offsets[0]


def condition_of(tag: int, vr: str, identifier: Identifier, extended: Extended = BASIC) -> Condition | None:
    """The condition of a key, under the negotiated extensions; None for universal matching. Raises
    `IdentifierError`."""
    if vr == "SQ":
        item = identifier.items.get(tag)
        return None if item is None else _of_item(item, extended)
    values = identifier.keys[tag]
    if extended.empty_values and values == [EMPTY] and vr != "UI":
        return Empty()
    if extended.fuzzy_names and vr == "PN":
        names = tuple(value for value in values if words_of(value))
        if names and any(len(value) > MAX_PATTERN for value in names):
            _refuse(CANNOT_UNDERSTAND, tag, "is too long")
        whole = any(set("".join(words_of(name))) <= {"*"} for name in names)
        return Fuzzy(names) if names and not whole else None
    texts = [value for value in values if value]
    if extended.multiple_values and len(texts) > 1 and vr in _MULTIPLE_VRS and _is_multiple(tag):
        if len(texts) > MAX_VALUES:
            _refuse(OUT_OF_RESOURCES, tag, "has too many values")
        each = [_condition(tag, vr, [value]) for value in texts]
        return MultipleValues(tuple(condition for condition in each if condition is not None)) if any(each) else None
    return _condition(tag, vr, values)


def _of_item(item: Identifier, extended: Extended) -> Condition | None:
    """C.2.2.2.6: the conditions that one item must meet; None if every item does."""
    conditions: dict[int, Condition] = {}
    for tag in item.keys:
        vr = vr_of(tag).decode("ascii")
        condition = condition_of(tag, vr, item, extended) if vr != "UN" else None
        if condition is not None:
            conditions[tag] = condition
    return Item(conditions) if conditions else None


@lru_cache(maxsize=256)
def _is_multiple(tag: int) -> bool:
    entry = entry_of(tag)
    return entry is not None and entry[1] != "1"


def compile_retrieve(identifier: Identifier, model: Model, partition: str, *, relational: bool = False) -> Query:
    """The query of a C-MOVE or C-GET identifier (PS3.4 C.4.2.2.1): unique keys only, the level's own one required."""
    level = level_of(identifier, model)
    if not relational:
        _check_unique_keys_above(identifier, model.levels, level)
    conditions: dict[int, Condition] = {}
    for above in model.levels[: model.levels.index(level) + 1]:
        tag = UNIQUE_KEYS[above]
        values = identifier.keys.get(tag, [])
        if above is not Level.PATIENT:
            condition = _condition(tag, "UI", values)
        else:
            # A patient is named exactly: a wildcard here would move the hospital.
            condition = Single(tuple(values)) if values else None
        if condition is not None:
            conditions[tag] = condition
    if UNIQUE_KEYS[level] not in conditions:
        _refuse(DATA_SET_DOES_NOT_MATCH_SOP_CLASS, UNIQUE_KEYS[level], "is missing")
    return Query(partition, level, conditions)


def lacks_patient(identifier: Identifier, model: Model) -> bool:
    """Whether a search below PATIENT names no patient, which PS3.4 C.4.1.2.1 asks for in the Patient Root. Many
    workstations search for studies like that, and no archive in the field refuses them."""
    below = model.levels[0] is Level.PATIENT and level_of(identifier, model) is not Level.PATIENT
    return below and not _is_named(identifier, Level.PATIENT)


def _is_named(identifier: Identifier, level: Level) -> bool:
    values = identifier.keys.get(UNIQUE_KEYS[level], [])
    return len(values) == 1 and bool(values[0]) and not set(values[0]) & set("*?")


def _check_unique_keys_above(identifier: Identifier, levels: Sequence[Level], level: Level) -> None:
    """C.4.1.2.1: hierarchical search names one entity, by a single value, on each level above."""
    for above in levels[: levels.index(level)] if level in levels else ():
        if not _is_named(identifier, above):
            _refuse(DATA_SET_DOES_NOT_MATCH_SOP_CLASS, UNIQUE_KEYS[above], "needs a single value here")


def _condition(tag: int, vr: str, values: list[str]) -> Condition | None:
    """The condition of one key; None for universal matching (C.2.2.2.3)."""
    texts = [value for value in values if value]
    if not texts or texts == ["*"]:
        return None
    if vr == "PN" and any(len(value) <= MAX_PATTERN and not key_groups(value) for value in texts):
        return None  # a name key without any component group matches every name
    if vr == "UI":
        return _uids(tag, texts)
    if len(texts) > MAX_VALUES:
        _refuse(OUT_OF_RESOURCES, tag, "has too many values")
    if vr in _MOMENT_VRS:
        return _moment(tag, vr, texts)
    if vr in _WILDCARD_VRS and any("*" in value or "?" in value for value in texts):
        if any(len(value) > MAX_PATTERN for value in texts):
            _refuse(CANNOT_UNDERSTAND, tag, "is too long")
        if any(not value.strip("*") for value in texts):
            return None
        return Wildcard(tuple(texts))
    return Single(tuple(texts))


def _uids(tag: int, uids: list[str]) -> Condition:
    if len(uids) > MAX_UIDS:
        _refuse(OUT_OF_RESOURCES, tag, f"has more than {MAX_UIDS} uids")
    if not all(is_uid(uid) for uid in uids):
        _refuse(CANNOT_UNDERSTAND, tag, "holds what is no uid")
    return Single((uids[0],)) if len(uids) == 1 else UidList(tuple(dict.fromkeys(uids)))


def _moment(tag: int, vr: str, values: list[str]) -> Condition | None:
    ends = dates.split_range(vr, values[0]) if len(values) == 1 else None
    for value in values if ends is None else [end for end in ends if end]:
        if dates.normal(vr, value) is None:
            _refuse(CANNOT_UNDERSTAND, tag, f"holds what is no {vr} value")
    if ends is None:
        return Single(tuple(values))
    return Range(ends[0] or None, ends[1] or None) if any(ends) else None


def combine(conditions: dict[int, Condition], time_of_date: Mapping[int, int]) -> None:
    """C.2.2.2.5: a range of dates and a range of times, by `time_of_date`, become a range of moments."""
    for date_tag, time_tag in time_of_date.items():
        date, time = conditions.get(date_tag), conditions.get(time_tag)
        if isinstance(date, Range) and isinstance(time, Range):
            conditions[date_tag] = Range(date.first, date.last, time_tag, time.first, time.last)
            del conditions[time_tag]


def _refuse(status: int, tag: int, problem: str) -> NoReturn:
    raise IdentifierError(status, f"{keyword_of(tag)} {problem}", (tag,))
