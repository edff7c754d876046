"""Identifiers of the Modality Worklist become conditions (PS3.4 K.4.1.1, K.6.1.2, pure)."""

from __future__ import annotations

from collections.abc import Mapping

from gantry.common.dicom.query.identifiers import Identifier
from gantry.common.dicom.query.matching import Condition, Item, Range
from gantry.common.dicom.query.queries import combine, condition_of
from gantry.common.dicom.standard.tags import (
    QUERY_RETRIEVE_LEVEL,
    SCHEDULED_PROCEDURE_STEP_SEQUENCE,
    SCHEDULED_PROCEDURE_STEP_START_DATE,
    SCHEDULED_PROCEDURE_STEP_START_TIME,
    SPECIFIC_CHARACTER_SET,
    TIMEZONE_OFFSET_FROM_UTC,
)
from gantry.common.dicom.standard.vrs import vr_of

# PS3.4 table K.6-1: start date and start time are one moment, without negotiation.
_START = {SCHEDULED_PROCEDURE_STEP_START_DATE: SCHEDULED_PROCEDURE_STEP_START_TIME}
_NUMBERS = frozenset((b"US", b"SS", b"UL", b"SL", b"UV", b"SV", b"FL", b"FD"))
_NOT_MATCHED = frozenset((SPECIFIC_CHARACTER_SET, TIMEZONE_OFFSET_FROM_UTC, QUERY_RETRIEVE_LEVEL))
"""The latter has no meaning here, and some peers send it with every request."""


def worklist_conditions(identifier: Identifier) -> dict[int, Condition]:
    """The conditions of a worklist request: every key whose VR is known can be matched, those of a scheduled step by
    sequence matching. Raises `IdentifierError`."""
    conditions = {
        tag: condition
        for tag in identifier.keys
        if is_known(tag) and tag not in _NOT_MATCHED and not _is_filler(tag, identifier)
        if (condition := condition_of(tag, vr_of(tag).decode("ascii"), identifier)) is not None
    }
    step = conditions.get(SCHEDULED_PROCEDURE_STEP_SEQUENCE)
    if isinstance(step, Item):
        of_step = dict(step.conditions)
        combine(of_step, _START)
        if _is_whole_day(of_step.get(SCHEDULED_PROCEDURE_STEP_START_TIME)):
            # Otherwise a step with a date but no time would be missing from every list of today.
            del of_step[SCHEDULED_PROCEDURE_STEP_START_TIME]
        conditions[SCHEDULED_PROCEDURE_STEP_SEQUENCE] = Item(of_step)
        if not of_step:
            del conditions[SCHEDULED_PROCEDURE_STEP_SEQUENCE]
    return conditions


def _is_whole_day(condition: Condition | None) -> bool:
    """Whether a range of times covers the whole day."""
    return (
        isinstance(condition, Range)
        and not (condition.first or "").strip("0:.")
        and (not condition.last or condition.last.replace(":", "").startswith("2359"))
    )


def _is_filler(tag: int, identifier: Identifier) -> bool:
    """Whether a binary number is 0. Modalities send that for universal matching, since their library has no empty
    numbers (dcmjs-dimse: Pregnancy Status); no worklist attribute gives it a meaning."""
    values = identifier.keys[tag]
    return vr_of(tag) in _NUMBERS and bool(values) and all(value in ("0", "0.0") for value in values)


def is_known(tag: int) -> bool:
    """Whether a key can be matched and returned: only if it is in the dictionary."""
    return vr_of(tag) != b"UN"


def all_known(identifier: Identifier) -> bool:
    """Whether all keys of a request can be matched and returned (FF00H), or not (FF01H, PS3.4 K.4.1.1.4)."""
    return all(map(is_known, identifier.keys)) and all(map(all_known, identifier.items.values()))


def with_step_keys(keys: Mapping[int, list[str]], of_step: Mapping[int, list[str]]) -> Identifier:
    """The identifier of these keys, and those of the scheduled step."""
    if not of_step:
        return Identifier(keys)
    step = {SCHEDULED_PROCEDURE_STEP_SEQUENCE: Identifier(of_step)}
    return Identifier({**keys, SCHEDULED_PROCEDURE_STEP_SEQUENCE: []}, items=step)
