"""What reports say: how far they are, of which order and patient, and their text."""

from __future__ import annotations

import pytest

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.hl7.actions import Action, Nothing, ReportOrder, in_words
from gantry.common.hl7.message import parse
from gantry.common.hl7.orders import MessageOrigin
from gantry.common.hl7.problems import ErrorCode, MessageRefused
from gantry.common.hl7.profiles import DEFAULT
from gantry.common.hl7.reports import report_actions
from gantry.common.lifecycle.identity import PatientIdentity
from gantry.common.orders import ReportStatus
from tests.support.messages import PATIENT, message, report, segment


def actions(raw: bytes) -> list[Action]:
    parsed = parse(raw.decode())
    return report_actions(parsed, DEFAULT, MessageOrigin.of(parsed, "c"))


def only(raw: bytes) -> ReportOrder:
    (action,) = actions(raw)
    assert isinstance(action, ReportOrder)
    return action


def text_of(raw: bytes) -> str:
    return str(only(raw).report.attributes[TAGS["TextValue"]][0])


def refusal(raw: bytes) -> tuple[list[ErrorCode], str]:
    with pytest.raises(MessageRefused) as refused:
        actions(raw)
    return [problem.code for problem in refused.value.problems], str(refused.value)


def test_report_says_order_patient_who_and_when() -> None:
    action = only(report())
    assert (action.patient, action.documents) == (PatientIdentity("4711", "HOSP"), 0)
    order_report = action.report
    assert (order_report.order, order_report.status, order_report.message, order_report.change) == (
        "A100",
        ReportStatus.FINAL,
        "REP1",
        "c-1",
    )
    assert order_report.attributes == {
        TAGS["TextValue"]: ["Impression:\nNo fracture."],
        TAGS["VerifyingObserverName"]: [{"Alphabetic": "MEYER^EVA^^Dr."}],
        TAGS["ObservationDateTime"]: ["202611281215"],
        TAGS["RequestedProcedureDescription"]: ["CT of the head"],
    }
    assert in_words(action) == "report on order A100: final"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        *(("P", "preliminary"), ("R", "preliminary"), ("A", "preliminary")),
        *(("F", "final"), ("C", "corrected"), ("X", "cancelled")),
    ],
)
def test_statuses_of_table_0123(code: str, status: str) -> None:
    assert only(report(code)).report.status.value == status


@pytest.mark.parametrize("code", ["O", "I", "S"])
def test_status_of_the_examination_is_acknowledged_and_no_report(code: str) -> None:
    (action,) = actions(report(code))
    assert isinstance(action, Nothing)


def test_text_has_lines_headings_codes_numbers_and_what_nobody_escaped() -> None:
    more = (
        segment("OBX", {2: "FT", 3: "IMP^Impression", 5: r"One.\.br\Two \T\ three.~Four & five^six"}),
        segment("OBX", {2: "CWE", 3: "C^Code", 5: "1^benign~2^cyst"}),
        segment("OBX", {2: "NM", 3: "D^Dose", 5: "12", 6: "mGy"}),
        segment("OBX", {2: "ST", 3: "D^Dose", 5: '""'}),
        segment("NTE", {3: "a note"}),
    )
    lines = ["Impression:", "No fracture.", "One.", "Two & three.", "Four & five^six"]
    assert text_of(report(more=more)).split("\n") == [*lines, "Code:", "benign, cyst", "Dose:", "12 mGy"]


def test_control_characters_are_left_out() -> None:
    assert text_of(report(text=r"a\X07\b\X1B\c")) == "Impression:\nabc"


def test_documents_are_counted_and_left_out() -> None:
    more = (segment("OBX", {2: "ED", 3: "PDF^Report", 5: "^application^pdf^Base64^JVBERi0="}),)
    action = only(report(more=more))
    assert action.documents == 1
    assert in_words(action).endswith("1 documents are not kept")
    assert "JVBER" not in str(action.report.attributes)


def test_parts_of_one_order_are_one_report_that_is_as_final_as_the_least_of_them() -> None:
    obr = {18: "A100", 25: "P"}
    more = (
        *(segment("OBR", obr), segment("OBX", {2: "TX", 5: "Part two."})),
        *(segment("ORC", {1: "RE"}), segment("OBR", {18: "A200", 25: "F"}), segment("OBX", {2: "TX", 5: "Another."})),
    )
    first, second = actions(report(more=more))
    assert isinstance(first, ReportOrder)
    assert isinstance(second, ReportOrder)
    assert (first.report.status.value, second.report.status.value) == ("preliminary", "final")
    assert first.report.attributes[TAGS["TextValue"]] == ["Impression:\nNo fracture.\n\nPart two."]
    assert (second.report.order, second.report.change) == ("A200", "c-2")


@pytest.mark.parametrize(
    ("raw", "code", "words"),
    [
        (report(""), ErrorCode.REQUIRED_FIELD_MISSING, "OBR-25"),
        (report("Z"), ErrorCode.TABLE_VALUE_NOT_FOUND, "OBR-25"),
        (report(obr={18: "", 2: "", 3: "", 19: ""}), ErrorCode.REQUIRED_FIELD_MISSING, "OBR-18"),
        (report(obr={18: "A" * 17}), ErrorCode.DATA_TYPE, "OBR-18"),
        (report(pid={3: ""}), ErrorCode.REQUIRED_FIELD_MISSING, "PID-3"),
        (report(obr={32: "&ME=YER&EVA"}), ErrorCode.DATA_TYPE, "OBR-32"),
        (message("ORU^R01", segment("PID", PATIENT)), ErrorCode.SEGMENT_SEQUENCE, "OBR"),
        (message("ORU^R01", segment("OBR", {18: "A1", 25: "F"})), ErrorCode.SEGMENT_SEQUENCE, "PID"),
        (
            message("ORU^R01", segment("PID", PATIENT), *[segment("OBR", {18: "A1", 25: "F"})] * 201),
            ErrorCode.SEGMENT_SEQUENCE,
            "200",
        ),
    ],
    ids=["no status", "unknown status", "no order", "long", "no patient", "name", "no OBR", "no PID", "many"],
)
def test_what_is_wrong_is_said_with_its_place(raw: bytes, code: ErrorCode, words: str) -> None:
    codes, explanation = refusal(raw)
    assert code in codes
    assert words in explanation
