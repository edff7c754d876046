"""What ADT messages ask for."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.config.hl7_sections import Hl7ProfileSettings
from gantry.common.hl7.actions import Action, ChangePatientId, CorrectPatient, MergePatients, Nothing
from gantry.common.hl7.message import parse
from gantry.common.hl7.patients import ADMISSIONS, UNCHANGED, UPDATES, patient_actions
from gantry.common.hl7.problems import ErrorCode, MessageRefused
from gantry.common.hl7.profiles import DEFAULT, SenderProfile, profile_of
from gantry.common.lifecycle.identity import PatientIdentity
from tests.support.messages import PATIENT, message, patient, segment

TRUSTING = profile_of(Hl7ProfileSettings(sender="*", authorities=("HOSP",)))
NEW, OLD = PatientIdentity("4711", "HOSP"), PatientIdentity("4712", "HOSP")


def actions(raw: bytes, profile: SenderProfile = TRUSTING) -> list[Action]:
    return patient_actions(parse(raw.decode()), profile)


@pytest.mark.parametrize("event", sorted(UNCHANGED))
def test_what_is_said_of_visits_changes_nothing(event: str) -> None:
    (action,) = actions(patient(event), DEFAULT)
    assert isinstance(action, Nothing)


def test_a_change_of_the_external_id_needs_no_identifier_and_changes_nothing() -> None:
    """HL7 v2.3 3.2.46: PID-2 takes the place of MRG-4; whoever PID-3 and MRG-1 name is not merged or renamed."""
    for pid, mrg in (({2: "E2", 3: ""}, {4: "E1"}), ({2: "E2"}, {1: "4712^^^HOSP^MR", 4: "E1"})):
        (action,) = actions(patient("A46", pid=pid, mrg=mrg))
        assert isinstance(action, Nothing)


@pytest.mark.parametrize("event", ADMISSIONS)
@pytest.mark.parametrize(
    ("raw", "profile"),
    [
        ({}, DEFAULT),
        ({3: ""}, TRUSTING),
        ({3: "4711^^^ELSEWHERE^MR"}, TRUSTING),
        ({7: "31.1.1970"}, TRUSTING),
        ({5: "A=B"}, TRUSTING),
        ({5: "", 7: "", 8: ""}, TRUSTING),
    ],
    ids=["no authority", "no identifier", "another authority", "no date", "no name", "nothing said"],
)
def test_an_admission_of_which_nothing_can_be_taken_is_acknowledged(
    event: str, raw: dict[int, str], profile: SenderProfile
) -> None:
    (action,) = actions(patient(event, pid=raw), profile)
    assert isinstance(action, Nothing)


def test_an_admission_of_nobody_is_acknowledged() -> None:
    (action,) = actions(message("ADT^A01", segment("EVN", {1: "A01"})))
    assert isinstance(action, Nothing)


@pytest.mark.parametrize("event", [*UPDATES, *ADMISSIONS])
def test_an_update_says_what_a_patient_is_like(event: str) -> None:
    (action,) = actions(patient(event, pid={6: "MAIER", 7: "197001311530"}))
    assert action == CorrectPatient(
        NEW,
        {
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "MÜLLER^JÖRG^^Dr."}]},
            "00101060": {"vr": "PN", "Value": [{"Alphabetic": "MAIER"}]},
            "00100030": {"vr": "DA", "Value": ["19700131"]},
            "00100032": {"vr": "TM", "Value": ["1530"]},
            "00100040": {"vr": "CS", "Value": ["M"]},
        },
    )


def test_an_update_empties_what_is_nulled_and_leaves_what_is_not_said() -> None:
    (action,) = actions(patient("A08", pid={5: '""', 6: "", 7: '""', 8: "U"}))
    assert isinstance(action, CorrectPatient)
    assert action.values == {"00100010": {"vr": "PN"}, "00100030": {"vr": "DA"}}
    (action,) = actions(patient("A08", pid={5: "", 7: "1970", 8: ""}))
    assert isinstance(action, Nothing)


MARK = "00403001"
KEEPING = profile_of(Hl7ProfileSettings(sender="*", authorities=("HOSP",), confidential=("PV1-16", "PD1-12")))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([segment("PV1", {16: "VIP"})], {"vr": "LO", "Value": ["VIP"]}),
        ([segment("PV1", {16: ""}), segment("PD1", {12: "Y"})], {"vr": "LO", "Value": ["Y"]}),
        ([segment("PD1", {12: "N"})], {"vr": "LO"}),
        ([segment("PV1", {16: '""'})], {"vr": "LO"}),
        ([segment("PV1", {16: ""})], None),
        ([], None),
    ],
)
def test_an_update_says_whether_a_patient_is_confidential_where_the_profile_says_so(
    said: list[str], expected: dict[str, Any] | None
) -> None:
    raw = patient("A08") + "".join(f"{one}\r" for one in said).encode()
    (action,) = actions(raw, KEEPING)
    assert isinstance(action, CorrectPatient)
    assert action.values.get(MARK) == expected
    (action,) = actions(raw, TRUSTING)
    assert isinstance(action, CorrectPatient)
    assert MARK not in action.values


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        *((event, MergePatients) for event in ("A40", "A18", "A34", "A36")),  # the latter before HL7 2.3.1
        ("A47", ChangePatientId),
    ],
)
def test_a_merge_leads_the_prior_identifier_to_that_of_pid(
    event: str, kind: type[MergePatients | ChangePatientId]
) -> None:
    (action,) = actions(patient(event, mrg={1: "4712^^^HOSP^MR"}))
    assert isinstance(action, kind)
    assert (action.prior, action.into) == (OLD, NEW)
    assert action.values["00100040"]["Value"] == ["M"]


def test_a_message_may_merge_several_patients() -> None:
    pairs = []
    for number in ("1", "2"):
        pairs += [segment("PID", {**PATIENT, 3: f"{number}^^^HOSP"}), segment("MRG", {1: f"{number}9^^^HOSP"})]
    found = actions(message("ADT^A40", segment("EVN", {1: "A40"}), *pairs))
    assert [(one.prior.patient_id, one.into.patient_id) for one in found if isinstance(one, MergePatients)] == [
        ("19", "1"),
        ("29", "2"),
    ]


@pytest.mark.parametrize(
    ("raw", "spot", "code"),
    [
        (patient("A40"), "MRG", ErrorCode.SEGMENT_SEQUENCE),
        (patient("A40", mrg={1: "4712^^^EVIL"}), "MRG-1.4", ErrorCode.UNKNOWN_KEY),
        (patient("A40", mrg={1: "4712"}), "MRG-1.4", ErrorCode.UNKNOWN_KEY),
        (patient("A40", mrg={1: ""}), "MRG-1", ErrorCode.REQUIRED_FIELD_MISSING),
        (patient("A40", mrg={1: "4711^^^HOSP"}), "MRG-1", ErrorCode.DATA_TYPE),
        (patient("A40", mrg={1: f"{'1' * 65}^^^HOSP"}), "MRG-1", ErrorCode.DATA_TYPE),
        (patient("A08", pid={3: "4711^^^EVIL"}), "PID-3.4", ErrorCode.UNKNOWN_KEY),
        (patient("A08", pid={3: ""}), "PID-3", ErrorCode.REQUIRED_FIELD_MISSING),
        (message("ADT^A08"), "PID", ErrorCode.SEGMENT_SEQUENCE),
        (message("ADT^A40"), "PID", ErrorCode.SEGMENT_SEQUENCE),
    ],
)
def test_what_cannot_be_applied_is_refused_with_its_place(raw: bytes, spot: str, code: ErrorCode) -> None:
    with pytest.raises(MessageRefused) as refused:
        actions(raw)
    (problem,) = refused.value.problems
    assert (str(problem.spot), problem.code) == (spot, code)
    assert not refused.value.rejected


def test_a_sender_that_is_not_trusted_changes_no_patient() -> None:
    for raw in (patient("A08"), patient("A40", mrg={1: "4712^^^HOSP"})):
        with pytest.raises(MessageRefused, match="trusted"):
            actions(raw, DEFAULT)


def test_a_message_of_more_merges_than_can_be_meant_is_refused() -> None:
    with pytest.raises(MessageRefused, match="more than 50 patients"):
        actions(message("ADT^A40", *[segment("PID", PATIENT)] * 51))


@pytest.mark.parametrize("event", ["A60", "A24", "A37", "A43"])
def test_an_event_that_is_not_taken_is_rejected(event: str) -> None:
    """A link (A24) is no merge: who takes it for one cannot unlink (A37) what was merged."""
    with pytest.raises(MessageRefused, match="MSH-9") as refused:
        actions(patient(event, mrg={1: "4712^^^HOSP^MR"}))
    assert refused.value.rejected
