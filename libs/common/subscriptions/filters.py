"""Which studies a subscription is about: filters of the topic, `ImagingStudy?patient=…&modality=…`, as a search. Pure.

They are written as searches of ImagingStudy (docs/fhir.md), and all of them hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl

from gantry.common.access import Facts
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import NotUnderstood
from gantry.common.fhir.identifiers import Systems
from gantry.common.fhir.searches import FhirSearch, search_of
from gantry.common.ids import DEFAULT_PARTITION

RESOURCE = "ImagingStudy"
PARAMETERS = ("patient", "subject", "patient.identifier", "patient:identifier", "subject:identifier", "modality")
MOST_FILTERS, LONGEST_FILTER = 10, 1024
_REFERENCES = frozenset(("patient", "subject"))


def search_of_filters(filters: Iterable[str], systems: Systems, facts: Facts, base: str) -> FhirSearch:
    """What the filters ask for; `base` is the URL of FHIR here, which a reference may begin with, and `facts` are of
    whoever asks: an app of a health record names its patient as that does. Raises `NotUnderstood`."""
    parameters: list[tuple[str, str]] = []
    for text in filters:
        if len(text) > LONGEST_FILTER:
            raise NotUnderstood(f"a filter has at most {LONGEST_FILTER} characters")
        resource, _, query = text.partition("?")
        if resource != RESOURCE or not query:
            raise NotUnderstood(f"a filter is {RESOURCE}?NAME=VALUE")
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=MOST_FILTERS)
        except ValueError:
            raise NotUnderstood(f"a filter is {RESOURCE}?NAME=VALUE, with & between at most {MOST_FILTERS}") from None
        for name, value in pairs:
            if name not in PARAMETERS:
                raise NotUnderstood(f"{name[:64]!a} is no filter of this topic: there are {', '.join(PARAMETERS)}")
            parameters.append((name, value.removeprefix(f"{base}/") if name in _REFERENCES else value))
    return search_of(RESOURCE, parameters, systems, strict=True, record=facts.record, patients=facts.patients)


def question_of(search: FhirSearch, study: str) -> Query | None:
    """Whether a study is one of those; None where none can be."""
    query = search.query
    if query is None:
        return None
    conditions = {**query.conditions, STUDY_INSTANCE_UID: Single((study,))}
    return Query(DEFAULT_PARTITION, query.level, conditions, limit=1, one_of=query.one_of)
