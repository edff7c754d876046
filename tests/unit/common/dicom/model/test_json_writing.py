"""DICOM JSON and the Native DICOM Model, with pydicom as the oracle."""

from __future__ import annotations

import base64
import json
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gantry.common.dicom.model.json_writing import INLINE, attributes_of, to_json
from gantry.common.dicom.model.xml_writing import to_xml
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.errors import NotUnderstood
from tests.support.dicom import BIG_ENDIAN, EXPLICIT, IMPLICIT, data_sets, to_bytes

NATIVE = (EXPLICIT, IMPLICIT, BIG_ENDIAN)
SPACE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"


def read(data_set: Dataset, syntax: str, explicit_lengths: bool = True) -> dict[str, Any]:
    data = to_bytes(data_set, syntax, explicit_lengths)
    document: dict[str, Any] = json.loads(
        to_json(attributes_of(data, encoding_of(syntax), lambda path: f"bulk:{path}"))
    )
    return document


@given(data_sets(), st.sampled_from(NATIVE), st.booleans())
def test_document_has_every_element_with_its_value(data_set: Dataset, syntax: str, explicit_lengths: bool) -> None:
    expect(data_set, read(data_set, syntax, explicit_lengths), "")


def expect(data_set: Dataset, document: dict[str, Any], path: str) -> None:
    assert set(document) == {f"{element.tag:08X}" for element in data_set}
    for element in data_set:
        attribute = document[f"{element.tag:08X}"]
        place = f"{path}{element.tag:08X}"
        if element.VR == "SQ":
            assert len(attribute.get("Value", [])) == len(element.value)
            for number, (item, json_item) in enumerate(zip(element.value, attribute.get("Value", []), strict=True), 1):
                expect(item, json_item, f"{place}/{number}/")
        elif attribute["vr"] in ("OB", "OW", "UN"):
            value = element.value or b""
            if len(value) > INLINE:
                assert attribute["BulkDataURI"] == f"bulk:{place}"
            else:
                assert len(base64.b64decode(attribute.get("InlineBinary", ""))) == len(value)
        else:
            if element.VR == "DS":  # a number is a number, however it is written
                assert [float(v) for v in attribute.get("Value", [])] == (
                    [] if element.value in ("", None) else [element.value]
                )
                continue
            values = [] if element.value in ("", None) else [element.value]
            texts = [str(v).strip() for v in attribute.get("Value", [])]
            assert texts == [str(v).strip() for v in values if str(v).strip()]


@given(data_sets(), st.sampled_from(NATIVE))
def test_pydicom_reads_the_document(data_set: Dataset, syntax: str) -> None:
    again = Dataset.from_json(read(data_set, syntax), bulk_data_uri_handler=lambda *_: b"")
    assert set(again.keys()) == set(data_set.keys())
    assert again.StudyInstanceUID == data_set.StudyInstanceUID


@given(data_sets(), st.text(max_size=30))
def test_xml_says_the_same(data_set: Dataset, text: str) -> None:
    document = read(data_set, EXPLICIT)
    document["00104000"] = {"vr": "LT", "Value": [text]} if text else {"vr": "LT"}
    root = ElementTree.fromstring(to_xml(document))
    assert [child.get("tag") for child in root] == list(document)
    for node in root:
        attribute = document[node.get("tag") or ""]
        kinds = {child.tag.removeprefix(SPACE) for child in node}
        assert kinds <= {"Item", "Value", "PersonName", "BulkData", "InlineBinary"}
        assert len(node) == len(attribute.get("Value", ())) + ("BulkDataURI" in attribute) + (
            "InlineBinary" in attribute
        )


def test_names_are_told_by_their_parts() -> None:
    data_set = Dataset()
    data_set.SpecificCharacterSet = "ISO_IR 192"
    data_set.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    document = read(data_set, EXPLICIT)
    assert document["00100010"]["Value"] == [
        {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    ]
    name = ElementTree.fromstring(to_xml(document)).find(f".//{SPACE}Ideographic/{SPACE}GivenName")
    assert name is not None
    assert name.text == "太郎"


def test_inline_binary_is_little_endian() -> None:
    data_set = Dataset()
    data_set.add_new(0x00281201, "OW", b"\x01\x02\x03\x04")
    assert base64.b64decode(read(data_set, BIG_ENDIAN)["00281201"]["InlineBinary"]) == b"\x02\x01\x04\x03"


@pytest.mark.parametrize("explicit_lengths", [True, False])
def test_sequences_may_be_as_deep_as_ingest_takes_them(explicit_lengths: bool) -> None:
    innermost = inner = Dataset()
    for _ in range(64):
        outer = Dataset()
        outer.ReferencedStudySequence = Sequence([inner])
        inner = outer
    innermost.PatientID = "P1"
    document = read(inner, EXPLICIT, explicit_lengths)
    to_xml(document)
    assert json.dumps(document).count("00081110") == 64


def test_deeper_ones_are_refused_without_recursion() -> None:
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    nested = (b"\x08\x00\x10\x11SQ\0\0\xff\xff\xff\xff" + item) * 2000
    data = nested + (b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0") * 2000
    with pytest.raises(NotUnderstood):
        attributes_of(data, encoding_of(EXPLICIT), str)


@given(st.binary(max_size=300), st.sampled_from(NATIVE))
def test_nothing_else_is_raised_for_bytes_that_are_no_data_set(data: bytes, syntax: str) -> None:
    try:
        to_json(attributes_of(data, encoding_of(syntax), str))
    except NotUnderstood:
        pass
