"""`gantry.common.config.access_sections`."""

from typing import Any

import pytest
from pydantic import ValidationError

from gantry.common.config.access_sections import AccessSettings, is_safe_url

ISSUER = {"name": "sso", "url": "https://sso.example/realms/h", "audience": ["gantry"]}


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://sso.example/x", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://[::1]:8080/x", True),
        ("http://sso.example/x", False),
        ("http://127.0.0.1.example/x", False),
        ("http://127.0.0.1@evil.example/x", False),
        ("file:///etc/passwd", False),
        ("https:///x", False),
        ("", False),
    ],
)
def test_keys_come_from_where_nobody_can_change_them(url: str, safe: bool) -> None:
    assert is_safe_url(url) is safe


def test_issuer_needs_little() -> None:
    settings = AccessSettings.model_validate({"issuers": [ISSUER]})
    assert settings.issuers[0].algorithms == ("RS256", "PS256", "ES256")


@pytest.mark.parametrize(
    "changed",
    [
        {"issuers": [{**ISSUER, "algorithms": ["HS256"]}]},
        {"issuers": [{**ISSUER, "algorithms": ["none"]}]},
        {"issuers": [{**ISSUER, "algorithms": []}]},
        {"issuers": [{**ISSUER, "audience": []}]},
        {"issuers": [{**ISSUER, "jwks_url": "http://sso.example/keys"}]},
        {"issuers": [{**ISSUER, "roles": ["rad=nurse"]}]},
        {"issuers": [ISSUER, {**ISSUER, "name": "other"}]},
        {"issuers": [ISSUER, {**ISSUER, "url": "https://other.example"}]},
        {"roles": ["patient=fly"]},
        {"roles": ["patient=read", "patient=store"]},
        {"sees": ["patient=nothing"]},
        {"sees": ["patient="]},
    ],
)
def test_what_is_not_understood_or_unsafe_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AccessSettings.model_validate(changed)


RECORD = {
    "name": "ehr",
    "url": "https://ehr.example",
    "audience": ["gantry"],
    "patient_claim": "patient",
    "fhir_url": "https://ehr.example/fhir",
    "patient_systems": ["urn:oid:1.2=HOSPITAL"],
}


def test_health_record_says_who_its_patients_are_here() -> None:
    assert AccessSettings.model_validate({"issuers": [RECORD]}).issuers[0].patient_systems == ("urn:oid:1.2=HOSPITAL",)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"patient_claim": ""}, "needs patient_claim"),
        ({"patient_systems": []}, "needs patient_claim"),
        ({"patient_issuer": "HOSPITAL"}, "patient_systems, not in patient_issuer"),
        ({"fhir_url": "http://ehr.example/fhir"}, "not an https URL"),
        ({"patient_systems": ["urn:oid:1.2"]}, "match pattern"),
    ],
)
def test_health_record_that_would_say_nothing_is_refused(changed: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        AccessSettings.model_validate({"issuers": [{**RECORD, **changed}]})
