"""What rules make of an object."""

from __future__ import annotations

from typing import Any

from gantry.common.config.lifecycle_sections import CoercionRuleSettings
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.lifecycle.coercing import CoercionResult, SenderRules
from gantry.common.lifecycle.coercion_rules import coercion_rules
from gantry.common.lifecycle.from_orders import OrderAnswer, OrderOutcome

PATIENT = {"Alphabetic": "DOE^JANE"}


def rules(*settings: dict[str, Any], calling: str = "CT1", called: str = "GANTRY") -> SenderRules | None:
    named = [CoercionRuleSettings.model_validate({"name": f"r{n}", **rule}) for n, rule in enumerate(settings)]
    made = coercion_rules(named)
    assert made is not None
    return made.of(calling, called)


def changed(own: dict[str, list[Any]], *settings: dict[str, Any]) -> dict[str, list[Any]]:
    """The values that rules put into an object, by keyword; an emptied one has none."""
    changes = all_changes(own, *settings)
    by_tag = {f"{tag:08X}": keyword for keyword, tag in TAGS.items()}
    return {by_tag[tag]: list(element.get("Value", [])) for tag, element in changes.values.items()}


def all_changes(own: dict[str, list[Any]], *settings: dict[str, Any]) -> CoercionResult:
    sender_rules = rules(*settings)
    assert sender_rules is not None
    return sender_rules.changes({TAGS[keyword]: values for keyword, values in own.items()})


def test_set_puts_the_same_values_into_every_object() -> None:
    assert changed({}, {"set": {"InstitutionName": "North"}}) == {"InstitutionName": ["North"]}
    assert changed({}, {"set": {"PatientName": "A^B=山田"}}) == {
        "PatientName": [{"Alphabetic": "A^B", "Ideographic": "山田"}]
    }
    assert changed({}, {"set": {"OperatorsName": ["A", "B"]}}) == {
        "OperatorsName": [{"Alphabetic": "A"}, {"Alphabetic": "B"}]
    }
    assert changed({}, {"set": {"PregnancyStatus": "4", "PatientWeight": "70.5"}}) == {
        "PregnancyStatus": [4],
        "PatientWeight": ["70.5"],
    }


def test_what_is_there_already_is_no_change() -> None:
    assert changed({"InstitutionName": ["North"]}, {"set": {"InstitutionName": "North"}}) == {}
    assert changed({"PatientName": [PATIENT]}, {"set": {"PatientName": "DOE^JANE"}}) == {}
    assert changed({}, {"nullify": ["PatientComments"]}) == {}


def test_map_looks_each_value_up_and_has_a_default_for_others() -> None:
    table = {"map": {"BodyPartExamined": {"values": {"THORAX": "CHEST", "ABD": "ABDOMEN"}}}}
    assert changed({"BodyPartExamined": ["THORAX"]}, table) == {"BodyPartExamined": ["CHEST"]}
    assert changed({"BodyPartExamined": ["KNEE"]}, table) == {}
    assert changed({}, table) == {}
    other = {"map": {"BodyPartExamined": {"values": {"THORAX": "CHEST"}, "default": "OTHER"}}}
    assert changed({"BodyPartExamined": ["KNEE"]}, other) == {"BodyPartExamined": ["OTHER"]}
    assert changed({}, other) == {}  # an attribute without a value has none to look up
    empty = {"map": {"BodyPartExamined": {"values": {"": "UNKNOWN"}}}}
    assert changed({}, empty) == {"BodyPartExamined": ["UNKNOWN"]}


def test_map_may_look_up_another_attribute() -> None:
    rule = {"map": {"InstitutionalDepartmentName": {"values": {"CT1": "Radiology"}, "from": "StationName"}}}
    assert changed({"StationName": ["CT1"]}, rule) == {"InstitutionalDepartmentName": ["Radiology"]}


def test_copy_takes_the_values_of_another_attribute_and_nothing_where_there_are_none() -> None:
    rule = {"copy": {"AccessionNumber": "StudyID"}}
    assert changed({"StudyID": ["S1"]}, rule) == {"AccessionNumber": ["S1"]}
    assert changed({"AccessionNumber": ["A1"]}, rule) == {}
    assert changed({"SeriesNumber": [7]}, {"copy": {"StudyID": "SeriesNumber"}}) == {"StudyID": ["7"]}


def test_the_actions_of_one_rule_read_what_was_there_before_it() -> None:
    rule = {"copy": {"AccessionNumber": "StudyID", "StudyID": "AccessionNumber"}}
    assert changed({"StudyID": ["S1"], "AccessionNumber": ["A1"]}, rule) == {
        "AccessionNumber": ["S1"],
        "StudyID": ["A1"],
    }


def test_a_later_rule_sees_what_an_earlier_one_made() -> None:
    first, second = {"set": {"InstitutionName": "North"}}, {"where": ["InstitutionName=North"], "set": {"StudyID": "N"}}
    assert changed({}, first, second) == {"InstitutionName": ["North"], "StudyID": ["N"]}
    assert changed({}, second, first) == {"InstitutionName": ["North"]}


def test_what_a_later_rule_takes_back_is_no_change() -> None:
    first, second = {"set": {"StudyID": "N"}}, {"set": {"StudyID": "S1"}}
    assert changed({"StudyID": ["S1"]}, first, second) == {}


def test_nullify_empties_and_an_issuer_is_added_where_there_is_an_id_without_one() -> None:
    assert changed({"PatientComments": ["x"]}, {"nullify": ["PatientComments"]}) == {"PatientComments": []}
    assert changed({"PatientID": ["P1"]}, {"issuer": "NORTH"}) == {"IssuerOfPatientID": ["NORTH"]}
    assert changed({"PatientID": ["P1"], "IssuerOfPatientID": ["SOUTH"]}, {"issuer": "NORTH"}) == {}
    assert changed({}, {"issuer": "NORTH"}) == {}


def test_conditions_ask_the_object_as_a_search_would() -> None:
    rule = {"set": {"StudyID": "N"}}
    own = {"Modality": ["CT"], "PatientName": [PATIENT], "Rows": [512], "StudyDate": ["20240131"]}
    for where in (
        ["Modality=CT"],
        ["Modality=MR\\CT"],
        ["PatientName=doe*"],
        ["Rows=512"],
        ["StudyDate=20240101-20241231"],
        ['AccessionNumber=""'],
        ["00080060=CT", "Rows=512"],
    ):
        assert changed(own, {**rule, "where": where}) == {"StudyID": ["N"]}, where
    for where in (["Modality=MR"], ["Modality=CT", "Rows=256"], ["StudyDate=-20201231"], ['Modality=""']):
        assert changed(own, {**rule, "where": where}) == {}, where


def test_rules_are_about_the_senders_that_they_name() -> None:
    rule = {"set": {"StudyID": "N"}, "calling": ["NORTH*", "CT?"], "called": ["GANTRY"]}
    assert rules(rule, calling="CT1") is not None
    assert rules(rule, calling="NORTH") is not None
    for calling, called in (("CT10", "GANTRY"), ("ct1", "GANTRY"), ("XNORTH", "GANTRY"), ("CT1", "OTHER"), ("CT1", "")):
        assert rules(rule, calling=calling, called=called) is None
    assert rules({"set": {"StudyID": "N"}}, calling="anybody", called="") is not None
    assert rules({**rule, "calling": ["A.C"]}, calling="ABC") is None


def test_a_value_that_does_not_fit_is_left_out_and_said() -> None:
    changes = all_changes(
        {"StudyDescription": ["x" * 64]}, {"copy": {"StudyID": "StudyDescription"}, "set": {"InstitutionName": "N"}}
    )
    unfit = [change for change in changes.made if change.unfit]
    assert [(change.tag, "not a value of SH" in change.unfit) for change in unfit] == [(TAGS["StudyID"], True)]
    assert list(changes.values) == [f"{TAGS['InstitutionName']:08X}"]


def test_more_than_there_is_room_for_is_left_out_and_said() -> None:
    own = {"PatientComments": ["x" * 9000]}
    rule = {"copy": {"AdditionalPatientHistory": "PatientComments", "StudyComments": "PatientComments"}}
    changes = all_changes(own, rule)
    assert len(changes.values) == 1
    assert [change.unfit for change in changes.made if change.unfit] == [
        "more than 10000 characters are put into one object"
    ]


def test_rules_that_changed_something_are_named_in_their_order() -> None:
    made = rules({"set": {"StudyID": "N"}}, {"set": {"StudyID": "N"}}, {"set": {"InstitutionName": "N"}})
    assert made is not None
    coercion, changes = made.coercion({}, 5)
    assert coercion is not None
    assert (coercion.at, coercion.rules) == (5, ("r0", "r2"))
    assert [(change.rule, change.before, change.after) for change in changes.made] == [
        ("r0", (), ("N",)),
        ("r2", (), ("N",)),
    ]
    assert made.coercion({TAGS["StudyID"]: ["N"], TAGS["InstitutionName"]: ["N"]}, 5)[0] is None


ORDER = {"order": {"by": ["AccessionNumber"], "copy": ["PatientID", "PatientName", "RequestAttributesSequence"]}}
REQUEST = TAGS["RequestAttributesSequence"]


def with_order(own: dict[str, list[Any]], order: dict[int, list[Any]], *settings: dict[str, Any]) -> CoercionResult:
    """What rules do once they are told of an order."""
    made = rules(*settings)
    assert made is not None
    assert made.asks_orders
    attributes = {TAGS[keyword]: values for keyword, values in own.items()}
    question = made.changes(attributes).unanswered
    assert question is not None
    return made.changes(attributes, {question: OrderAnswer(OrderOutcome.FOUND, order)})


def test_a_rule_that_takes_values_from_an_order_asks_first_and_does_nothing_before() -> None:
    before = all_changes({"AccessionNumber": ["A1"]}, {"set": {"StudyID": "1"}}, ORDER, {"set": {"StationName": "2"}})
    assert before.unanswered is not None
    assert before.unanswered.accession == "A1"
    assert [change.rule for change in before.made] == ["r0"]


def test_what_earlier_rules_made_leads_to_the_order() -> None:
    question = all_changes({"StudyID": ["A7"]}, {"copy": {"AccessionNumber": "StudyID"}}, ORDER).unanswered
    assert question is not None
    assert question.accession == "A7"


def test_values_of_an_order_are_put_into_the_object_and_items_compared_by_what_they_say() -> None:
    item = {TAGS["ScheduledProcedureStepID"]: ["S1"]}
    order = {TAGS["PatientID"]: ["P9"], TAGS["PatientName"]: [PATIENT], REQUEST: [item]}
    own = {"AccessionNumber": ["A1"], "PatientID": ["P9"], "RequestAttributesSequence": [{**item, 0x00401001: ["R"]}]}
    changes = with_order(own, order, ORDER, {"set": {"StudyID": "later"}})
    assert sorted(changes.values) == ["00100010", "00200010", "00400275"]
    assert changes.values["00400275"]["Value"] == [{"00400009": {"vr": "SH", "Value": ["S1"]}}]
    assert changes.orders == {"r0": OrderOutcome.FOUND}
    same = {**own, "PatientName": [PATIENT], "RequestAttributesSequence": [item]}
    assert with_order(same, order, ORDER).values == {}


def test_without_an_order_other_rules_do_what_they_do() -> None:
    made = rules(ORDER, {"set": {"StudyID": "1"}})
    assert made is not None
    question = made.changes({}).unanswered
    assert question is not None
    changes = made.changes({}, {question: OrderAnswer(OrderOutcome.SEVERAL)})
    assert (sorted(changes.values), changes.orders) == (["00200010"], {"r0": OrderOutcome.SEVERAL})


def test_a_value_of_an_order_that_does_not_fit_is_left_out_and_so_is_what_is_too_much() -> None:
    item = {TAGS["ScheduledProcedureStepID"]: ["S1"], TAGS["ScheduledProcedureStepDescription"]: ["x" * 64]}
    order = {TAGS["PatientID"]: ["P\n9"], TAGS["PatientName"]: [PATIENT], REQUEST: [item] * 10}
    own = {"AccessionNumber": ["A1"]}
    unfit = {change.tag: change.unfit for change in with_order(own, order, ORDER).made}
    assert unfit == {
        TAGS["PatientID"]: "PatientID: not a value of LO (PS3.5 6.2)",
        TAGS["PatientName"]: "",
        REQUEST: "",
    }
    much = [{"set": {"PatientComments": "c" * 5000}}, {"set": {"AdditionalPatientHistory": "d" * 4000}}]
    unfit = {change.tag: change.unfit for change in with_order(own, order, ORDER, *much).made}
    assert unfit[TAGS["AdditionalPatientHistory"]] == "more than 10000 characters are put into one object"
    assert not unfit[TAGS["PatientComments"]]
