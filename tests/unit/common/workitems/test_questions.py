"""`gantry.common.workitems.questions`: every workitem that matches is among what the narrowing leaves."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as some

from gantry.common.dicom.query.identifiers import Identifier
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.workitems import Workitem, WorkitemQuery, WorkitemState
from gantry.common.workitems.questions import START, narrowing_of, start_of, workitem_conditions
from tests.support.workitems import code, workitem


def query(items: dict[str, Identifier] | None = None, **keys: str) -> WorkitemQuery:
    given_items = {TAGS[name]: item for name, item in (items or {}).items()}
    tags = {TAGS[name]: value.split("\\") for name, value in keys.items()} | {tag: [] for tag in given_items}
    return WorkitemQuery("default", workitem_conditions(Identifier(tags, items=given_items)))


def matches(question: WorkitemQuery, **values: object) -> bool:
    made = Workitem("default", "1.2", WorkitemState.SCHEDULED, workitem(**values))
    return question.predicate()(made.document)


def test_state_patient_label_and_uid_narrow() -> None:
    question = query(
        ProcedureStepState="SCHEDULED\\IN PROGRESS", PatientID="P1", WorklistLabel="LIVER", SOPInstanceUID="1.2"
    )
    assert narrowing_of(question).columns == {
        "state": ("SCHEDULED", "IN PROGRESS"),
        "patient": ("P1",),
        "label": ("LIVER",),
        "uid": ("1.2",),
    }
    assert matches(question)
    assert not matches(question, PatientID="P2")


def test_nobody_finds_out_a_transaction_uid_by_asking() -> None:
    assert not query(TransactionUID="1.2.3").conditions


def test_sequences_are_matched_by_their_items() -> None:
    item = Identifier({TAGS["CodeValue"]: ["SEG"]})
    question = query({"ScheduledWorkitemCodeSequence": item})
    assert matches(question)
    assert not matches(question, ScheduledWorkitemCodeSequence=[code("QA", "Check")])


DAYS = some.dates(date(1900, 1, 2), date(2100, 1, 1)).map(lambda day: f"{day:%Y%m%d}")
MOMENTS = some.builds(
    lambda day, time, zone: day + time + zone,
    DAYS,
    some.sampled_from(["", "12", "235959"]),
    some.sampled_from(["", "+1400", "-1200"]),
)


@given(some.one_of(MOMENTS, some.just("202601")), DAYS, DAYS)
def test_what_a_range_of_days_matches_is_not_narrowed_away(start: str, day: str, other: str) -> None:
    low, high = sorted((day, other))
    question = query(ScheduledProcedureStepStartDateTime=f"{low}-{high}")
    narrowing = narrowing_of(question)
    column = start_of({START: [start]})
    if matches(question, ScheduledProcedureStepStartDateTime=start):
        assert column == "" or narrowing.earliest <= column <= narrowing.latest
