"""The workitems that rules ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from gantry.common.config.routing_sections import RouteRuleSettings, RoutingSettings, WorkitemRequestSettings
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.events import StudyCompleted
from gantry.common.ids import is_uid
from gantry.common.ports.index import Location
from gantry.common.workitems.requirements import problem_of_creation
from gantry.services.retrieve.routing.work import Values, attributes_of, change_of, workitem_uid, works_of
from tests.support.objects import CT

CODE = "SEG^99LOCAL^Segment the liver"
COMPLETED = StudyCompleted("default", "", "1.2.3", "quiet", 3, 3, "00", "09", 1_767_600_000_000_000, ("CT1",))
STUDY = {TAGS["PatientID"]: ["P1"], TAGS["PatientName"]: [{"Alphabetic": "Doe^Jane"}], TAGS["AccessionNumber"]: ["A1"]}
PLACES = [
    Location("1.2.3", series, sop, CT, "1.2.840.10008.1.2.1", f"objects/{sop}", 300, 1000, "blake3:00")
    for series, sop in (("1.2.3.1", "1.2.3.1.1"), ("1.2.3.1", "1.2.3.1.2"), ("1.2.3.2", "1.2.3.2.1"))
]


def rule(name: str = "liver", **workitem: str) -> RouteRuleSettings:
    return RouteRuleSettings(name=name, workitem=WorkitemRequestSettings(**{"code": CODE, **workitem}))


def made(settings: RouteRuleSettings, url: str = "https://pacs.example") -> Values:
    work = works_of([settings])[settings.name]
    return attributes_of(work, STUDY, "1.2.3", PLACES, "GANTRY", url, COMPLETED.at)


def value(values: Values, keyword: str) -> Any:
    return values[TAGS[keyword]][0]


def test_what_a_rule_asks_for_can_be_created_as_it_is() -> None:
    values = made(rule())
    assert problem_of_creation(values) is None
    assert value(values, "ScheduledProcedureStepStartDateTime") == "20260105080000+0000"
    assert value(values, "InputReadinessState") == "READY"
    code = value(values, "ScheduledWorkitemCodeSequence")
    assert [code[TAGS[keyword]] for keyword in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")] == [
        *(["SEG"], ["99LOCAL"], ["Segment the liver"]),
    ]
    assert (value(values, "PatientID"), value(values, "PatientName")) == ("P1", {"Alphabetic": "Doe^Jane"})
    request = value(values, "ReferencedRequestSequence")
    assert (request[TAGS["StudyInstanceUID"]], request[TAGS["AccessionNumber"]]) == (["1.2.3"], ["A1"])


def test_each_series_is_an_input_with_all_its_instances_and_where_to_fetch_it() -> None:
    first, second = made(rule())[TAGS["InputInformationSequence"]]
    references = first[TAGS["ReferencedSOPSequence"]]
    assert [reference[TAGS["ReferencedSOPInstanceUID"]] for reference in references] == [["1.2.3.1.1"], ["1.2.3.1.2"]]
    assert first[TAGS["TypeOfInstances"]] == ["DICOM"]
    assert value(value(first, "DICOMRetrievalSequence"), "RetrieveAETitle") == "GANTRY"
    address = value(value(second, "WADORSRetrievalSequence"), "RetrieveURL")
    assert address == "https://pacs.example/dicom-web/studies/1.2.3/series/1.2.3.2"


def test_an_archive_that_does_not_know_its_url_names_its_ae_title_alone() -> None:
    (first, _) = made(rule(), url="")[TAGS["InputInformationSequence"]]
    assert TAGS["WADORSRetrievalSequence"] not in first


def test_labels_are_the_name_of_the_rule_where_it_gives_none() -> None:
    values = made(rule("chest"))
    assert (value(values, "ProcedureStepLabel"), value(values, "WorklistLabel")) == ("chest", "chest")
    values = made(rule("chest", label="Segment", worklist_label="AI"))
    assert (value(values, "ProcedureStepLabel"), value(values, "WorklistLabel")) == ("Segment", "AI")


def test_who_is_to_do_it_and_how_soon_is_said() -> None:
    settings = rule(station="BOT1^99LOCAL^Liver bot").model_copy(update={"priority": "high"})
    values = made(settings)
    assert value(values, "ScheduledProcedureStepPriority") == "HIGH"
    assert value(value(values, "ScheduledStationNameCodeSequence"), "CodeValue") == "BOT1"
    assert made(rule())[TAGS["ScheduledStationNameCodeSequence"]] == []


def test_where_what_comes_of_it_is_to_go_is_said_where_the_rule_says_so() -> None:
    workitem = WorkitemRequestSettings(code=CODE, output=("READING 1", "https://pacs.example/dicom-web/studies"))
    dimse, web = made(RouteRuleSettings(name="send", workitem=workitem))[TAGS["OutputDestinationSequence"]]
    assert value(value(dimse, "DICOMStorageSequence"), "DestinationAE") == "READING 1"
    assert value(value(web, "STOWRSStorageSequence"), "StorageURL") == "https://pacs.example/dicom-web/studies"
    assert TAGS["OutputDestinationSequence"] not in made(rule())


@pytest.mark.parametrize("output", ["", " ", "A" * 17, "READING\\1", "READING\n", "https://", "https://a b"])
def test_a_destination_that_is_neither_an_ae_title_nor_a_url_is_refused(output: str) -> None:
    with pytest.raises(ValidationError):
        WorkitemRequestSettings(code=CODE, output=(output,))


def test_a_completion_that_is_read_twice_is_one_workitem_and_what_comes_later_another() -> None:
    uid = workitem_uid(COMPLETED, "liver")
    assert is_uid(uid)
    assert uid == workitem_uid(COMPLETED, "liver")
    assert change_of(COMPLETED, "liver") == change_of(COMPLETED, "liver")
    others = [workitem_uid(replace(COMPLETED, last_receipt="0a"), "liver"), workitem_uid(COMPLETED, "lung")]
    assert len({uid, *others}) == 3


def test_rules_that_only_send_ask_for_nothing() -> None:
    assert works_of([RouteRuleSettings(name="sends", to=("READING",))]) == {}


@pytest.mark.parametrize(
    "code", ["SEG", "SEG^99LOCAL", "^99LOCAL^Segment", "SEG^99LOCAL^", "S" * 17 + "^99LOCAL^Segment", "A^B^C^D"]
)
def test_a_code_that_is_not_whole_is_refused(code: str) -> None:
    with pytest.raises(ValidationError):
        WorkitemRequestSettings(code=code)


def test_two_rules_have_two_names_and_times_of_sending_are_for_what_is_sent() -> None:
    with pytest.raises(ValidationError, match="two rules of `rules` and `prefetch` are called liver"):
        RoutingSettings(rules=(rule(), rule(label="another")))
    with pytest.raises(ValidationError, match="`between` is about what is sent"):
        RouteRuleSettings(name="night", between="19:00-06:00", workitem=WorkitemRequestSettings(code=CODE))


def test_a_rule_goes_somewhere_or_asks_for_work() -> None:
    with pytest.raises(ValidationError, match="workitem"):
        RouteRuleSettings(name="nothing")
