"""Which profile a sender has, and whom it names."""

from __future__ import annotations

import pytest

from gantry.common.config.hl7_sections import Hl7ProfileSettings
from gantry.common.errors import NotUnderstood
from gantry.common.hl7.fields import FieldPath
from gantry.common.hl7.message import Delimiters, Field, parse
from gantry.common.hl7.profiles import DEFAULT, SenderProfile, profile_for, profile_of
from gantry.common.lifecycle.identity import PatientIdentity


def profile(**settings: object) -> SenderProfile:
    return profile_of(Hl7ProfileSettings.model_validate({"sender": "RIS^HOSPITAL", **settings}))


def ids(text: str) -> list[Field]:
    return [Field(one, Delimiters()) for one in text.split("~") if one]


@pytest.mark.parametrize(
    ("sender", "source", "matches"),
    [
        ("RIS^HOSPITAL", "RIS^HOSPITAL", True),
        ("RIS^HOSPITAL", "RIS^OTHER", False),
        ("RIS", "RIS^OTHER", True),
        ("RIS*^*", "RIS2^", True),
        ("*", "ANY^WHERE", True),
        ("ris", "RIS^X", False),
    ],
)
def test_a_profile_is_that_of_the_senders_it_names(sender: str, source: str, matches: bool) -> None:
    assert profile(sender=sender).matches(source) is matches


def test_the_first_profile_that_matches_counts_else_the_default() -> None:
    north, south = profile(sender="RIS^NORTH"), profile(sender="RIS^*")
    message = parse("MSH|^~\\&|RIS|NORTH")
    assert profile_for([north, south], message) is north
    assert profile_for([south, north], message) is south
    assert profile_for([north], parse("MSH|^~\\&|RIS|WEST")) is DEFAULT
    assert DEFAULT.accession[:2] == (FieldPath("IPC", 1), FieldPath("OBR", 18))


def test_the_issuer_of_an_authority_is_what_the_profile_calls_it() -> None:
    made = profile(authorities=["HOSP", "CLINIC=MAIN", "OLD=", "=MAIN"])
    assert [made.issuer(name) for name in ("HOSP", "CLINIC", "OLD", "", "OTHER")] == [
        "HOSP",
        "MAIN",
        "",
        "MAIN",
        "OTHER",
    ]


@pytest.mark.parametrize(
    ("text", "trusted", "untrusted"),
    [
        ("1^^^HOSP^MR", ("1", "HOSP"), ("1", "HOSP")),
        ("9^^^OTHER^MR~1^^^HOSP^PI", ("1", "HOSP"), ("1", "HOSP")),
        ("9^^^HOSP^VN~1^^^HOSP^MR", ("1", "HOSP"), ("1", "HOSP")),
        ("9^^^OTHER^SS~1^^^OTHER^MR", None, ("1", "OTHER")),
        ("9^^^OTHER^SS", None, ("9", "OTHER")),
        ("9", None, ("9", "")),
        ("", None, None),
    ],
)
def test_the_id_of_a_trusted_authority_is_taken_first(
    text: str, trusted: tuple[str, str] | None, untrusted: tuple[str, str] | None
) -> None:
    made = profile(authorities=["HOSP"])
    for wanted, only in ((trusted, True), (untrusted, False)):
        assert made.identity(ids(text), trusted=only) == (None if wanted is None else PatientIdentity(*wanted))


def test_without_authorities_nobody_is_trusted() -> None:
    assert DEFAULT.identity(ids("1^^^HOSP^MR"), trusted=True) is None
    assert DEFAULT.identity(ids("1^^^HOSP^MR"), trusted=False) == PatientIdentity("1", "HOSP")


def test_an_id_that_no_patient_id_can_be_is_refused() -> None:
    with pytest.raises(NotUnderstood):
        DEFAULT.identity(ids("1" * 65), trusted=False)
    with pytest.raises(NotUnderstood, match="profile RIS\\^HOSPITAL"):
        profile(charset="KLINGON")
