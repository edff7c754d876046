"""Parameters of a search for orders (pure).

?PatientID=4711&ScheduledProcedureStepStartDate=20260101-20260107&Modality=CT&state=SCHEDULED,ARRIVED&limit=50
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gantry.common.dicom.query.worklists import with_step_keys, worklist_conditions
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.orders import StepState
from gantry.common.orders.questions import StepQuery
from gantry.common.web.errors import HttpProblem

MOST = 1000
"""Most orders in one answer."""
_MOST_OFFSET = 100_000
_LONGEST = 1024
_OF_ORDER = frozenset(
    [
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "PatientBirthDate",
        "PatientSex",
        "AccessionNumber",
        "StudyInstanceUID",
        "RequestedProcedureID",
        "RequestedProcedureDescription",
        "ReferringPhysicianName",
        "RequestingPhysician",
        "AdmissionID",
        "PlacerOrderNumberImagingServiceRequest",
        "FillerOrderNumberImagingServiceRequest",
    ]
)
_OF_STEP = frozenset(
    [
        "Modality",
        "ScheduledStationAETitle",
        "ScheduledStationName",
        "ScheduledProcedureStepStartDate",
        "ScheduledProcedureStepStartTime",
        "ScheduledPerformingPhysicianName",
        "ScheduledProcedureStepID",
        "ScheduledProcedureStepLocation",
        "ScheduledProcedureStepDescription",
    ]
)


@dataclass(frozen=True, slots=True)
class OrderSearch:
    """A search: the conditions for steps, and which part of the orders with a matching step is wanted."""

    query: StepQuery
    limit: int = MOST
    offset: int = 0


def order_search(parameters: Iterable[tuple[str, str]]) -> OrderSearch:
    """The search that a request asks for. Raises `HttpProblem` 400, and `IdentifierError` for values that cannot be
    matched."""
    keys: dict[int, list[str]] = {}
    of_step: dict[int, list[str]] = {}
    states, limit, offset = frozenset(StepState), MOST, 0
    for name, value in parameters:
        if len(value) > _LONGEST:
            raise HttpProblem(400, f"{name[:64]!a} is longer than {_LONGEST} characters")
        if name == "state":
            states = _states(value)
        elif name == "limit":
            limit = min(_number(name, value), MOST)
        elif name == "offset":
            offset = _number(name, value)
        elif name in _OF_ORDER:
            keys.setdefault(TAGS[name], []).extend(value.split("\\"))
        elif name in _OF_STEP:
            of_step.setdefault(TAGS[name], []).extend(value.split("\\"))
        else:
            raise HttpProblem(400, f"{name[:64]!a} is not a parameter of orders: docs/orders.md names them")
    if offset > _MOST_OFFSET:
        raise HttpProblem(400, f"offset is more than {_MOST_OFFSET}: ask for a range of dates")
    conditions = worklist_conditions(with_step_keys(keys, of_step))
    # An order without steps has no state: a search by state excludes it.
    whole = len(states) == len(StepState)
    return OrderSearch(StepQuery(DEFAULT_PARTITION, conditions, states, orders=whole), limit, offset)


def _states(value: str) -> frozenset[StepState]:
    try:
        return frozenset(StepState(part.strip()) for part in value.split(",") if part.strip())
    except ValueError:
        raise HttpProblem(400, f"state is a list of {', '.join(StepState)}") from None


def _number(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise HttpProblem(400, f"{name} is no number")
    return int(value)
