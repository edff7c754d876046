"""FHIR AuditEvent (R4) after IHE BALP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gantry.common.audit import AuditKind
from gantry.common.audit.fhir import audit_event
from tests.support.audits import audit_record

OVER_HTTP = {"operation": "GET frames", "requestor": "viewer", "requestor_is": "token", "peer": ""}


def codes(event: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(agent["type"]["coding"][0]["code"], agent["requestor"]) for agent in event["agent"]]


@pytest.mark.parametrize("kind", AuditKind, ids=lambda kind: kind.word)
@pytest.mark.parametrize(
    "more",
    [{}, OVER_HTTP, {"requestor_is": "archive"}, {"requestor_is": "ae", "user": "sso:jane"}],
    ids=["dimse", "http", "archive", "user"],
)
def test_every_event_has_what_r4_requires(kind: AuditKind, more: dict[str, object]) -> None:
    """AuditEvent: type, recorded, agent with requestor, source with observer."""
    event = audit_event(audit_record(kind, **more))
    assert event["resourceType"] == "AuditEvent"
    assert {"system", "code"} <= set(event["type"])
    assert event["recorded"] == "2023-11-14T22:13:21.500000Z"
    assert event["action"] in set("CRUDE")
    assert event["outcome"] in {"0", "4", "8", "12"}
    assert sum(agent["requestor"] for agent in event["agent"]) == 1
    assert event["source"]["observer"]
    for entity in event.get("entity", []):
        # R4 sev-1: an entity has a name or a query, not both.
        assert not ("name" in entity and "query" in entity)
    json.dumps(event)


def test_a_read_over_http_is_the_patient_read_of_balp() -> None:
    event = audit_event(audit_record(**OVER_HTTP))  # type: ignore[arg-type]
    assert event["meta"]["profile"] == [
        "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead"
    ]
    assert event["type"]["code"] == "rest"
    assert event["subtype"][0]["code"] == "read"
    # The data flow to the client: it is the destination.
    assert codes(event) == [("110152", False), ("110153", False), ("IRCP", True)]
    roles = [entity["role"]["code"] for entity in event["entity"] if "role" in entity]
    assert roles == ["1", "4"]


def test_a_search_over_http_is_the_query_of_balp_in_which_the_client_is_the_source() -> None:
    event = audit_event(
        audit_record(AuditKind.QUERY, **{**OVER_HTTP, "query": b"PatientID=1", "objects": ()})  # type: ignore[arg-type]
    )
    assert event["meta"]["profile"] == ["https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.Query"]
    assert codes(event)[:2] == [("110153", False), ("110152", False)]
    (query,) = [entity for entity in event["entity"] if "query" in entity]
    assert "name" not in query
    assert (query["query"], query["role"]["code"]) == ("UGF0aWVudElEPTE=", "24")


def test_what_failed_claims_no_profile_of_success_and_dimse_has_the_codes_of_dicom() -> None:
    assert "meta" not in audit_event(audit_record(**{**OVER_HTTP, "outcome": 8}))  # type: ignore[arg-type]
    event = audit_event(audit_record())
    assert event["type"] == {
        "system": "http://dicom.nema.org/resources/ontology/DCM",
        "code": "110104",
        "display": "DICOM Instances Transferred",
    }


def test_user_who_worked_at_an_ae_is_the_requestor() -> None:
    event = audit_event(audit_record(AuditKind.QUERY, requestor_is="ae", user="sso:jane"))
    (user,) = [agent for agent in event["agent"] if agent["requestor"]]
    assert user["who"] == {"identifier": {"value": "sso:jane"}}


def test_a_change_of_a_peer_says_which_fields_it_changed() -> None:
    event = audit_event(
        audit_record(AuditKind.POLICY, operation="add peer CT9", query=b'{"port": [null, 104]}', query_class="peer")
    )
    (about,) = [entity for entity in event["entity"] if entity.get("name") == "add peer CT9"]
    assert about["detail"] == [{"type": "changed fields", "valueString": '{"port": [null, 104]}'}]
