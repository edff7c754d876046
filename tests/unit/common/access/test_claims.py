"""`gantry.common.access.claims`: the user, audience and validity of claims."""

from dataclasses import replace
from typing import Any

import pytest

from gantry.common.access import CallerRole, ClaimNames, IssuerRules, Means, claims_of, identity_of
from gantry.common.errors import TokenRefused

NOW = 1_700_000_000
URL = "https://sso.example/realms/hospital"
NAMES = ClaimNames(
    roles="realm_access.roles",
    referrer="dicom.referrer",
    referrer_id="ids",
    patient="mrn",
    patient_issuer="HOSPITAL",
    institution="site",
    department="unit",
)
RULES = IssuerRules(
    "sso", URL, frozenset(("gantry",)), frozenset(("dicom",)), 30.0, NAMES, {"rad": CallerRole.RADIOLOGIST}
)
GOOD: dict[str, Any] = {"iss": URL, "aud": "gantry", "sub": "u1", "exp": NOW + 60, "scope": "openid dicom"}


def refusal(**changed: Any) -> str:
    claims = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    try:
        identity_of(claims_of(claims, RULES, NOW), RULES)
    except TokenRefused as refused:
        return refused.kind
    return ""


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, ""),
        ({"aud": ["other", "gantry"]}, ""),
        ({"aud": ["other"]}, "audience"),
        ({"aud": "gantry2"}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": {"gantry": 1}}, "audience"),
        ({"iss": URL + "/"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"exp": NOW - 29}, ""),
        ({"exp": NOW - 30}, "expired"),
        ({"exp": None}, "malformed"),
        ({"exp": True}, "malformed"),
        ({"exp": float("inf")}, "malformed"),
        ({"exp": float("nan")}, "malformed"),
        ({"exp": 10**400}, "malformed"),
        ({"exp": str(NOW + 60)}, "malformed"),
        ({"nbf": NOW + 30}, ""),
        ({"nbf": NOW + 31}, "early"),
        ({"nbf": "now"}, "malformed"),
        ({"scope": "openid"}, "scope"),
        ({"scope": None, "scp": ["dicom"]}, ""),
        ({"scope": "dicom2"}, "scope"),
        ({"sub": None}, "subject"),
        ({"sub": 5}, "subject"),
        ({"sub": "a\nb"}, "subject"),
        ({"sub": "x" * 257}, "subject"),
    ],
)
def test_token_is_refused_for_a_reason(changed: dict[str, Any], kind: str) -> None:
    assert refusal(**changed) == kind


def test_identity_is_what_the_claims_say() -> None:
    claims = {
        **GOOD,
        "preferred_username": "jdoe",
        "realm_access": {"roles": ["rad", "unknown", 7]},
        "dicom": {"referrer": "Doe^Jane"},
        "ids": ["4711", "4712", "4711"],
        "mrn": "P1",
        "site": ["North", " ", "x" * 300],
        "unit": "Cardiology",
    }
    identity = identity_of(claims, RULES)
    assert (identity.subject, identity.name, identity.means, identity.issuer) == ("u1", "sso:jdoe", Means.ISSUER, "sso")
    assert identity.roles == {CallerRole.RADIOLOGIST}
    assert identity.facts.referrers == ("Doe^Jane",)
    assert identity.facts.referrer_ids == ("4711", "4712")
    assert identity.facts.patients == (("P1", "HOSPITAL"),)
    assert identity.facts.institutions == ("North",)
    assert identity.facts.departments == ("Cardiology",)


@pytest.mark.parametrize(
    ("said", "record"),
    [
        ("123", "https://ehr.example/fhir/Patient/123"),
        (["123"], "https://ehr.example/fhir/Patient/123"),
        (["123", "124"], ""),
        ("../Binary/1", ""),
        (None, ""),
    ],
)
def test_patient_of_a_health_record_is_no_patient_id_here(said: Any, record: str) -> None:
    rules = replace(RULES, fhir_url="https://ehr.example/fhir")
    facts = identity_of({**GOOD, "mrn": said}, rules).facts
    assert (facts.record, facts.patients) == (record, ())


@pytest.mark.parametrize("name", [None, "", "a\nb", "x" * 65, ["x" * 65], 5])
def test_name_that_logs_cannot_show_is_the_subject(name: Any) -> None:
    assert identity_of({**GOOD, "preferred_username": name}, RULES).name == "sso:u1"


def test_claim_whose_own_name_has_dots_is_found() -> None:
    rules = IssuerRules(
        "sso", URL, frozenset(), claims=ClaimNames(roles="https://x.example/roles"), roles={"r": CallerRole.SERVICE}
    )
    assert identity_of({**GOOD, "https://x.example/roles": "r s"}, rules).roles == {CallerRole.SERVICE}


@pytest.mark.parametrize("value", ["rad", {"roles": {"rad": 1}}, None, [["rad"]]])
def test_roles_of_another_shape_are_none(value: Any) -> None:
    assert identity_of({**GOOD, "realm_access": value}, RULES).roles == frozenset()
