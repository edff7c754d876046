"""`gantry.services.orders.workitems.parameters`."""

from __future__ import annotations

import pytest

from gantry.common.dicom.query.matching import Fuzzy, Item, Single
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.web.errors import HttpProblem
from gantry.services.orders.workitems.parameters import uid_in, workitem_search


def test_attributes_are_named_by_keyword_tag_and_path() -> None:
    parameters = [
        ("ProcedureStepState", "SCHEDULED,IN PROGRESS"),
        ("00100020", "P1"),
        ("ScheduledWorkitemCodeSequence.CodeValue", "SEG"),
        ("includefield", "all"),
        ("limit", "5000"),
        ("offset", "7"),
    ]
    search = workitem_search(parameters)
    assert search.query.conditions == {
        TAGS["ProcedureStepState"]: Single(("SCHEDULED", "IN PROGRESS")),
        TAGS["PatientID"]: Single(("P1",)),
        TAGS["ScheduledWorkitemCodeSequence"]: Item({TAGS["CodeValue"]: Single(("SEG",))}),
    }
    assert (search.limit, search.offset, search.warnings) == (1000, 7, ())


def test_what_is_not_known_is_ignored_and_said() -> None:
    assert workitem_search([("_dc", "1"), ("_dc", "2")]).warnings == (
        "_dc is no parameter and no attribute, and was ignored.",
    )


def test_names_match_fuzzily_where_that_is_asked_for() -> None:
    conditions = workitem_search([("fuzzymatching", "true"), ("PatientName", "do jane")]).query.conditions
    assert conditions == {TAGS["PatientName"]: Fuzzy(("do jane",))}


@pytest.mark.parametrize(
    "parameter",
    [
        ("limit", "many"),
        ("limit", "-1"),
        ("offset", "100001"),
        ("fuzzymatching", "yes"),
        ("PatientID.CodeValue", "x"),
        (".".join(["ScheduledWorkitemCodeSequence"] * 50), "x"),
        ("PatientID", "x" * 2000),
    ],
)
def test_what_cannot_be_asked_is_400(parameter: tuple[str, str]) -> None:
    with pytest.raises(HttpProblem) as raised:
        workitem_search([parameter])
    assert raised.value.status == 400


def test_too_many_parameters_are_400() -> None:
    with pytest.raises(HttpProblem):
        workitem_search([("x", "")] * 101)


def test_a_uid_is_a_bare_query_or_has_a_name() -> None:
    assert uid_in([("1.2.3", "")], ["workitem"]) == "1.2.3"
    assert uid_in([("workitem", "1.2.4")], ["workitem"]) == "1.2.4"
    assert uid_in([("other", "1.2.4"), ("x", "")], ["workitem"]) == ""
    with pytest.raises(HttpProblem):
        uid_in([("workitem", "none")], ["workitem"])
