"""Search parameters of FHIR R4 (https://hl7.org/fhir/R4/search.html) as conditions of a query. Pure."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.dates import day_beside
from gantry.common.dicom.query.matching import Condition, Query, Range, Single
from gantry.common.dicom.query.ordering import Order, SortKey
from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    ISSUER_OF_PATIENT_ID,
    MODALITIES_IN_STUDY,
    PATIENT_ID,
    STUDY_DATE,
    STUDY_INSTANCE_UID,
    STUDY_TIME,
)
from gantry.common.errors import NotUnderstood
from gantry.common.fhir.identifiers import DICOM_UID, OID, Systems, names_record
from gantry.common.fhir.parameters import patient, patient_identifier, tokens
from gantry.common.ids import DEFAULT_PARTITION, is_uid

MOST = 500
"""Resources of one page; the rest are reached by its link `next`."""
USUAL = 50
DICOM_CODES = "http://dicom.nema.org/resources/ontology/DCM"
NEWEST_FIRST: Order = (SortKey(STUDY_DATE, True), SortKey(STUDY_TIME, True))
_DATE = re.compile(r"(eq|ge|le|gt|lt|sa|eb)?(\d{4})(?:-(\d\d)(?:-(\d\d))?)?")
_SORTS: Mapping[str, Order] = {
    "-started": NEWEST_FIRST,
    "started": (SortKey(STUDY_DATE, False), SortKey(STUDY_TIME, False)),
}
_COMMON = frozenset(("_id", "_count", "_total", "_summary", "_format", "_cursor", "_sort", "_include", "_pretty"))


@dataclass(slots=True)
class FhirSearch:
    """What is asked for. `query` is None where nothing can match; `used` are the parameters that count."""

    level: Level
    conditions: dict[int, Condition] = field(default_factory=dict)
    nothing: bool = False
    count: int = USUAL
    only_total: bool = False
    with_total: bool = False
    with_patients: bool = False
    cursor: str = ""
    order: Order = ()
    used: list[tuple[str, str]] = field(default_factory=list)
    record: str = ""
    """The URL of the Patient of a health record for whom it is asked, and who he is here."""
    patients: tuple[tuple[str, str], ...] = ()
    one_of: list[Mapping[int, Condition]] = field(default_factory=list)

    @property
    def query(self) -> Query | None:
        """The query; None where nothing can match."""
        if self.nothing:
            return None
        return Query(DEFAULT_PARTITION, self.level, self.conditions, order=self.order, one_of=tuple(self.one_of))

    def require(self, tag: int, condition: Condition) -> None:
        """Another condition. Both hold; of two on one attribute only the same one is understood."""
        before = self.conditions.setdefault(tag, condition)
        if before == condition:
            return
        if isinstance(before, Single) and isinstance(condition, Single):
            both = tuple(value for value in before.values if value in condition.values)
            self.conditions[tag] = Single(both or before.values)
            self.nothing |= not both
        elif isinstance(before, Range) and isinstance(condition, Range):
            first, last = max(before.first or "", condition.first or ""), _earlier(before.last, condition.last)
            self.conditions[tag] = Range(first or None, last)
            self.nothing |= bool(first and last and first > last)
        else:
            self.nothing = True


def search_of(
    resource: str,
    parameters: Sequence[tuple[str, str]],
    systems: Systems,
    *,
    strict: bool = False,
    record: str = "",
    patients: tuple[tuple[str, str], ...] = (),
) -> FhirSearch:
    """A search for `ImagingStudy` or `Patient`. What is not known is ignored, or with `strict` refused (R4 3.1.1.3).
    `record` is the URL of a Patient of a health record, who may be named by it as well, and `patients` who he is here.
    Raises `NotUnderstood`."""
    studies = resource == "ImagingStudy"
    level, order = (Level.STUDY, NEWEST_FIRST) if studies else (Level.PATIENT, ())
    search = FhirSearch(level, order=order, record=record, patients=patients)
    readers = _STUDIES if studies else _PATIENTS
    for name, value in parameters:
        if name in _COMMON:
            known = _common(search, name, value, readers, systems)
        else:
            known = name in readers
            if known:
                readers[name](search, value, systems)
        if known:
            search.used.append((name, value))
        elif strict:
            raise NotUnderstood(f"{name[:64]!a} is no search parameter here")
    return search


def _common(search: FhirSearch, name: str, value: str, readers: Mapping[str, _Reader], systems: Systems) -> bool:
    if name == "_id":
        readers["_id"](search, value, systems)
    elif name == "_count":
        search.count = min(number(name, value), MOST)
        search.only_total = search.only_total or not search.count
    elif name == "_summary":
        if value not in ("count", "false"):
            return False
        search.only_total = value == "count"
    elif name == "_total":
        search.with_total = value == "accurate"
    elif name == "_cursor":
        search.cursor = value
    elif name == "_sort":
        if search.level is not Level.STUDY or value not in _SORTS:
            return False
        search.order = _SORTS[value]
    elif name == "_include":
        if (search.level, value) != (Level.STUDY, "ImagingStudy:subject"):
            return False
        search.with_patients = True
    return True


def number(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise NotUnderstood(f"{name} is no number")
    return int(value)


def _uid(search: FhirSearch, value: str, _: Systems) -> None:
    uids = [code for _, code in tokens(value) if is_uid(code)]
    search.nothing |= not uids
    if uids:
        search.require(STUDY_INSTANCE_UID, Single(tuple(uids)))


def _patient(search: FhirSearch, value: str, systems: Systems) -> None:
    """A reference to one Patient: by the id that he has here, or in the health record that the caller comes from."""
    if not names_record(value, search.record):
        patient(search, value, systems)
        return
    search.nothing |= not search.patients
    search.one_of = [
        {PATIENT_ID: Single((patient_id,)), **({ISSUER_OF_PATIENT_ID: Single((issuer,))} if issuer else {})}
        for patient_id, issuer in search.patients
    ]


def _identifier(search: FhirSearch, value: str, _: Systems) -> None:
    """The Study Instance UID as `urn:oid:UID`, or an Accession Number."""
    uids, numbers = [], []
    for system, code in tokens(value):
        if system == DICOM_UID or (system is None and code.startswith(OID)):
            uids.append(code.removeprefix(OID))
        else:
            numbers.append(code)
    if uids and numbers:
        raise NotUnderstood("either UIDs or accession numbers, not both in one list")
    if uids:
        _uid(search, ",".join(uids), Systems())
    else:
        search.require(ACCESSION_NUMBER, Single(tuple(numbers)))


def _modality(search: FhirSearch, value: str, _: Systems) -> None:
    codes = tuple(code for system, code in tokens(value) if system in (None, DICOM_CODES))
    search.nothing |= not codes
    if codes:
        search.require(MODALITIES_IN_STUDY, Single(codes))


def _started(search: FhirSearch, value: str, _: Systems) -> None:
    search.require(STUDY_DATE, days("started", value))


def days(name: str, value: str) -> Range:
    """The days that a parameter asks for, `ge2026-01-31`. Raises `NotUnderstood`."""
    match = _DATE.fullmatch(value)
    if match is None:
        raise NotUnderstood(f"{name} is a date, as ge2026-01-31: no time, and none of ne, ap")
    prefix, first, last = match[1] or "eq", *_days(name, match[2], match[3], match[4])
    before, after = _beside(first, -1), _beside(last, 1)
    ranges: Mapping[str, Range] = {
        "eq": Range(first, last),
        "ge": Range(first, None),
        "le": Range(None, last),
        **dict.fromkeys(("gt", "sa"), Range(after, None)),
        **dict.fromkeys(("lt", "eb"), Range(None, before)),
    }
    return ranges[prefix]


def _days(name: str, year: str, month: str | None, day: str | None) -> tuple[str, str]:
    """The first and the last day of a year, a month or a day."""
    try:
        last = day or calendar.monthrange(int(year), int(month or "12"))[1]
        if day and not 1 <= int(day) <= calendar.monthrange(int(year), int(month or "1"))[1]:
            raise ValueError
    except (ValueError, calendar.IllegalMonthError):
        raise NotUnderstood(f"{name} is no date that there is") from None
    return f"{year}{month or '01'}{day or '01'}", f"{year}{month or '12'}{last}"


def _beside(day: str, days: int) -> str:
    return day_beside(day, days) or day


def _earlier(bound: str | None, other: str | None) -> str | None:
    return min(bound, other) if bound and other else bound or other


_Reader = Callable[[FhirSearch, str, Systems], None]
_STUDIES: Mapping[str, _Reader] = {
    "_id": _uid,
    "identifier": _identifier,
    "patient": _patient,
    "subject": _patient,
    "patient.identifier": patient_identifier,
    "patient:identifier": patient_identifier,
    "subject:identifier": patient_identifier,
    "modality": _modality,
    "started": _started,
}
_PATIENTS: Mapping[str, _Reader] = {"_id": patient, "identifier": patient_identifier}
PARAMETERS: Mapping[str, Sequence[tuple[str, str]]] = {
    "ImagingStudy": (
        ("_id", "token"),
        ("identifier", "token"),
        ("patient", "reference"),
        ("subject", "reference"),
        ("modality", "token"),
        ("started", "date"),
    ),
    "Patient": (("_id", "token"), ("identifier", "token")),
}
"""Names and types, as the capability statement says them."""
