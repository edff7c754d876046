"""The workitems by which somebody else is asked for the priors of an order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from gantry.common.config.routing_sections import PrefetchRuleSettings, WorkitemRequestSettings
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.ids import is_uid
from gantry.common.orders import Order, StepState
from gantry.common.orders.model import ScheduledStep
from gantry.common.workitems.requirements import problem_of_creation
from gantry.services.retrieve.routing.prefetch_requesting import prior_rules
from gantry.services.retrieve.routing.prior_work import (
    attributes_of,
    change_of,
    prior_workitem_uid,
    with_output,
)
from gantry.services.retrieve.routing.priors import future_order_of
from gantry.services.retrieve.routing.work import Values, works_of

CODE = "FETCH^99LOCAL^Fetch priors"
AT = 1_767_600_000_000_000
"""2026-01-05, 08:00 UTC."""
STEP = {
    TAGS["Modality"]: ["CT"],
    TAGS["ScheduledProcedureStepStartDate"]: ["20260107"],
    TAGS["ScheduledProcedureStepStartTime"]: ["0930"],
}
LATER = {**STEP, TAGS["ScheduledProcedureStepStartDate"]: ["20260109"]}
EARLIER = {**STEP, TAGS["ScheduledProcedureStepStartDate"]: ["20260101"]}
ORDER = Order(
    "default",
    "A1",
    {
        TAGS["PatientID"]: ["P1"],
        TAGS["PatientName"]: [{"Alphabetic": "Doe^Jane"}],
        TAGS["AccessionNumber"]: ["A1"],
        TAGS["StudyInstanceUID"]: ["1.9"],
        TAGS["RequestedProcedureDescription"]: ["CT of the chest"],
    },
    {"S1": ScheduledStep("S1", LATER), "S2": ScheduledStep("S2", STEP), "S3": ScheduledStep("S3", EARLIER)},
)
STATES = {"S1": StepState.SCHEDULED, "S2": StepState.SCHEDULED, "S3": StepState.COMPLETED}


def made(order: Order = ORDER, output: tuple[str, ...] = (), url: str = "https://pacs.example", **rule: Any) -> Values:
    settings = PrefetchRuleSettings(name="chest", workitem=WorkitemRequestSettings(code=CODE, output=output), **rule)
    (prior_rule,), work = prior_rules([settings]), works_of([settings])["chest"]
    wanted = future_order_of(order, STATES)
    assert wanted is not None
    return attributes_of(with_output(work, "GANTRY", url), prior_rule, order, STATES, wanted, AT)


def value(values: Values, keyword: str) -> Any:
    return values[TAGS[keyword]][0]


def parameters(values: Values) -> list[tuple[str, str]]:
    items = values[TAGS["ScheduledProcessingParametersSequence"]]
    return [(value(value(item, "ConceptNameCodeSequence"), "CodeMeaning"), value(item, "TextValue")) for item in items]


def test_it_can_be_created_and_says_whose_priors_are_wanted_for_which_order() -> None:
    values = made()
    assert problem_of_creation(values) is None
    assert (value(values, "PatientID"), value(values, "PatientName")) == ("P1", {"Alphabetic": "Doe^Jane"})
    assert value(values, "ScheduledProcedureStepPriority") == "LOW"
    assert values[TAGS["InputInformationSequence"]] == []
    request = value(values, "ReferencedRequestSequence")
    assert [
        value(request, keyword) for keyword in ("StudyInstanceUID", "AccessionNumber", "RequestedProcedureDescription")
    ] == [*("1.9", "A1", "CT of the chest")]


def test_it_is_to_be_done_before_the_first_step_begins_that_is_to_come() -> None:
    assert value(made(), "ExpectedCompletionDateTime") == "202601070930"
    steps = {"S1": ScheduledStep("S1", {TAGS["Modality"]: ["CT"]})}
    assert TAGS["ExpectedCompletionDateTime"] not in made(replace(ORDER, steps=steps))


def test_what_the_rule_says_of_priors_is_in_its_parameters() -> None:
    limits = parameters(made(prior_modalities=("CT", "CR"), within="5y", most=2, body_parts=("chest",)))
    assert limits == [
        *(("Modality", "CR"), ("Modality", "CT"), ("Target Region", "CHEST")),
        *(("No older than", "P5Y"), ("At most so many studies", "2")),
    ]
    assert parameters(made()) == [("At most so many studies", "3")]


def test_priors_come_to_us_where_the_rule_does_not_say_otherwise() -> None:
    dimse, web = made()[TAGS["OutputDestinationSequence"]]
    assert value(value(dimse, "DICOMStorageSequence"), "DestinationAE") == "GANTRY"
    assert value(value(web, "STOWRSStorageSequence"), "StorageURL") == "https://pacs.example/dicom-web/studies"
    (alone,) = made(url="")[TAGS["OutputDestinationSequence"]]
    assert value(value(alone, "DICOMStorageSequence"), "DestinationAE") == "GANTRY"
    (other,) = made(output=("CACHE",))[TAGS["OutputDestinationSequence"]]
    assert value(value(other, "DICOMStorageSequence"), "DestinationAE") == "CACHE"


def test_it_is_named_after_the_order_and_its_patient() -> None:
    uid = prior_workitem_uid(ORDER, "chest", 0)
    assert is_uid(uid)
    later = replace(ORDER, attributes={**ORDER.attributes, TAGS["RequestedProcedureDescription"]: ["CT"]})
    assert prior_workitem_uid(later, "chest", 0) == uid
    other = replace(ORDER, attributes={**ORDER.attributes, TAGS["PatientID"]: ["P2"]})
    uids = [prior_workitem_uid(other, "chest", 0), prior_workitem_uid(ORDER, "knee", 0)]
    assert len({uid, *uids, prior_workitem_uid(ORDER, "chest", 1)}) == 4


def test_its_events_have_names_of_their_own_and_the_same_when_they_are_read_twice() -> None:
    names = [change_of(ORDER, "chest", kind, at) for kind in ("created", "cancelled") for at in (AT, AT + 1_000_000)]
    assert len(set(names)) == 4
    assert names[0] == change_of(ORDER, "chest", "created", AT)


@pytest.mark.parametrize("extra", [{"by": "get"}, {"between": "19:00-06:00"}, {"dry_run": True}, {"ask": ("OLD",)}])
def test_a_rule_asks_archives_or_has_it_done(extra: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="workitem"):
        PrefetchRuleSettings(name="chest", workitem=WorkitemRequestSettings(code=CODE), **extra)


def test_a_rule_that_does_neither_is_refused() -> None:
    with pytest.raises(ValidationError, match="a rule needs the archives that we `ask`, or a `workitem`"):
        PrefetchRuleSettings(name="chest")
