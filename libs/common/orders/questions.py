"""What can be asked of scheduled steps, and by which columns an index may narrow it (pure). The matcher of
`gantry.common.dicom.query` decides on what is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gantry.common.dicom.query import dates
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Condition, Item, Predicate, Query, Range, Single, Wildcard, matcher
from gantry.common.dicom.query.person_names import fold_name, key_groups
from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    REQUESTED_PROCEDURE_ID,
    SCHEDULED_PROCEDURE_STEP_SEQUENCE,
    SCHEDULED_PROCEDURE_STEP_START_DATE,
    SCHEDULED_PROCEDURE_STEP_START_TIME,
    SCHEDULED_PROCEDURE_STEP_STATUS,
    SCHEDULED_STATION_AE_TITLE,
    STUDY_INSTANCE_UID,
)
from gantry.common.orders.model import Attributes, first
from gantry.common.orders.states import IDLE, StepState

_COLUMNS = {
    PATIENT_ID: "patient",
    ACCESSION_NUMBER: "accession",
    REQUESTED_PROCEDURE_ID: "procedure",
    STUDY_INSTANCE_UID: "study",
}
_LATEST = "~"
"""Behind every digit."""


@dataclass(frozen=True, slots=True)
class ListedStep:
    """A scheduled step with its order's attributes, and the state that it is in."""

    order: str
    attributes: Attributes
    step: Attributes
    state: StepState

    @property
    def document(self) -> dict[int, list[object]]:
        """One worklist item (PS3.4 K.6.1.2.2): the order's attributes with this step alone."""
        step = {**self.step, SCHEDULED_PROCEDURE_STEP_STATUS: [self.state.value]} if self.step else {}
        return {**self.attributes, SCHEDULED_PROCEDURE_STEP_SEQUENCE: [step] if step else []}


@dataclass(frozen=True, slots=True)
class StepQuery:
    """Conditions on worklist items, those on the step within Scheduled Procedure Step Sequence. Steps in other `states`
    are left out; so are idle ones that should have begun before the day `idle_since`, YYYYMMDD, and steps of other
    stations than `station`, where these are given. Orders without steps are there with `orders` only."""

    partition: str
    conditions: Mapping[int, Condition] = field(default_factory=dict)
    states: frozenset[StepState] = frozenset(StepState)
    idle_since: str = ""
    station: str = ""
    orders: bool = False

    @property
    def of_step(self) -> Mapping[int, Condition]:
        """The conditions on the step."""
        item = self.conditions.get(SCHEDULED_PROCEDURE_STEP_SEQUENCE)
        return item.conditions if isinstance(item, Item) else {}

    def predicate(self) -> Predicate:
        """Whether the document of a listed step has what the conditions ask for."""
        return matcher(Query(self.partition, Level.IMAGE, self.conditions))

    def is_stale(self, state: StepState, start: str) -> bool:
        """Whether a step that was to begin at `start` (`start_of`) is not expected any more."""
        return bool(self.idle_since) and state in IDLE and bool(start) and start[:8] < self.idle_since


@dataclass(frozen=True, slots=True)
class OrderNarrowing:
    """What an index may look for: everything that can match is among it. `columns` have one of some values; starts are
    from `earliest` to `latest`; `stations` are any of these titles, all where there are none; a folded name begins with
    `name`, unless it has several component groups."""

    columns: Mapping[str, tuple[str, ...]]
    stations: tuple[str, ...] = ()
    earliest: str = ""
    latest: str = _LATEST
    name: str = ""


def narrowing_of(query: StepQuery) -> OrderNarrowing:
    """The narrowing of a query."""
    columns = {
        name: condition.values
        for tag, name in _COLUMNS.items()
        if isinstance(condition := query.conditions.get(tag), Single)
    }
    of_step = query.of_step
    if isinstance(modality := of_step.get(MODALITY), Single):
        columns["modality"] = modality.values
    stations = of_step.get(SCHEDULED_STATION_AE_TITLE)
    wanted = stations.values if isinstance(stations, Single) else ()
    if query.station:
        wanted = (query.station,)
    earliest, latest = _days(of_step.get(SCHEDULED_PROCEDURE_STEP_START_DATE))
    return OrderNarrowing(columns, wanted, earliest, latest, _beginning(query.conditions.get(PATIENT_NAME)))


def _days(condition: Condition | None) -> tuple[str, str]:
    if isinstance(condition, Range):
        first_day = dates.date(condition.first) if condition.first else ""
        last_day = dates.date(condition.last) if condition.last else ""
        return first_day or "", f"{last_day or ''}{_LATEST}"
    if isinstance(condition, Single) and len(condition.values) == 1 and (day := dates.date(condition.values[0])):
        return day, day + _LATEST
    return "", _LATEST


def _beginning(condition: Condition | None) -> str:
    """What a name begins with that is asked for by one component group."""
    if not isinstance(condition, Single | Wildcard):
        return ""
    patterns = condition.values if isinstance(condition, Single) else condition.patterns
    groups = key_groups(patterns[0]) if len(patterns) == 1 else ()
    return groups[0].partition("*")[0].partition("?")[0] if len(groups) == 1 else ""


def start_of(step: Attributes) -> str:
    """When a step is to begin, as digits that compare as the moments do; "" where no date says it."""
    day = dates.date(first(step, SCHEDULED_PROCEDURE_STEP_START_DATE))
    return day + (dates.time(first(step, SCHEDULED_PROCEDURE_STEP_START_TIME)) or "") if day else ""


def name_of(attributes: Attributes) -> str:
    """The patient's name as `OrderNarrowing.name` looks for it: folded, "" for one of several component groups."""
    name = fold_name(first(attributes, PATIENT_NAME))
    return "" if "=" in name else name
