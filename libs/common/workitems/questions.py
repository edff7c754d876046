"""What can be asked of workitems, and by which columns an index may narrow it (pure). The matcher of
`gantry.common.dicom.query` decides on what is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gantry.common.dicom.query import dates
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.identifiers import Identifier
from gantry.common.dicom.query.matching import Condition, Predicate, Query, Range, Single, UidList, matcher
from gantry.common.dicom.query.queries import BASIC, Extended, condition_of
from gantry.common.dicom.query.worklists import is_known
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.tags import (
    PATIENT_ID,
    QUERY_RETRIEVE_LEVEL,
    SOP_INSTANCE_UID,
    SPECIFIC_CHARACTER_SET,
    TIMEZONE_OFFSET_FROM_UTC,
)
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.orders import first
from gantry.common.workitems.model import PROCEDURE_STEP_STATE, TRANSACTION_UID, WORKLIST_LABEL, Attributes

START = TAGS["ScheduledProcedureStepStartDateTime"]
_COLUMNS = {SOP_INSTANCE_UID: "uid", PROCEDURE_STEP_STATE: "state", PATIENT_ID: "patient", WORKLIST_LABEL: "label"}
# The Transaction UID is nobody's to ask for: whoever could match it would find it out.
_NOT_MATCHED = frozenset((SPECIFIC_CHARACTER_SET, TIMEZONE_OFFSET_FROM_UTC, QUERY_RETRIEVE_LEVEL, TRANSACTION_UID))
_LATEST = "~"
"""Behind every digit."""


@dataclass(frozen=True, slots=True)
class WorkitemQuery:
    """Conditions on workitems, by tag."""

    partition: str
    conditions: Mapping[int, Condition] = field(default_factory=dict)

    def predicate(self) -> Predicate:
        """Whether the document of a workitem has what the conditions ask for."""
        return matcher(Query(self.partition, Level.IMAGE, self.conditions))


@dataclass(frozen=True, slots=True)
class WorkitemNarrowing:
    """What an index may look for: everything that can match is among it. `columns` have one of some values; days of
    start are from `earliest` to `latest`."""

    columns: Mapping[str, tuple[str, ...]]
    earliest: str = ""
    latest: str = _LATEST


def workitem_conditions(identifier: Identifier, extended: Extended = BASIC) -> dict[int, Condition]:
    """The conditions of a request: every key whose VR is known can be matched, those in sequences by sequence matching
    (PS3.4 CC.2.8). Raises `IdentifierError`."""
    return {
        tag: condition
        for tag in identifier.keys
        if is_known(tag) and tag not in _NOT_MATCHED
        if (condition := condition_of(tag, vr_of(tag).decode("ascii"), identifier, extended)) is not None
    }


def narrowing_of(query: WorkitemQuery) -> WorkitemNarrowing:
    """The narrowing of a query."""
    columns: dict[str, tuple[str, ...]] = {}
    for tag, name in _COLUMNS.items():
        condition = query.conditions.get(tag)
        if isinstance(condition, Single):
            columns[name] = condition.values
        elif isinstance(condition, UidList):
            columns[name] = condition.uids
    return WorkitemNarrowing(columns, *_days(query.conditions.get(START)))


def _days(condition: Condition | None) -> tuple[str, str]:
    """A day more on both sides: a moment may be given in another zone than it is asked for."""
    if not isinstance(condition, Range):
        return "", _LATEST
    earliest = dates.day_beside((condition.first or "")[:8], -1)
    latest = dates.day_beside((condition.last or "")[:8], 1)
    return earliest or "", f"{latest or ''}{_LATEST}"


def start_of(attributes: Attributes) -> str:
    """When a workitem is to begin, as text that sorts as the days do; "" where it does not say so."""
    text = first(attributes, START)
    return text if dates.date(text[:8]) else ""
