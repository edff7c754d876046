"""The Native DICOM Model (PS3.19 A.1) as it is written, read by Python's own XML parser."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.model.xml_writing import to_xml

SPACE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"


def attribute(tag: str, element: dict[str, Any]) -> ElementTree.Element:
    root = ElementTree.fromstring(to_xml({tag: element}))
    assert root.tag == f"{SPACE}NativeDicomModel"
    (child,) = root
    assert child.tag == f"{SPACE}DicomAttribute"
    return child


def test_an_attribute_has_its_tag_vr_and_keyword() -> None:
    assert attribute("00100020", {"vr": "LO"}).attrib == {"tag": "00100020", "vr": "LO", "keyword": "PatientID"}
    assert attribute("00091001", {"vr": "UN"}).attrib == {"tag": "00091001", "vr": "UN"}


def test_values_are_numbered_from_one_and_an_empty_one_keeps_its_number() -> None:
    values = attribute("00080008", {"vr": "CS", "Value": ["ORIGINAL", None, "AXIAL"]})
    assert [(v.tag, v.get("number"), v.text) for v in values] == [
        (f"{SPACE}Value", "1", "ORIGINAL"),
        (f"{SPACE}Value", "2", None),
        (f"{SPACE}Value", "3", "AXIAL"),
    ]


def test_a_name_has_groups_and_the_five_components() -> None:
    """PS3.19 A.1.5; PS3.5 6.2.1."""
    name = {"Alphabetic": "Doe^Jane^M^Dr^PhD", "Ideographic": "山田^太郎"}
    (person,) = attribute("00100010", {"vr": "PN", "Value": [name]})
    assert {group.tag.removeprefix(SPACE): {p.tag.removeprefix(SPACE): p.text for p in group} for group in person} == {
        "Alphabetic": {
            "FamilyName": "Doe",
            "GivenName": "Jane",
            "MiddleName": "M",
            "NamePrefix": "Dr",
            "NameSuffix": "PhD",
        },
        "Ideographic": {"FamilyName": "山田", "GivenName": "太郎"},
    }


def test_a_sequence_has_items_that_are_data_sets() -> None:
    inner = {"00080100": {"vr": "SH", "Value": ["T1"]}}
    first, second = attribute("0040A043", {"vr": "SQ", "Value": [inner, {}]})
    assert (first.tag, first.get("number"), second.get("number")) == (f"{SPACE}Item", "1", "2")
    assert first[0].attrib == {"tag": "00080100", "vr": "SH", "keyword": "CodeValue"}
    assert len(second) == 0


def test_bulk_is_named_by_its_uri_and_small_bytes_are_inline() -> None:
    (bulk,) = attribute("7FE00010", {"vr": "OW", "BulkDataURI": 'http://a/b?c="d"&e'})
    assert (bulk.tag, bulk.get("uri")) == (f"{SPACE}BulkData", 'http://a/b?c="d"&e')
    (inline,) = attribute("00420011", {"vr": "OB", "InlineBinary": "YWI="})
    assert (inline.tag, inline.text) == (f"{SPACE}InlineBinary", "YWI=")


@given(st.text(st.characters(), max_size=20))
def test_any_text_makes_a_document_that_can_be_read(text: str) -> None:
    """XML 1.0 2.2: some characters may not be there, not even escaped; they become U+FFFD."""
    (value,) = attribute("00104000", {"vr": "LT", "Value": [text]})
    read = value.text or ""
    assert len(read.replace("\n", "")) == len(text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", ""))
    if text.isprintable():
        assert read == text


@pytest.mark.parametrize(("number", "text"), [(1.0, "1"), (1.5, "1.5"), (7, "7"), (-0.25, "-0.25"), (1e300, "1e+300")])
def test_a_number_is_written_shortly(number: float, text: str) -> None:
    (value,) = attribute("00281050", {"vr": "DS", "Value": [number]})
    assert value.text == text
