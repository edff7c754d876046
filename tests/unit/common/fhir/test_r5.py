"""What differs in FHIR R5. That it is valid, HL7's own validator says (tests/e2e/test_fhir.py)."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from gantry.common.fhir.capabilities import capability_statement
from gantry.common.fhir.r5 import as_r5
from gantry.common.fhir.resources import outcome

CODING = {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}
STUDY: dict[str, Any] = {
    "resourceType": "ImagingStudy",
    "id": "1.2.3",
    "contained": [
        {
            "resourceType": "Endpoint",
            "id": "wado",
            "status": "active",
            "connectionType": {"code": "dicom-wado-rs"},
            "payloadType": [{"text": "DICOM"}],
            "payloadMimeType": ["application/dicom"],
            "address": "https://archive.example/dicom-web",
        }
    ],
    "modality": [CODING],
    "procedureCode": [{"text": "CT of the neck"}],
    "description": "neck",
    "series": [
        {"uid": "1.2.3.1", "modality": CODING, "laterality": {"code": "7771000"}, "bodySite": {"display": "HAND"}},
        {"uid": "1.2.3.2", "modality": CODING},
    ],
}
ORDER: dict[str, Any] = {
    "resourceType": "ServiceRequest",
    "id": "A1",
    "status": "active",
    "code": {"text": "CT"},
    "reasonCode": [{"text": "Fall"}],
}


def test_a_study_has_concepts_where_it_had_codings() -> None:
    made = as_r5(STUDY)
    assert made["modality"] == [{"coding": [CODING]}]
    assert made["procedure"] == [{"concept": {"text": "CT of the neck"}}]
    assert "procedureCode" not in made
    first, second = made["series"]
    assert first["modality"] == {"coding": [CODING]}
    assert first["laterality"] == {"coding": [{"code": "7771000"}]}
    assert first["bodySite"] == {"concept": {"text": "HAND"}}
    assert set(second) == {"uid", "modality"}
    assert (made["id"], made["description"]) == ("1.2.3", "neck")


def test_its_endpoint_says_types_and_mime_types_together() -> None:
    (made,) = as_r5(STUDY)["contained"]
    assert made["connectionType"] == [{"coding": [{"code": "dicom-wado-rs"}]}]
    assert made["payload"] == [{"type": [{"text": "DICOM"}], "mimeType": ["application/dicom"]}]
    assert not {"payloadType", "payloadMimeType"} & set(made)


def test_a_study_of_a_search_has_no_series_and_nothing_empty() -> None:
    bare = {name: value for name, value in STUDY.items() if name not in ("series", "procedureCode", "modality")}
    assert not {"series", "procedure", "modality"} & set(as_r5(bare))


def test_an_order_has_references_where_it_had_concepts() -> None:
    made = as_r5(ORDER)
    assert (made["code"], made["reason"]) == ({"concept": {"text": "CT"}}, [{"concept": {"text": "Fall"}}])
    assert "reasonCode" not in made
    assert set(as_r5({"resourceType": "ServiceRequest", "id": "A1"})) == {"resourceType", "id"}


def test_all_that_is_in_a_bundle_is_r5() -> None:
    entries = [{"fullUrl": "a", "resource": STUDY, "search": {"mode": "match"}}, {"fullUrl": "b", "resource": ORDER}]
    made = as_r5({"resourceType": "Bundle", "type": "searchset", "entry": entries})
    assert [entry["resource"] for entry in made["entry"]] == [as_r5(STUDY), as_r5(ORDER)]
    assert made["entry"][0]["search"] == {"mode": "match"}
    assert as_r5({"resourceType": "Bundle", "type": "searchset"}) == {"resourceType": "Bundle", "type": "searchset"}


def test_what_differs_in_nothing_stays_and_what_was_given_is_not_changed() -> None:
    assert as_r5(outcome("invalid", "no")) == outcome("invalid", "no")
    before = deepcopy(STUDY)
    as_r5(STUDY)
    assert before == STUDY


def test_capabilities_name_r5_and_the_topic_of_subscriptions_as_a_resource() -> None:
    made = as_r5(capability_statement("1", "2026-01-02", "https://archive.example/fhir/r5", "urn:topic"))
    assert made["fhirVersion"] == "5.0.0"
    assert "instantiates" not in made
    types = [resource["type"] for resource in made["rest"][0]["resource"]]
    assert types == ["ImagingStudy", "Patient", "ServiceRequest", "Subscription", "SubscriptionTopic"]
