"""`gantry.common.access.sight`: which studies an identity sees, decided by the matcher of the index."""

from typing import Any

import pytest

from gantry.common.access import EVERYTHING, SIGHT, CallerRole, Facts, Identity, Means, restricted, rules_of, sight_of
from gantry.common.access.sight import DEFAULT_RULES, NOTHING, Rule
from gantry.common.dicom.query.matching import Document, Level, Query, matches
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import NotUnderstood

FACTS = Facts(("Doe^Jane",), ("4711",), (("P1", "HOSPITAL"), ("P2", "")), ("North",))


def of(*roles: str, facts: Facts = FACTS) -> Identity:
    return Identity("s", "sso:s", Means.ISSUER, frozenset(map(CallerRole, roles)), facts)


def sees(identity: Identity, rules: Any = DEFAULT_RULES, **attributes: Any) -> bool:
    sight = sight_of(identity, rules)
    if sight.alternatives is None:
        return True
    values = {TAGS[name]: [value] for name, value in attributes.items()}
    document = Document(Level.STUDY, values)
    return any(matches(Query("default", Level.STUDY, one), document) for one in sight.alternatives)


@pytest.mark.parametrize("role", ["technologist", "radiologist", "administrator", "service"])
def test_who_works_here_sees_everything(role: str) -> None:
    assert sight_of(of(role), DEFAULT_RULES) is EVERYTHING
    assert sight_of(of(role, "patient"), DEFAULT_RULES) is EVERYTHING


CODE = {TAGS["PersonIdentificationCodeSequence"]: [{TAGS["CodeValue"]: ["4711"]}]}


@pytest.mark.parametrize(
    ("role", "attributes", "seen"),
    [
        ("referrer", {"ReferringPhysicianName": {"Alphabetic": "Doe^Jane"}}, True),
        ("referrer", {"ReferringPhysicianName": {"Alphabetic": "DOE^JANE"}}, True),
        ("referrer", {"ReferringPhysicianName": {"Alphabetic": "Doe^Janet"}}, False),
        ("referrer", {"ReferringPhysicianName": {"Alphabetic": "Doe"}}, False),
        ("referrer", {"ReferringPhysicianName": ""}, False),
        ("referrer", {"ReferringPhysicianIdentificationSequence": CODE}, True),
        ("referrer", {"PatientID": "P1", "IssuerOfPatientID": "HOSPITAL"}, False),
        ("patient", {"PatientID": "P1", "IssuerOfPatientID": "HOSPITAL"}, True),
        ("patient", {"PatientID": "P1", "IssuerOfPatientID": "OTHER"}, False),
        ("patient", {"PatientID": "P1"}, False),
        ("patient", {"PatientID": "P2", "IssuerOfPatientID": "ANY"}, True),
        ("patient", {"PatientID": "P3"}, False),
        ("patient", {}, False),
    ],
)
def test_role_sees_its_own(role: str, attributes: dict[str, Any], seen: bool) -> None:
    assert sees(of(role), **attributes) is seen


def test_two_restricted_roles_see_what_either_sees() -> None:
    both = of("patient", "referrer")
    assert sees(both, PatientID="P2")
    assert sees(both, ReferringPhysicianName={"Alphabetic": "Doe^Jane"})
    assert not sees(both, PatientID="P3")


@pytest.mark.parametrize("role", ["patient", "referrer"])
def test_role_without_facts_sees_nothing(role: str) -> None:
    assert sight_of(of(role, facts=Facts()), DEFAULT_RULES) == NOTHING
    assert not NOTHING.whole


def test_a_fact_is_a_value_and_no_pattern() -> None:
    assert not sees(of("patient", facts=Facts(patients=(("*", ""),))), PatientID="P1")
    assert not sees(of("referrer", facts=Facts(referrers=("*",))), ReferringPhysicianName={"Alphabetic": "Doe^Jane"})


def test_rules_can_be_replaced() -> None:
    rules = rules_of(["technologist=institution", "referrer=all"])
    assert rules == {CallerRole.TECHNOLOGIST: {Rule.INSTITUTION}, CallerRole.PATIENT: {Rule.RECORD}}
    assert sees(of("technologist"), rules, InstitutionName="North")
    assert not sees(of("technologist"), rules, InstitutionName="South")


@pytest.mark.parametrize("line", ["nurse=all", "patient=mine", "patient=", "patient=all,record"])
def test_rule_that_is_not_understood_is_refused(line: str) -> None:
    with pytest.raises(NotUnderstood):
        rules_of([line])


def test_sight_ends_with_its_block() -> None:
    with restricted(NOTHING):
        assert SIGHT.get() is NOTHING
    assert SIGHT.get() is EVERYTHING
