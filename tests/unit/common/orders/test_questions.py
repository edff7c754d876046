"""What can be asked of scheduled steps, and what an index may leave out."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.dicom.query.worklists import with_step_keys, worklist_conditions
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.orders import StepState
from gantry.common.orders.questions import ListedStep, OrderNarrowing, StepQuery, name_of, narrowing_of, start_of
from tests.support.orders import attributes, order, step


def query(of_step: dict[str, str] | None = None, **keys: str) -> StepQuery:
    tags = {TAGS[keyword]: [value] for keyword, value in keys.items()}
    of = {TAGS[keyword]: [value] for keyword, value in (of_step or {}).items()}
    return StepQuery("default", worklist_conditions(with_step_keys(tags, of)))


def listed(one: dict[int, list[Any]] | None = None, **values: Any) -> ListedStep:
    made = {tag: some for tag, some in order(**values).items() if tag != TAGS["ScheduledProcedureStepSequence"]}
    return ListedStep("A1", made, step() if one is None else one, StepState.STARTED)


def test_a_worklist_item_is_the_order_with_one_step_in_its_state() -> None:
    document = listed().document
    (one,) = document[TAGS["ScheduledProcedureStepSequence"]]
    assert isinstance(one, dict)
    assert one[TAGS["ScheduledProcedureStepStatus"]] == ["STARTED"]
    assert document[TAGS["PatientID"]] == ["P1"]
    assert listed({}).document[TAGS["ScheduledProcedureStepSequence"]] == []


@pytest.mark.parametrize(
    ("asked", "narrowing"),
    [
        (query(), OrderNarrowing({})),
        (query(PatientID="P1", AccessionNumber="A1"), OrderNarrowing({"patient": ("P1",), "accession": ("A1",)})),
        (query(PatientID="P*"), OrderNarrowing({})),
        (query(StudyInstanceUID="1.2"), OrderNarrowing({"study": ("1.2",)})),
        (query({"Modality": "CT"}), OrderNarrowing({"modality": ("CT",)})),
        (query({"ScheduledStationAETitle": "CT1"}), OrderNarrowing({}, ("CT1",))),
        (query({"ScheduledProcedureStepStartDate": "20260105"}), OrderNarrowing({}, (), "20260105", "20260105~")),
        (query({"ScheduledProcedureStepStartDate": "20260105-"}), OrderNarrowing({}, (), "20260105", "~")),
        (query({"ScheduledProcedureStepStartDate": "-20260105"}), OrderNarrowing({}, (), "", "20260105~")),
        (query({"ScheduledProcedureStepStartTime": "0800-0900"}), OrderNarrowing({})),
        (query(PatientName="Doe*"), OrderNarrowing({}, name="doe")),
        (query(PatientName="Doe^J?ne"), OrderNarrowing({}, name="doe^j")),
        (query(PatientName="*Jane"), OrderNarrowing({})),
        (query(PatientName="Doe=Other"), OrderNarrowing({})),
    ],
)
def test_an_index_may_look_for_less_than_everything(asked: StepQuery, narrowing: OrderNarrowing) -> None:
    assert narrowing_of(asked) == narrowing


def test_the_own_station_counts_for_more_than_the_asked_one() -> None:
    asked = StepQuery("default", query({"ScheduledStationAETitle": "CT2"}).conditions, station="CT1")
    assert narrowing_of(asked).stations == ("CT1",)


def test_idle_steps_that_should_have_begun_long_ago_are_stale() -> None:
    asked = StepQuery("default", idle_since="20260105")
    assert asked.is_stale(StepState.SCHEDULED, "20260104093000000000")
    assert not asked.is_stale(StepState.SCHEDULED, "20260105")
    assert not asked.is_stale(StepState.STARTED, "20260104")
    assert not asked.is_stale(StepState.SCHEDULED, "")
    assert not StepQuery("default").is_stale(StepState.SCHEDULED, "19990101")


def test_a_start_is_digits_that_compare_as_moments_do() -> None:
    assert start_of(step()) == "20260105093000000000"
    assert start_of(step(ScheduledProcedureStepStartTime=None)) == "20260105"
    assert start_of(step(ScheduledProcedureStepStartDate="soon")) == ""


def test_a_name_of_several_component_groups_has_no_beginning() -> None:
    assert name_of(attributes(PatientName="Müller^Eva")) == "muller^eva"
    two = attributes(PatientName={"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"})
    assert name_of(two) == ""


def test_the_predicate_is_the_matcher_of_all_searches() -> None:
    assert query({"Modality": "CT"}, PatientName="doe^*").predicate()(listed().document)
    assert not query({"Modality": "MR"}).predicate()(listed().document)
