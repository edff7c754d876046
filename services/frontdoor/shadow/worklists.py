"""Finds the differences between two answers to a worklist query (PS3.4 K.4.1.1.3.1). Pure.

A match is one scheduled procedure step; its sequence has one item, whose attributes are compared like those outside it.
Matches of two archives are the same step if they have the same Scheduled Procedure Step ID and the same Study Instance
UID; if a match has no Study Instance UID, the Accession Number is used instead.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from gantry.common.dicom.model.json_writing import Attributes
from gantry.services.frontdoor.shadow.comparing import (
    AnswerDifference,
    FindAnswer,
    Steps,
    compare_sets,
    compare_statuses,
)

_STEPS = "00400100"
_STEP_ID, _STUDY, _ACCESSION = "00400009", "0020000D", "00080050"


def compare_worklists(
    question: Attributes, gantry: FindAnswer, other: FindAnswer, may_differ: Collection[str]
) -> Steps[list[AnswerDifference]]:
    """Compare two answers to a worklist query by the requested attributes, also within sequences. Raises
    `NotUnderstood`."""
    keys = dict(_flat(question))
    whole = _STEPS in question and not any(_items(question))
    sides: list[list[Attributes]] = []
    for answer in (gantry, other):
        side: list[Attributes] = []
        for match in answer.matches:
            if whole:  # a sequence without keys requests all of its attributes
                keys.update({tag: {} for item in _items(match) for tag in item})
            side.append(_flat(match))
            yield
        sides.append(side)
    sides = [[_requested_attributes(match, keys, may_differ) for match in side] for side in sides]
    yield
    key = _key([*sides[0], *sides[1]])
    sets = yield from compare_sets(key, keys.keys() - set(may_differ), *sides)
    return [*compare_statuses(gantry.status, other.status), *sets]


def _key(matches: Iterable[Attributes]) -> tuple[str, ...]:
    """The attributes that identify a step."""
    matches = list(matches)
    tags = [_STEP_ID] if _all_have(matches, _STEP_ID) else []
    tags += [next((tag for tag in (_STUDY, _ACCESSION) if _all_have(matches, tag)), "")]
    return tuple(tag for tag in tags if tag)


def _all_have(matches: list[Attributes], tag: str) -> bool:
    return all(any(str(value).strip(" \0") for value in match.get(tag, {}).get("Value") or ()) for match in matches)


def _flat(attributes: Attributes) -> Attributes:
    """The attributes of a match, with those of its step at the same level."""
    steps = _items(attributes)
    if len(steps) != 1:
        return attributes
    outside = {tag: attribute for tag, attribute in attributes.items() if tag != _STEPS}
    return {**steps[0], **outside}


def _items(attributes: Attributes) -> list[Mapping[str, Any]]:
    return [item for item in attributes.get(_STEPS, {}).get("Value") or () if isinstance(item, dict)]


def _requested_attributes(match: Mapping[str, Any], keys: Mapping[str, Any], may_differ: Collection[str]) -> Attributes:
    """The requested attributes of a match. An item without attributes requests all."""
    attributes: dict[str, Any] = {}
    for tag, attribute in match.items():
        if tag not in keys or tag in may_differ:
            continue
        items: list[Any] = list(keys[tag].get("Value") or [])
        values: list[Any] = list(attribute.get("Value") or [])
        if items and isinstance(items[0], dict) and items[0] and all(isinstance(value, dict) for value in values):
            attribute = {**attribute, "Value": [_requested_attributes(value, items[0], may_differ) for value in values]}
        attributes[tag] = attribute
    return attributes
