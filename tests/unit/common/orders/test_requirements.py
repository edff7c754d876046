"""What a performed procedure step needs, by PS3.4 table F.7.2-1."""

from __future__ import annotations

import pytest

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.tags import PERFORMED_SERIES_SEQUENCE, SCHEDULED_STEP_ATTRIBUTES_SEQUENCE
from gantry.common.orders.requirements import (
    AT_CREATION,
    IN_SERIES,
    NOT_TO_BE_SET,
    StepProblem,
    fixed,
    problem_of_creation,
    problem_of_final_state,
)
from gantry.common.statuses import MISSING_ATTRIBUTE, MISSING_ATTRIBUTE_VALUE
from tests.support.orders import attributes, ended, performed, reference


def test_a_creation_that_has_all_of_type_1_has_no_problem() -> None:
    assert problem_of_creation(performed()) is None


@pytest.mark.parametrize("tag", AT_CREATION)
def test_each_attribute_of_type_1_has_to_be_there_with_a_value(tag: int) -> None:
    without = {other: values for other, values in performed().items() if other != tag}
    missing, empty = problem_of_creation(without), problem_of_creation({**without, tag: []})
    assert missing is not None
    assert empty is not None
    assert (missing.status, empty.status) == (MISSING_ATTRIBUTE, MISSING_ATTRIBUTE_VALUE)


def test_each_reference_names_its_study() -> None:
    problem = problem_of_creation(performed(reference(), reference(StudyInstanceUID=None)))
    assert problem == StepProblem(MISSING_ATTRIBUTE, "in a sequence: StudyInstanceUID is missing")
    assert problem_of_creation({**performed(), SCHEDULED_STEP_ATTRIBUTES_SEQUENCE: ["no item"]}) is not None


def test_an_unscheduled_step_names_its_study_alone() -> None:
    unscheduled = reference(AccessionNumber=[], ScheduledProcedureStepID=[])
    assert problem_of_creation(performed(unscheduled)) is None


def test_attributes_of_type_2_may_be_missing() -> None:
    assert TAGS["PatientName"] not in performed()
    assert problem_of_creation(performed()) is None


@pytest.mark.parametrize("tag", IN_SERIES)
def test_each_series_is_named_with_its_protocol(tag: int) -> None:
    whole = ended()
    (series,) = whole[PERFORMED_SERIES_SEQUENCE]
    problem = problem_of_final_state(
        {**whole, PERFORMED_SERIES_SEQUENCE: [{other: series[other] for other in series if other != tag}]}
    )
    assert problem is not None
    assert problem.status == MISSING_ATTRIBUTE_VALUE


def test_words_fit_an_error_comment() -> None:
    problem = problem_of_creation(performed(PerformedProcedureStepStartDate=None))
    assert problem is not None
    assert len(problem.words) <= 64


def test_what_n_set_may_not_change_is_fixed() -> None:
    assert fixed(ended(PatientID="P2")) == {TAGS["PatientID"]}
    assert fixed(attributes(PerformedProcedureStepStatus="COMPLETED")) == frozenset()
    assert SCHEDULED_STEP_ATTRIBUTES_SEQUENCE in NOT_TO_BE_SET
