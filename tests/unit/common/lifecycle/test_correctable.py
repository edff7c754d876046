"""What may be corrected, and how a value must look."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.dicom.query.attributes import STANDARD, Level
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.errors import NotUnderstood
from gantry.common.lifecycle.correctable import (
    OF_PATIENT,
    OF_SERIES,
    OF_STUDY,
    element_of,
    require_correctable,
    require_elements,
    unpadded,
)


def value(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def nested(depth: int) -> dict[str, Any]:
    element = value("SQ", {})
    for _ in range(depth):
        element = value("SQ", {"00081032": element})
    return element


def test_spaces_around_values_mean_nothing_where_the_standard_says_so() -> None:
    """PS3.5 6.2."""
    values = {
        "00100020": value("LO", " 4711 "),
        "00100010": value("PN", {"Alphabetic": "DOE^JANE ", "Ideographic": 7}),
        "00080060": value("CS", "CT "),
        "00104000": value("LT", "  indented  "),
        "00081032": value("SQ", {"00080100": value("SH", "CTH ")}, "no item"),
        "001021C0": value("US", 1),
        "00100040": {"vr": "CS"},
        "00100030": None,
    }
    assert unpadded(values) == {
        "00100020": value("LO", "4711"),
        "00100010": value("PN", {"Alphabetic": "DOE^JANE", "Ideographic": 7}),
        "00080060": value("CS", "CT"),
        "00104000": value("LT", "  indented"),
        "00081032": value("SQ", {"00080100": value("SH", "CTH")}, "no item"),
        "001021C0": value("US", 1),
        "00100040": {"vr": "CS"},
        "00100030": None,
    }


def test_a_data_set_nested_deeper_than_any_is_refused_before_it_is_looked_through() -> None:
    assert unpadded({"00081032": nested(7)}) == {"00081032": nested(7)}
    for depth in (8, 5000):
        with pytest.raises(NotUnderstood, match="nested deeper than 8"):
            unpadded({"00081032": nested(depth)})


GOOD = [
    ("00080030", value("TM", "235959.123456")),
    ("00101010", value("AS", "034Y")),
    ("00080060", value("CS", "CT")),
    ("00081032", nested(7)),
    (
        "00081032",
        value("SQ", {"00280010": value("US", 512), "00189073": value("FD", 1.5), "00080018": value("UI", "1.2")}),
    ),
    ("00100010", value("PN", {"Alphabetic": "DOE^JANE", "Ideographic": "山田"})),
    ("00080020", value("DA", "20241231")),
    ("00080020", value("DA")),
    ("00101030", value("DS", 70.5)),
    ("00101030", value("DS", "70.5")),
    ("00200011", value("IS", 7)),
    ("00081030", value("LO", "Schädel")),
    ("00104000", value("LT", "two\r\nlines \\ and a backslash")),
    ("00081032", value("SQ", {"00080100": value("SH", "X"), "00080104": value("LO")})),
    ("00400275", value("SQ", {"00081110": value("SQ", {"00081155": value("UI", "1.2")})})),
]


@pytest.mark.parametrize(("name", "element"), GOOD)
def test_values_of_their_vr_are_taken(name: str, element: dict[str, Any]) -> None:
    require_correctable({name: element}, OF_STUDY)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "nothing to correct"),
        ({"0020000D": value("UI", "1.2")}, "StudyInstanceUID cannot be corrected"),
        ({"7FE00010": value("OW")}, "PixelData cannot be corrected"),
        ({"00280100": value("US", 8)}, "BitsAllocated cannot be corrected"),
        ({"00091001": value("LO", "x")}, "00091001 cannot be corrected"),
        ({"PatientName": value("PN")}, "is neither a keyword"),
        ({"0010001": value("PN")}, "is neither a keyword"),
        ({"00100010": value("LO", "x")}, "its vr is PN"),
        ({"00100010": "x"}, "its vr is PN"),
        ({"00100010": {"vr": "PN", "Value": "x"}}, "Value is a list"),
        ({"00100010": {"vr": "PN", "BulkDataURI": "x"}}, "Value is a list"),
        ({"00100010": value("PN", {"Alphabetic": "a\\b"})}, "not a value of PN"),
        ({"00100010": value("PN", {"Alphabetic": "a=b"})}, "not a value of PN"),
        ({"00100010": value("PN", {"Alphabetic": "x" * 65})}, "not a value of PN"),
        ({"00080050": value("SH", "x" * 17)}, "not a value of SH"),
        ({"00080050": value("SH", "a\nb")}, "not a value of SH"),
        ({"00080050": value("SH", None)}, "not a value of SH"),
        ({"00080050": value("SH", True)}, "not a value of SH"),
        ({"00080020": value("DA", "20241301")}, "not a value of DA"),
        ({"00080020": value("DA", "2024.12.31")}, "not a value of DA"),
        ({"00200011": value("IS", "1.5")}, "not a value of IS"),
        ({"00101030": value("DS", "heavy")}, "not a value of DS"),
        ({"00101030": value("DS", "nan")}, "not a value of DS"),
        ({"00101030": value("DS", float("inf"))}, "not a value of DS"),
        ({"00101030": value("DS", "1_000")}, "not a value of DS"),
        ({"00200011": value("IS", "99999999999")}, "not a value of IS"),
        ({"0008103e": value("LO", "x")}, "is neither a keyword"),
        ({"0x101040": value("LO", "x")}, "is neither a keyword"),
        ({"00100010": value("PN", {"Alphabetic": "A", "\ud800": "x"})}, "not a value of PN"),
        ({"00100010": value("PN", {})}, "not a value of PN"),
        ({"00100010": {"vr": "\ud800"}}, "its vr is PN"),
        ({"00081030": value("LO", "\ud800")}, "not a value of LO"),
        ({"00080030": value("TM", "hello")}, "not a value of TM"),
        ({"00101010": value("AS", "old")}, "not a value of AS"),
        ({"00100040": value("CS", "lower")}, "not a value of CS"),
        ({"00081032": value("SQ", {"00280010": value("US", 1.5)})}, "not a value of US"),
        ({"00081032": value("SQ", {"00189073": value("FD", float("nan"))})}, "not a value of FD"),
        ({"00081032": value("SQ", {"00080005": value("CS", "ISO_IR 100")})}, "character set of its data set"),
        ({"00081032": value("SQ", {"00420011": value("OB", "x")})}, "not a value of OB"),
        ({"00081032": nested(300)}, "nested deeper than 8"),
        ({"00081032": value("SQ", "x")}, "an item is an object"),
        ({"00081032": value("SQ", {"00080100": value("LO", "X")})}, "its vr is SH"),
        ({"00081030": value("LO", *["x"] * 65)}, "at most 64 values"),
        ({"00400275": value("SQ", *[{"0040A160": value("UT", "x" * 60_000)}] * 2)}, "more than 65536 bytes"),
    ],
)
def test_what_may_not_be_corrected_or_not_like_this_is_refused_in_words(values: Any, words: str) -> None:
    with pytest.raises(NotUnderstood, match=words):
        require_correctable(values, OF_STUDY)


@pytest.mark.parametrize("name", ["0020000D", "00081030", "00100020"])
def test_numbers_that_no_attribute_has_room_for_are_none(name: str) -> None:
    vr = vr_of(int(name, 16)).decode()
    for number in (1 << 64, -(1 << 63) - 1, 10**40):
        with pytest.raises(NotUnderstood, match="not a value of"):
            require_elements({name: value(vr, number)})
    with pytest.raises(NotUnderstood, match="vr is"):
        require_elements(unpadded({name: value("\ud800", "1")}))


def test_the_demographics_of_a_patient_are_not_its_identity_and_a_series_has_its_own() -> None:
    assert {0x00100020, 0x00100021} <= OF_STUDY - OF_PATIENT
    assert OF_PATIENT | OF_SERIES <= OF_STUDY
    assert not OF_PATIENT & OF_SERIES
    # What can be asked for at a level can be corrected there, but for UIDs and what follows from others.
    of_level = STANDARD.stored_of
    assert not {tag for tag in OF_SERIES if tag in of_level[Level.PATIENT] | of_level[Level.IMAGE]}
    assert 0x0020000D not in OF_STUDY


def test_a_person_writes_keywords_and_texts() -> None:
    assert element_of("PatientName", ["DOE^JANE=山田"]) == (
        "00100010",
        value("PN", {"Alphabetic": "DOE^JANE", "Ideographic": "山田"}),
    )
    assert element_of("00100030", [""]) == ("00100030", value("DA"))
    assert element_of("AccessionNumber", ["A1"]) == ("00080050", value("SH", "A1"))
    for keyword, words in (("Nonsense", "neither a keyword"), ("ProcedureCodeSequence", "is a sequence")):
        with pytest.raises(NotUnderstood, match=words):
            element_of(keyword, ["x"])
