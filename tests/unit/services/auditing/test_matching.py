"""Which audit records answer a question."""

from __future__ import annotations

import pytest

from gantry.common.audit import AuditKind
from gantry.common.dicom.standard.tags import PATIENT_ID
from gantry.common.events import AuditedInstances
from gantry.common.lifecycle import patient_key
from gantry.services.auditing.matching import AuditQuestion, Latest, ResolvedTerm, answers
from tests.support.audits import audit_record

AT = audit_record().at


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (AuditQuestion(), True),
        (AuditQuestion(since_us=AT), True),
        (AuditQuestion(since_us=AT + 1), False),
        (AuditQuestion(until_us=AT), False),
        (AuditQuestion(requestor="CT1"), True),
        (AuditQuestion(requestor="CT"), False),
        (AuditQuestion(kinds=frozenset(("sent", "query"))), True),
        (AuditQuestion(kinds=frozenset(("query",))), False),
    ],
)
def test_time_requestor_and_kind(question: AuditQuestion, answer: bool) -> None:
    assert answers(question, None, audit_record()) is answer


def test_a_patient_is_meant_by_id_by_study_by_key_and_by_what_was_asked_for() -> None:
    key = patient_key({PATIENT_ID: ["4711"]}, "")
    by_study = audit_record(objects=(AuditedInstances("1.2.3"),))
    by_key = audit_record(AuditKind.PATIENT, objects=(AuditedInstances("", patient_key=key),))
    meant = ResolvedTerm.of("4711", frozenset(("1.2.3",)))
    assert all(meant.has(record) for record in (audit_record(), by_study, by_key))
    assert not ResolvedTerm.of("4711", frozenset()).has(by_study)
    assert {b"4711", b"1.2.3", key.encode()} <= set(meant.needles)


@pytest.mark.parametrize(
    ("query", "is_meant"),
    [
        (b"PatientID=4711&limit=5", True),
        (b"\x10\x00\x20\x00\x04\x00\x00\x004711\x10\x00\x30\x00\x00\x00\x00\x00", True),
        (b"PatientID=14711", False),
        (b"PatientID=4711.5", False),
        (b"", False),
    ],
)
def test_a_query_is_about_a_patient_that_it_names(query: bytes, is_meant: bool) -> None:
    record = audit_record(AuditKind.QUERY, query=query, objects=())
    assert ResolvedTerm.of("4711", frozenset()).has(record) is is_meant


def test_a_record_that_came_twice_is_listed_once_as_the_fuller_one_and_the_latest_are_kept() -> None:
    latest = Latest(2)
    for number in range(10):
        latest.take(audit_record(record=str(number), at=number, times=3))
        latest.take(audit_record(record=str(number), at=number, times=1))
    assert [(record.record, record.times) for record in latest.listed()] == [("8", 3), ("9", 3)]
    assert latest.more
