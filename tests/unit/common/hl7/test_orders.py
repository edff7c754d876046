"""What messages about orders ask for."""

from __future__ import annotations

import pytest

from gantry.common.config.hl7_sections import Hl7ProfileSettings
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.hl7.actions import Action, Nothing
from gantry.common.hl7.message import parse
from gantry.common.hl7.orders import MessageOrigin, changes_of, order_actions
from gantry.common.hl7.problems import ErrorCode, MessageRefused
from gantry.common.hl7.profiles import DEFAULT, SenderProfile, profile_of
from gantry.common.orders import Attributes, OrderCancellation, OrderChange, PlacedOrder, items
from tests.support.messages import ORDER, PATIENT, PROCEDURE, message, order, segment

STEPS = TAGS["ScheduledProcedureStepSequence"]


def actions(raw: bytes, profile: SenderProfile = DEFAULT) -> list[Action]:
    parsed = parse(raw.decode())
    return order_actions(parsed, profile, MessageOrigin.of(parsed, "c", "t"))


def placed(raw: bytes, profile: SenderProfile = DEFAULT) -> PlacedOrder:
    (action,) = actions(raw, profile)
    assert isinstance(action, PlacedOrder)
    return action


def value(attributes: Attributes, keyword: str) -> object:
    values = attributes.get(TAGS[keyword], [None])
    return values[0] if len(values) == 1 else values


def test_a_new_order_has_all_that_its_message_says() -> None:
    action = placed(order())
    assert (action.order, action.source, action.message) == ("A100", "hl7 RIS^HOSPITAL", "MSG1")
    assert (action.change, action.trace) == ("c-1", "t")
    said = {
        "AccessionNumber": "A100",
        "RequestedProcedureID": "RP100",
        "PlacerOrderNumberImagingServiceRequest": "P100",
        "FillerOrderNumberImagingServiceRequest": "F100",
        "PatientID": "4711",
        "IssuerOfPatientID": "HOSP",
        "PatientName": {"Alphabetic": "MÜLLER^JÖRG^^Dr."},
        "PatientBirthDate": "19700131",
        "PatientSex": "M",
        "RequestingPhysician": {"Alphabetic": "SCHMIDT^KARL"},
        "ReferringPhysicianName": {"Alphabetic": "MEIER^ANNA"},
        "RequestedProcedureDescription": "CT of the head",
        "RequestedProcedurePriority": "STAT",
        "AdmissionID": "V1",
        "CurrentPatientLocation": "RAD",
    }
    assert {keyword: value(action.attributes, keyword) for keyword in said} == said
    (step,) = items(action.attributes, STEPS)
    said = {
        "ScheduledProcedureStepID": "S100",
        "ScheduledProcedureStepStartDate": "20261128",
        "ScheduledProcedureStepStartTime": "1030",
        "ScheduledProcedureStepDescription": "Head plain",
        "Modality": "CT",
    }
    assert {keyword: value(step, keyword) for keyword in said} == said
    (code,) = items(step, TAGS["ScheduledProtocolCodeSequence"])
    assert value(code, "CodeValue") == "CTH"


def test_a_study_uid_that_is_not_sent_is_the_same_whenever_the_order_is_placed() -> None:
    once, again = placed(order()), placed(order(control_id="MSG2"))
    assert str(value(once.attributes, "StudyInstanceUID")).startswith("2.25.")
    assert once.attributes == again.attributes
    sent = placed(order(more=("ZDS|1.2.840.1^^Application^DICOM",)))
    assert value(sent.attributes, "StudyInstanceUID") == "1.2.840.1"
    other = placed(order(obr={18: "A101"}))
    assert value(other.attributes, "StudyInstanceUID") != value(once.attributes, "StudyInstanceUID")


def test_an_imaging_order_has_its_identifiers_in_ipc() -> None:
    ipc = segment(
        "IPC",
        {1: "A7^RIS", 2: "RP7", 3: "1.2.7", 4: "S7", 5: "MR", 6: "MRK^Knee^L~MRC^Contrast^L", 7: "ROOM1", 9: "MR1"},
    )
    tq1 = segment("TQ1", {7: "20261130090000", 9: "R"})
    raw = message(
        "OMI^O23^OMI_O23",
        segment("PID", PATIENT),
        segment("ORC", {1: "NW", **ORDER}),
        tq1,
        segment("OBR", {**PROCEDURE, 18: "", 19: "", 20: "", 24: ""}),
        ipc,
        version="2.5.1",
    )
    action = placed(raw)
    assert action.order == "A7@RIS"
    assert value(action.attributes, "StudyInstanceUID") == "1.2.7"
    assert value(action.attributes, "RequestedProcedurePriority") == "ROUTINE"
    (step,) = items(action.attributes, STEPS)
    assert [value(step, keyword) for keyword in ("ScheduledStationAETitle", "Modality", "ScheduledStationName")] == [
        "MR1",
        "MR",
        "ROOM1",
    ]
    assert value(step, "ScheduledProcedureStepStartDate") == "20261130"
    protocols = items(step, TAGS["ScheduledProtocolCodeSequence"])
    assert [value(one, "CodeValue") for one in protocols] == ["MRK", "MRC"]


def test_groups_of_one_order_are_its_steps_and_others_are_orders_of_their_own() -> None:
    groups = []
    for accession, step in (("A1", "S1"), ("A1", ""), ("A2", "")):
        groups += [segment("ORC", {1: "NW", **ORDER}), segment("OBR", {**PROCEDURE, 18: accession, 20: step})]
    first, second = actions(message("OMG^O19", segment("PID", PATIENT), *groups))
    assert isinstance(first, PlacedOrder)
    assert isinstance(second, PlacedOrder)
    assert [value(step, "ScheduledProcedureStepID") for step in items(first.attributes, STEPS)] == ["S1", "2"]
    assert [value(step, "ScheduledProcedureStepID") for step in items(second.attributes, STEPS)] == ["1"]
    assert (first.order, second.order) == ("A1", "A2")
    assert first.change != second.change


@pytest.mark.parametrize("control", ["XO", "XX"])
def test_a_change_sets_what_is_said_and_takes_away_what_is_nulled(control: str) -> None:
    raw = order(control, obr={4: "CTN^CT of the neck^LOCAL", 16: '""'}, pid={5: "", 8: '""'})
    (action,) = actions(raw)
    assert isinstance(action, OrderChange)
    assert action.order == "A100"
    assert TAGS["PatientName"] not in action.attributes
    assert action.attributes[TAGS["PatientSex"]] is None
    assert action.attributes[TAGS["RequestingPhysician"]] is None
    assert action.attributes[TAGS["RequestedProcedureDescription"]] == ["CT of the neck"]
    assert TAGS["StudyInstanceUID"] not in action.attributes
    step = action.steps["S100"]
    assert step is not None
    assert step[TAGS["ScheduledProcedureStepStartDate"]] == ["20261128"]


@pytest.mark.parametrize(("control", "status"), [("CA", ""), ("OC", ""), ("DC", ""), ("SC", "CA"), ("SC", "DC")])
def test_a_cancellation_names_its_step_or_the_whole_order(control: str, status: str) -> None:
    (action,) = actions(order(control, orc={5: status}))
    assert isinstance(action, OrderCancellation)
    assert (action.order, action.steps) == ("A100", ("S100",))
    (action,) = actions(order(control, orc={5: status}, obr={20: ""}))
    assert isinstance(action, OrderCancellation)
    assert action.steps == ()


def test_a_status_changes_nothing() -> None:
    (action,) = actions(order("SC", orc={5: "IP"}))
    assert isinstance(action, Nothing)


def test_fields_are_those_of_the_profile() -> None:
    profile = profile_of(
        Hl7ProfileSettings.model_validate(
            {
                "sender": "RIS",
                "accession": ["ZOR-1.2"],
                "station": ["ZOR-2"],
                "modalities": {"XRAY": "DX"},
                "stations": {"DX": "DX1", "*": "ANY"},
                "authorities": ["HOSP=MAIN"],
            }
        )
    )
    action = placed(order(obr={24: "XRAY"}, more=("ZOR|x^Z9|",)), profile)
    assert action.order == "Z9"
    assert value(action.attributes, "IssuerOfPatientID") == "MAIN"
    (step,) = items(action.attributes, STEPS)
    assert (value(step, "Modality"), value(step, "ScheduledStationAETitle")) == ("DX", "DX1")
    (step,) = items(placed(order(obr={24: "CT"}, more=("ZOR|x^Z9|CT7",)), profile).attributes, STEPS)
    assert value(step, "ScheduledStationAETitle") == "CT7"
    (step,) = items(placed(order(obr={24: "CT"}, more=("ZOR|x^Z9|",)), profile).attributes, STEPS)
    assert value(step, "ScheduledStationAETitle") == "ANY"


@pytest.mark.parametrize(
    ("raw", "spot", "code"),
    [
        (order(""), "ORC-1", ErrorCode.REQUIRED_FIELD_MISSING),
        (order("HD"), "ORC-1", ErrorCode.TABLE_VALUE_NOT_FOUND),
        (order(obr={18: "A" * 17}), "OBR-18", ErrorCode.DATA_TYPE),
        (order(obr={20: "S" * 17}), "OBR-20", ErrorCode.DATA_TYPE),
        (order(orc={7: "^^^tomorrow"}), "ORC-7.4", ErrorCode.DATA_TYPE),
        (order(pid={3: ""}), "PID-3", ErrorCode.REQUIRED_FIELD_MISSING),
        (order(pid={7: "31.1.70"}), "PID-7", ErrorCode.DATA_TYPE),
        (order(pid={8: "Q"}), "PID-8", ErrorCode.TABLE_VALUE_NOT_FOUND),
        (order(obr={16: "1^A\\S\\B"}), "OBR-16", ErrorCode.DATA_TYPE),
        (order(more=("ZDS|not.a.uid",)), "ZDS-1", ErrorCode.DATA_TYPE),
        (order(obr={18: "", 19: ""}, orc={3: ""}), "IPC-1", ErrorCode.REQUIRED_FIELD_MISSING),
        (message("ORM^O01", segment("PID", PATIENT)), "ORC", ErrorCode.SEGMENT_SEQUENCE),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_without_its_value(raw: bytes, spot: str, code: ErrorCode) -> None:
    with pytest.raises(MessageRefused) as refused:
        actions(raw)
    (problem,) = [one for one in refused.value.problems if str(one.spot) == spot]
    assert problem.code is code
    assert not refused.value.rejected
    assert not {"tomorrow", "31.1.70", "not.a.uid"} & set(problem.text.split())


def test_all_problems_of_a_message_are_said_at_once() -> None:
    with pytest.raises(MessageRefused) as refused:
        actions(order("", obr={18: "A" * 17}, pid={7: "x", 8: "Q"}))
    assert len(refused.value.problems) == 4


def test_a_message_of_more_orders_than_can_be_meant_is_refused() -> None:
    groups = [segment("ORC", {1: "NW"})] * 201
    with pytest.raises(MessageRefused, match="more than 200 orders"):
        actions(message("ORM^O01", segment("PID", PATIENT), *groups))


def test_two_steps_of_one_id_are_refused() -> None:
    group = (segment("ORC", {1: "NW", **ORDER}), segment("OBR", PROCEDURE))
    with pytest.raises(MessageRefused, match="same scheduled procedure step id"):
        actions(message("ORM^O01", segment("PID", PATIENT), *group, *group))


def test_a_change_without_a_value_takes_the_attribute_away() -> None:
    assert changes_of({"00100040": {"vr": "CS"}, "00100020": {"vr": "LO", "Value": ["1"]}}) == {
        TAGS["PatientSex"]: None,
        TAGS["PatientID"]: ["1"],
    }
