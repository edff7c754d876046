"""Search parameters of ServiceRequest (https://hl7.org/fhir/R4/servicerequest.html) as conditions on orders. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gantry.common.dicom.query.matching import Condition, Item, Range, Single
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    FILLER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST,
    SCHEDULED_PROCEDURE_STEP_SEQUENCE,
    SCHEDULED_PROCEDURE_STEP_START_DATE,
)
from gantry.common.errors import NotUnderstood
from gantry.common.fhir.identifiers import Systems, order_of
from gantry.common.fhir.parameters import patient, patient_identifier, tokens
from gantry.common.fhir.searches import MOST, USUAL, days, number

STATUSES = ("active", "completed", "revoked")
MOST_OFFSET = 100_000
_NUMBERS = (
    ACCESSION_NUMBER,
    FILLER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST,
    TAGS["PlacerOrderNumberImagingServiceRequest"],
)
PARAMETERS: Sequence[tuple[str, str]] = (
    ("_id", "token"),
    ("identifier", "token"),
    ("patient", "reference"),
    ("subject", "reference"),
    ("status", "token"),
    ("occurrence", "date"),
)
"""Names and types, as the capability statement says them."""


@dataclass(slots=True)
class FhirOrderSearch:
    """What is asked for: orders that meet `conditions` and, where these are given, have one of `numbers` and one of
    `keys`. `nothing`: none can match."""

    conditions: dict[int, Condition] = field(default_factory=dict)
    numbers: tuple[str, ...] = ()
    keys: tuple[str, ...] | None = None
    statuses: frozenset[str] = frozenset(STATUSES)
    nothing: bool = False
    count: int = USUAL
    offset: int = 0
    used: list[tuple[str, str]] = field(default_factory=list)

    @property
    def alternatives(self) -> list[dict[int, Condition]]:
        """Conditions of which an order is to meet one set: each of its numbers may be the one that was asked for."""
        if not self.numbers:
            return [self.conditions]
        return [{**self.conditions, tag: Single(self.numbers)} for tag in _NUMBERS]

    def require(self, tag: int, condition: Condition) -> None:
        """Another condition; two that differ on one attribute match nothing."""
        self.nothing |= self.conditions.setdefault(tag, condition) != condition


def order_search_of(
    parameters: Sequence[tuple[str, str]], systems: Systems, *, strict: bool = False
) -> FhirOrderSearch:
    """A search for `ServiceRequest`. What is not known is ignored, or with `strict` refused (R4 3.1.1.3). Raises
    `NotUnderstood`."""
    search = FhirOrderSearch()
    for name, value in parameters:
        reader = _READERS.get(name)
        if reader is not None:
            reader(search, value, systems)
            search.used.append((name, value))
        elif strict and name not in ("_format", "_pretty"):
            raise NotUnderstood(f"{name[:64]!a} is no search parameter here")
    return search


def _id(search: FhirOrderSearch, value: str, _: Systems) -> None:
    keys = tuple(key for _, code in tokens(value) if (key := order_of(code)))
    search.nothing |= not keys
    search.keys = keys if search.keys is None else tuple(key for key in search.keys if key in keys)


def _identifier(search: FhirOrderSearch, value: str, _: Systems) -> None:
    numbers = tuple(code for _, code in tokens(value))
    search.nothing |= bool(search.numbers) and search.numbers != numbers
    search.numbers = numbers


def _status(search: FhirOrderSearch, value: str, _: Systems) -> None:
    search.statuses &= frozenset(code for _, code in tokens(value))
    search.nothing |= not search.statuses


def _occurrence(search: FhirOrderSearch, value: str, _: Systems) -> None:
    step = search.conditions.get(SCHEDULED_PROCEDURE_STEP_SEQUENCE)
    before = step.conditions.get(SCHEDULED_PROCEDURE_STEP_START_DATE) if isinstance(step, Item) else None
    period = days("occurrence", value)
    if isinstance(before, Range):
        first = max(before.first or "", period.first or "") or None
        last = min(filter(None, (before.last, period.last)), default=None)
        search.nothing |= bool(first and last and first > last)
        period = Range(first, last)
    search.conditions[SCHEDULED_PROCEDURE_STEP_SEQUENCE] = Item({SCHEDULED_PROCEDURE_STEP_START_DATE: period})


def _count(search: FhirOrderSearch, value: str, _: Systems) -> None:
    search.count = min(number("_count", value), MOST)


def _cursor(search: FhirOrderSearch, value: str, _: Systems) -> None:
    search.offset = number("_cursor", value)
    if search.offset > MOST_OFFSET:
        raise NotUnderstood(f"_cursor is beyond {MOST_OFFSET}: ask for a range of occurrence")


_READERS: Mapping[str, Callable[[FhirOrderSearch, str, Systems], None]] = {
    "_id": _id,
    "identifier": _identifier,
    "patient": patient,
    "subject": patient,
    "patient.identifier": patient_identifier,
    "patient:identifier": patient_identifier,
    "subject:identifier": patient_identifier,
    "status": _status,
    "occurrence": _occurrence,
    "_count": _count,
    "_cursor": _cursor,
}
