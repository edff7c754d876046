"""Audit records as FHIR AuditEvents (R4), looked at by HL7's own validator: one of each kind, from every door."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gantry.common.audit import AuditKind
from gantry.common.audit.fhir import audit_event
from tests.support.audits import audit_record
from tests.support.hl7_validator import validated

pytestmark = pytest.mark.timeout(600)  # the first run fetches the validator
BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/"
DOORS: dict[str, dict[str, object]] = {
    "dimse": {},
    "http": {"operation": "GET frames", "requestor": "viewer", "requestor_is": "token", "peer": ""},
    "archive": {"requestor_is": "archive"},
    "user": {"requestor_is": "ae", "user": "sso:jane"},
    "failed": {"outcome": 8, "why": "no such study", "query": b"PatientID=1"},
}


def test_audit_events_of_every_kind_are_valid_by_the_definitions_of_hl7(tmp_path: Path) -> None:
    for kind in AuditKind:
        for door, more in DOORS.items():
            event = audit_event(audit_record(kind, **more))  # type: ignore[arg-type]
            (tmp_path / f"{kind.word}-{door}.json").write_text(json.dumps(event))
    (tmp_path / "wrong.json").write_text('{"resourceType": "AuditEvent", "action": "Z"}')
    lines = validated(tmp_path)
    assert len([line for line in lines if line.endswith(" validated")]) == len(AuditKind) * len(DOORS) + 1
    assert any(line.startswith("wrong.json ERROR") for line in lines), "it looks"
    errors = [line for line in lines if " ERROR " in line and not line.startswith("wrong.json")]
    # The profiles of IHE are not of HL7, and not at hand: tests/unit/common/audit/test_fhir.py compares with them.
    assert [line for line in errors if BALP not in line] == []
