"""What counts when answers are compared, and what does not."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from gantry.common.errors import ConfigError, NotUnderstood
from gantry.services.frontdoor.shadow.answers import level_of, normal, read, tags_of, unique_key
from tests.support.wire import EXPLICIT, IMPLICIT


def attribute(vr: str, *values: Any) -> dict[str, dict[str, Any]]:
    return {TAGS[vr]: {"vr": vr, "Value": list(values)} if values else {"vr": vr}}


TAGS = {
    "PN": "00100010",
    "LO": "00100020",
    "TM": "00080030",
    "DA": "00080020",
    "IS": "00201208",
    "DS": "00101030",
    "CS": "00080061",
    "UI": "0020000D",
}
NAME = [{"Alphabetic": "Doe^Jane"}]


@pytest.mark.parametrize(
    ("vr", "one", "other"),
    [
        ("PN", NAME, [{"Alphabetic": "DOE^JANE^^"}]),
        ("PN", [{"Alphabetic": "Müller^Jörg"}], [{"Alphabetic": "Muller^Jorg "}]),
        ("LO", ["A1 "], ["A1"]),
        ("TM", ["101500.000000"], ["101500"]),
        ("TM", ["101500.250"], ["101500.25"]),
        ("DA", ["1997.04.24"], ["19970424"]),
        ("IS", [3], ["3"]),
        ("DS", [70.5], ["70.50"]),
        ("CS", ["CT", "SR"], ["SR", "CT"]),
        ("UI", ["1.2.3\0"], ["1.2.3"]),
        ("LO", [], [""]),
    ],
)
def test_what_does_not_count(vr: str, one: list[Any], other: list[Any]) -> None:
    assert normal(attribute(vr, *one)) == normal(attribute(vr, *other))


@pytest.mark.parametrize(
    ("vr", "one", "other"),
    [
        ("PN", NAME, [{"Alphabetic": "Doe^June"}]),
        ("LO", ["A1"], ["a1"]),
        ("TM", ["101500"], ["1015"]),
        ("IS", [3], [4]),
        ("LO", ["a", "b"], ["b", "a"]),
        ("LO", [], ["x"]),
    ],
)
def test_what_counts(vr: str, one: list[Any], other: list[Any]) -> None:
    assert normal(attribute(vr, *one)) != normal(attribute(vr, *other))


def test_items_are_compared_as_data_sets_are() -> None:
    def sequence(name: str) -> dict[str, dict[str, Any]]:
        return {
            "00400275": {"vr": "SQ", "Value": [{"00400007": {"vr": "LO", "Value": [name]}, "00400009": {"vr": "SH"}}]}
        }

    assert normal(sequence("scan ")) == normal(sequence("scan"))
    assert normal(sequence("scan")) != normal(sequence("other"))


def test_an_attribute_without_a_value_is_as_one_that_is_not_there() -> None:
    assert normal(attribute("LO")) == {}


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_an_identifier_is_read_in_its_transfer_syntax(syntax: str) -> None:
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.PatientName = "study ", "Doe^Jane"
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, syntax == IMPLICIT
    write_dataset(out, identifier)
    question = read(out.getvalue(), syntax)
    assert level_of(question) == "STUDY"
    assert normal(question)["00100010"] == ("doe^jane",)


def test_rubbish_is_refused() -> None:
    with pytest.raises(NotUnderstood):
        read(b"\x10\x00\x10\x00\xff\xff\xff\x7frubbish", IMPLICIT)


def test_each_level_has_its_unique_key() -> None:
    assert [unique_key(level) for level in ("PATIENT", "STUDY", "SERIES", "IMAGE", "")] == [
        *("00100020", "0020000D", "0020000E", "00080018"),
        "",
    ]
    assert level_of({}) == ""


def test_attributes_are_named_by_keyword_or_tag() -> None:
    assert {"00081030", "00091001", "00080054"} <= tags_of(("StudyDescription", "00091001"))
    with pytest.raises(ConfigError, match="StudyDescriptoin"):
        tags_of(("StudyDescriptoin",))
