"""`gantry.common.access.sight`: which studies an identity sees, decided by the matcher of the index."""

from typing import Any

import pytest

from gantry.common.access import (
    EVERYTHING,
    SIGHT,
    CallerRole,
    Facts,
    Identity,
    Means,
    Sight,
    SightRules,
    restricted,
    rules_of,
    sight_of,
    without_confidential,
)
from gantry.common.access.sight import DEFAULT_RULES, NOTHING, ORDINARY, Rule
from gantry.common.dicom.query.matching import Document, Level, Query, matches
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import NotUnderstood

FACTS = Facts(("Doe^Jane",), ("4711",), (("P1", "HOSPITAL"), ("P2", "")), ("North",), ("Cardiology",))


def of(*roles: str, facts: Facts = FACTS) -> Identity:
    return Identity("s", "sso:s", Means.ISSUER, frozenset(map(CallerRole, roles)), facts)


def sees(identity: Identity, rules: SightRules = SightRules(), **attributes: Any) -> bool:
    sight = sight_of(identity, rules)
    if sight.alternatives is None:
        return True
    values = {TAGS[name]: [value] for name, value in attributes.items()}
    document = Document(Level.STUDY, values)
    return any(matches(Query("default", Level.STUDY, conditions), document) for conditions in sight.alternatives)


@pytest.mark.parametrize("role", ["technologist", "radiologist", "administrator", "service"])
def test_who_works_here_sees_everything(role: str) -> None:
    assert sight_of(of(role), SightRules()) is EVERYTHING
    assert sight_of(of(role, "patient"), SightRules()) is EVERYTHING


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
    assert sight_of(of(role, facts=Facts()), SightRules()) == NOTHING
    assert not NOTHING.whole


def test_a_fact_is_a_value_and_no_pattern() -> None:
    assert not sees(of("patient", facts=Facts(patients=(("*", ""),))), PatientID="P1")
    assert not sees(of("referrer", facts=Facts(referrers=("*",))), ReferringPhysicianName={"Alphabetic": "Doe^Jane"})


def test_rules_can_be_replaced() -> None:
    rules = rules_of(["technologist=institution", "referrer=all"])
    assert rules == SightRules({CallerRole.TECHNOLOGIST: {Rule.INSTITUTION}, CallerRole.PATIENT: {Rule.RECORD}})
    assert rules_of([]) == SightRules(DEFAULT_RULES, None)
    assert sees(of("technologist"), rules, InstitutionName="North")
    assert not sees(of("technologist"), rules, InstitutionName="South")
    by_department = rules_of(["technologist=department,institution"])
    assert sees(of("technologist"), by_department, InstitutionalDepartmentName="Cardiology")
    assert sees(of("technologist"), by_department, InstitutionName="North")
    assert not sees(of("technologist"), by_department, InstitutionalDepartmentName="Radiology")
    assert not sees(of("technologist", facts=Facts()), by_department, InstitutionalDepartmentName="Cardiology")


@pytest.mark.parametrize("line", ["nurse=all", "patient=mine", "patient=", "patient=all,record"])
def test_rule_that_is_not_understood_is_refused(line: str) -> None:
    with pytest.raises(NotUnderstood):
        rules_of([line])


CONFIDENTIAL = {"ConfidentialityConstraintOnPatientDataDescription": "VIP"}


@pytest.mark.parametrize(
    ("roles", "attributes", "seen"),
    [
        (["radiologist"], {}, True),
        (["radiologist"], CONFIDENTIAL, False),
        (["radiologist"], {"ConfidentialityConstraintOnPatientDataDescription": ""}, True),
        (["administrator"], CONFIDENTIAL, True),
        (["radiologist", "administrator"], CONFIDENTIAL, True),
        (["technologist"], {"InstitutionName": "North"}, True),
        (["technologist"], {"InstitutionName": "North", **CONFIDENTIAL}, False),
        (["technologist", "radiologist"], {"InstitutionName": "South"}, True),
        (["technologist", "radiologist"], {"InstitutionName": "North", **CONFIDENTIAL}, False),
        (["referrer"], {"ReferringPhysicianName": {"Alphabetic": "Doe^Jane"}, **CONFIDENTIAL}, False),
        (["patient"], {"PatientID": "P2", **CONFIDENTIAL}, True),
        (["patient"], {"PatientID": "P3"}, False),
        ([], CONFIDENTIAL, True),
    ],
)
def test_confidential_studies_are_seen_by_roles_that_are_named(
    roles: list[str], attributes: dict[str, Any], seen: bool
) -> None:
    rules = rules_of(["technologist=institution"], ["administrator", "patient"])
    assert sees(of(*roles), rules, **attributes) is seen


@pytest.mark.parametrize(
    ("roles", "whole", "ordinary"),
    [
        (["administrator"], True, True),
        (["radiologist"], False, True),
        (["radiologist", "referrer"], False, True),
        (["referrer"], False, False),
    ],
)
def test_who_sees_all_but_what_is_confidential_is_told_apart(roles: list[str], whole: bool, ordinary: bool) -> None:
    sight = sight_of(of(*roles), rules_of([], ["administrator"]))
    assert (sight.whole, sight.all_ordinary) == (whole, ordinary)


def test_confidential_is_taken_from_any_sight() -> None:
    assert without_confidential(EVERYTHING) == Sight((ORDINARY,))
    assert without_confidential(NOTHING) == NOTHING
    assert not without_confidential(NOTHING).all_ordinary
    record = sight_of(of("patient"), SightRules())
    assert all(conditions.keys() >= ORDINARY.keys() for conditions in without_confidential(record).alternatives or ())


def test_role_that_is_none_is_refused() -> None:
    with pytest.raises(NotUnderstood):
        rules_of([], ["nurse"])


def test_sight_ends_with_its_block() -> None:
    with restricted(NOTHING):
        assert SIGHT.get() is NOTHING
    assert SIGHT.get() is EVERYTHING
