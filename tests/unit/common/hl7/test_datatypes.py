"""HL7 data types as values of DICOM."""

from __future__ import annotations

import pytest

from gantry.common.hl7.datatypes import (
    authority_of,
    code_item,
    date_and_time,
    element,
    entity_issuer,
    item,
    performer_name,
    person_name,
    priority,
    provider_name,
    sex,
    short,
)
from gantry.common.hl7.message import Delimiters, Field


def fields(text: str) -> list[Field]:
    return [Field(repetition, Delimiters()) for repetition in text.split("~")]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("DOE^JANE", {"Alphabetic": "DOE^JANE"}),
        ("DOE^JANE^M^JR^DR^MD", {"Alphabetic": "DOE^JANE^M^DR^JR MD"}),
        ("van Dyke&van&Dyke^ANNA", {"Alphabetic": "van Dyke^ANNA"}),
        (
            "YAMADA^TARO^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P",
            {"Alphabetic": "YAMADA^TARO", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"},
        ),
        ("NICK^NAME^^^^^N~DOE^JANE^^^^^L", {"Alphabetic": "DOE^JANE"}),
        ("NICK^NAME^^^^^N", {"Alphabetic": "NICK^NAME"}),
        ('DOE^""', {"Alphabetic": "DOE"}),
        ("^^^", {}),
    ],
)
def test_a_name_is_turned_into_the_order_of_dicom(text: str, name: dict[str, str]) -> None:
    assert person_name([field for field in fields(text) if field]) == name


@pytest.mark.parametrize("text", ["A\\S\\B", "A=B", "A\\E\\B", "A\\.br\\B"])
def test_a_name_that_dicom_cannot_hold_is_none(text: str) -> None:
    assert person_name(fields(text)) is None
    assert provider_name(fields(f"1^{text}")[0]) is None
    assert performer_name(fields(f"1&{text}")[0]) is None


def test_providers_have_an_id_before_their_name() -> None:
    assert provider_name(fields("007^BOND^JAMES^^^DR")[0]) == {"Alphabetic": "BOND^JAMES^^DR"}
    assert performer_name(fields("007&BOND&JAMES^2026")[0]) == {"Alphabetic": "BOND^JAMES"}
    assert provider_name(fields("007")[0]) == {}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("20261127", ("20261127", "")),
        ("202611271030", ("20261127", "1030")),
        ("20261127103015.123+0100", ("20261127", "103015.123")),
        ("2026", None),
        ("2026-11-27", None),
        ("tomorrow", None),
    ],
)
def test_times_are_dates_and_times(text: str, moment: tuple[str, str] | None) -> None:
    assert date_and_time(text) == moment


@pytest.mark.parametrize(("text", "value"), [("M", "M"), ("f", "F"), ("A", "O"), ("U", ""), ("", ""), ("Q", None)])
def test_sexes_are_those_of_dicom(text: str, value: str | None) -> None:
    assert sex(text) == value


def test_priorities_are_those_of_dicom() -> None:
    assert [priority(code) for code in ("S", "a", "R", "Z", "")] == ["STAT", "HIGH", "ROUTINE", "", ""]


def test_a_code_is_an_item_where_it_fits() -> None:
    assert code_item(fields("CT^Head^L")[0]) == {
        "00080100": {"vr": "SH", "Value": ["CT"]},
        "00080102": {"vr": "SH", "Value": ["L"]},
        "00080104": {"vr": "LO", "Value": ["Head"]},
    }
    assert code_item(fields("^^^P1^Plain^L")[0], first=4)["00080100"]["Value"] == ["P1"]
    assert code_item(fields("CT")[0])["00080102"]["Value"] == ["99HL7"]
    assert code_item(fields("x" * 17)[0]) == {}
    assert code_item(fields("")[0]) == {}


def test_an_issuer_is_an_item_with_what_is_said_of_it() -> None:
    assert entity_issuer("RIS", "", "") == {"00400031": {"vr": "UT", "Value": ["RIS"]}}
    assert list(entity_issuer("", "1.2.3", "ISO")) == ["00400032", "00400033"]
    assert entity_issuer("", "1.2.3", "") == {}


def test_an_authority_has_a_namespace_or_a_universal_id() -> None:
    assert authority_of(fields("1^^^HOSP&1.2&ISO")[0]) == "HOSP"
    assert authority_of(fields("1^^^&1.2&ISO")[0]) == "1.2"


def test_elements_leave_empty_values_out_and_texts_are_made_to_fit() -> None:
    assert element("PatientID", "") == {"vr": "LO"}
    assert item(CodeValue="", CodeMeaning="x") == {"00080104": {"vr": "LO", "Value": ["x"]}}
    assert short("a\\b\n  c") == "a/b c"
    assert len(short("x" * 100)) == 64
