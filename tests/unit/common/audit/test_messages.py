"""AuditMessage, against the schema of PS3.15 A.5.1 and the messages of A.5.3."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace

import pytest

from gantry.common.audit import AuditKind
from gantry.common.audit.messages import audit_message
from gantry.common.events import AuditedInstances
from tests.support.audit_schema import require_valid
from tests.support.audits import audit_record


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"requestor": "", "address": "", "objects": ()},
        {"requestor_is": "archive", "requestor": "archive", "peer": "", "peer_address": ""},
        {"peer": "READING", "peer_address": "reading.example"},
        {"query": b"\x08\x00\x52\x00\x06\x00\x00\x00STUDY ", "query_class": "1.2.840.10008.5.1.4.1.2.2.1"},
        {"query": b'{"may": [null, ["store"]]}', "query_class": "peer", "operation": "change peer CT9", "objects": ()},
        {"why": 'a "bad" <thing>\nand & more', "outcome": 8, "operation": "  GET  frames "},
        {"objects": (AuditedInstances("", patient_key="ab12"),), "times": 12},
        {"process": "", "kind": "of tomorrow"},
        {"user": "sso:jane"},
        {"deidentified_by": "research", "times": 3},
        {"deidentified_by": "research", "outcome": 8},
    ],
)
def test_a_message_of_every_kind_is_valid(more: dict[str, object]) -> None:
    wrong = dict[str, str]()
    for kind in AuditKind:
        try:
            require_valid(audit_message(replace(audit_record(kind), **more)))
        except AssertionError as error:
            wrong[kind.word] = str(error)
    assert wrong == {}


@pytest.mark.parametrize(
    "wrong",
    [
        b"<AuditMessage/>",
        audit_message(audit_record()).replace(b'csd-code="110104"', b'code="110104"'),
        audit_message(audit_record()).replace(b'EventOutcomeIndicator="0"', b'EventOutcomeIndicator="1"'),
        audit_message(audit_record()).replace(b'UserIsRequestor="true"', b""),
        audit_message(audit_record()).replace(b"<ParticipantObjectName>C-GET</ParticipantObjectName>", b""),
    ],
)
def test_the_schema_of_the_tests_refuses_what_is_wrong(wrong: bytes) -> None:
    with pytest.raises(AssertionError):
        require_valid(wrong)


@pytest.mark.parametrize("kind", [AuditKind.SENT, AuditKind.BEGIN_SENDING, AuditKind.PROCEDURE_SENT])
def test_what_was_sent_to_somebody_else_has_three_participants(kind: AuditKind) -> None:
    """PS3.15 A.5.3.7: the sender, the receiver, and who asked for it."""
    record = replace(audit_record(kind), peer="READING", peer_address="192.0.2.9")
    message = require_valid(audit_message(record))
    values = [
        (p.get("UserID"), p.get("UserIsRequestor"), [role.get("csd-code") for role in p.iter("RoleIDCode")])
        for p in message.iter("ActiveParticipant")
    ]
    assert values == [
        ("CT1", "true", []),
        ("archive1:4711", "false", ["110153"]),
        ("READING", "false", ["110152"]),
    ]


def test_a_study_says_its_instances_by_sop_class_and_the_patient_has_an_id_and_no_name() -> None:
    message = require_valid(audit_message(audit_record()))
    study, patient = message.iter("ParticipantObjectIdentification")
    assert study.get("ParticipantObjectID") == "1.2.3"
    assert [(c.get("UID"), c.get("NumberOfInstances")) for c in study.iter("SOPClass")] == [
        ("1.2.840.10008.5.1.4.1.1.2", "2"),
        ("1.2.840.10008.5.1.4.1.1.4", "1"),
    ]
    assert patient.get("ParticipantObjectID") == "4711^^^HOSPITAL"
    name = patient.find("ParticipantObjectName")
    assert name is not None
    assert not name.text


def test_what_was_de_identified_says_so_and_by_which_profile() -> None:
    """PS3.15 A.5.1: Anonymized."""
    record = replace(audit_record(AuditKind.SENT), deidentified_by="research")
    for outcome, texts in ((0, ["true"]), (8, [])):
        message = require_valid(audit_message(replace(record, outcome=outcome)))
        assert [node.text for node in message.iter("Anonymized")] == texts
        details = {
            detail.get("type"): b64decode(detail.get("value", "")) for detail in message.iter("ParticipantObjectDetail")
        }
        assert details["de-identification profile"] == b"research"


def test_a_query_has_its_identifier_to_the_byte() -> None:
    identifier = bytes(range(256))
    message = require_valid(
        audit_message(audit_record(AuditKind.QUERY, query=identifier, query_class="1.2.3", objects=()))
    )
    (about,) = message.iter("ParticipantObjectIdentification")
    assert about.get("ParticipantObjectID") == "1.2.3"
    assert b64decode(about.findtext("ParticipantObjectQuery") or "") == identifier


def test_user_who_worked_at_an_ae_is_the_requestor() -> None:
    message = audit_message(
        replace(audit_record(AuditKind.QUERY), requestor="READING", requestor_is="ae", user="sso:jane")
    )
    assert b'UserID="sso:jane" UserIsRequestor="true"' in message
    assert b'UserID="READING" UserIsRequestor="false"' in message


def test_a_change_of_a_peer_says_which_fields_it_changed() -> None:
    fields = b'{"may": [null, ["store"]]}'
    record = replace(
        audit_record(AuditKind.POLICY), operation="change peer CT9", query=fields, query_class="peer", objects=()
    )
    message = require_valid(audit_message(record))
    (about,) = message.iter("ParticipantObjectIdentification")
    assert about.get("ParticipantObjectID") == "change peer CT9"
    (detail,) = about.iter("ParticipantObjectDetail")
    assert (detail.get("type"), b64decode(detail.get("value", ""))) == ("changed fields", fields)
