"""Values in the DICOM JSON model, against pydicom's, and from junk."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gantry.common.dicom.encoding.charsets import DEFAULT, character_set
from gantry.common.dicom.encoding.elements import Tags, elements, elements_of, inflated
from gantry.common.dicom.encoding.syntax import MAX_READ_NESTING
from gantry.common.dicom.encoding.values import data_set_values, header_values, text_of, value_list
from gantry.common.dicom.model.json_writing import keys_as_attributes, to_json
from gantry.common.dicom.model.xml_writing import to_xml
from gantry.common.dicom.query.attributes import ATTRIBUTES, STANDARD, Attribute, AttributeTable, Level
from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.scan.scanner import Scanner
from gantry.common.dicom.standard.tags import SPECIFIC_CHARACTER_SET
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.dicom.standard.vrs import LONG_VRS, SHORT_VRS, vr_of
from gantry.common.errors import GantryError, NotUnderstood
from tests.support.dicom import SYNTAXES, data_sets, from_bytes, to_bytes
from tests.support.elements import ITEM, element, implicit


def rich() -> Dataset:
    data_set = Dataset()
    data_set.SpecificCharacterSet = "ISO_IR 192"
    data_set.PatientName = "Müller^Jörg=山田^太郎"
    data_set.PatientID = " P 1 "
    data_set.StudyDate = "20240131"
    data_set.ImageType = ["ORIGINAL", "", "AXIAL"]
    data_set.InstanceNumber = 7
    data_set.SliceThickness = "1.50"
    data_set.Rows = 512
    data_set.PatientComments = " leading\\and backslash "
    data_set.StudyInstanceUID = "1.2.3"
    return data_set


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_values_are_those_of_the_json_model(syntax: str) -> None:
    assert data_set_values(to_bytes(rich(), syntax), syntax, STANDARD.stored) == {
        0x00080008: ["ORIGINAL", None, "AXIAL"],
        0x00080020: ["20240131"],
        0x00100010: [{"Alphabetic": "Müller^Jörg", "Ideographic": "山田^太郎"}],
        0x00100020: ["P 1"],
        0x00104000: [" leading\\and backslash"],
        0x00180050: [1.5],
        0x0020000D: ["1.2.3"],
        0x00200013: [7],
        0x00280010: [512],
    }


@given(data_sets(), st.sampled_from(SYNTAXES))
@settings(deadline=None)
def test_values_agree_with_pydicom(data_set: Dataset, syntax: str) -> None:
    encoded = to_bytes(data_set, syntax)
    values = data_set_values(encoded, syntax, STANDARD.stored)
    expected = from_bytes(encoded, syntax)
    for tag in STANDARD.stored:
        theirs = json.loads(expected[tag].to_json()) if tag in expected else {}
        assert _stripped(values.get(tag, [])) == _values_of(theirs)


def _values_of(attribute: dict[str, Any]) -> list[Any]:
    """An attribute of the JSON model in our words: items by number, with what the dictionary knows, and has a value."""
    values = attribute.get("Value", [])
    if attribute.get("vr") == "SQ":
        items = [{int(t, 16): _values_of(e) for t, e in item.items() if vr_of(int(t, 16)) != b"UN"} for item in values]
        return [{tag: values for tag, values in item.items() if values} for item in items]
    stripped = _stripped(values)
    return stripped if any(value is not None for value in stripped) else []


def _stripped(values: list[Any]) -> list[Any]:
    return [
        {tag: _stripped(below) for tag, below in v.items()}
        if isinstance(v, dict) and all(isinstance(tag, int) for tag in v)
        else v.strip(" ") or None
        if isinstance(v, str)
        else v
        for v in values
    ]


@given(data_sets(), st.sampled_from(SYNTAXES))
def test_values_of_a_scanned_header_are_those_of_the_data_set(data_set: Dataset, syntax: str) -> None:
    encoded = to_bytes(data_set, syntax, explicit_lengths=False)
    scanner = Scanner(syntax)
    scanner.feed(encoded)
    assert header_values(scanner.finish().header, syntax, STANDARD.stored) == data_set_values(
        encoded, syntax, STANDARD.stored
    )


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        (b"DS", b"1e400", ["1e400"]),
        (b"DS", b"NaN\\-1.5 ", ["NaN", -1.5]),
        (b"DS", b"1_0", ["1_0"]),
        (b"IS", b"12\\x\\ 3", [12, "x", 3]),
        (b"IS", b"9" * 5000, ["9" * 5000]),
        (b"FD", struct.pack("<dd", float("nan"), 2.5), ["nan", 2.5]),
        (b"US", b"\x01\x00\x02", [1]),
        (b"AT", b"\x08\x00\x20\x00", ["00080020"]),
        (b"DA", b"1994.11.05", ["1994.11.05"]),
        (b"CS", "Ä".encode(), ["Ä"]),
        (b"PN", b"^^ \0", [{"Alphabetic": "^^"}]),
        (b"PN", b"==Phon", [{"Phonetic": "Phon"}]),
        (b"LO", b"\\" * 1000, []),
        (b"LO", b"  ", []),
        (b"OB", b"abc", []),
    ],
)
def test_junk_becomes_something_that_json_carries(vr: bytes, value: bytes, expected: list[object]) -> None:
    assert value_list(vr, value, DEFAULT) == expected


@given(
    st.sampled_from(sorted(SHORT_VRS | LONG_VRS)),
    st.binary(max_size=64),
    st.sampled_from(["", "ISO_IR 192", "GB18030"]),
    st.booleans(),
)
def test_any_bytes_become_valid_json(vr: bytes, value: bytes, terms: str, big: bool) -> None:
    values = value_list(vr, value, character_set([terms]), big)
    text = json.dumps(values, allow_nan=False, ensure_ascii=False)
    assert json.loads(text.encode("utf-8")) == values
    assert all(isinstance(text_of(v), str) for v in values)


def until_it_complains(walk: Iterator[Any]) -> tuple[list[Any], bool]:
    """What it gives, and whether it raises `NotUnderstood` then."""
    results: list[Any] = []
    try:
        results.extend(walk)
    except NotUnderstood:
        return results, True
    return results, False


@given(data_sets(), st.sampled_from(SYNTAXES), st.data())
@settings(deadline=None)
def test_the_fast_way_to_some_elements_finds_what_a_walk_of_all_finds(
    data_set: Dataset, syntax: str, data: st.DataObject
) -> None:
    encoding = encoding_of(syntax)
    encoded = inflated(to_bytes(data_set, syntax), encoding, 1 << 20)
    every = list(elements(encoded, encoding))
    tags = [tag for tag, *_ in every]
    subset = data.draw(st.frozensets(st.sampled_from(tags)) if tags else st.just(frozenset())) | {0x00100010}
    assert list(elements_of(encoded, encoding, Tags(subset))) == [element for element in every if element[0] in subset]
    cut = encoded[: data.draw(st.integers(0, len(encoded)))]
    fast, complained = until_it_complains(elements_of(cut, encoding, Tags(subset)))
    slow, complained_too = until_it_complains(elements(cut, encoding))
    assert fast == [element for element in slow if element[0] in subset]
    assert complained_too or not complained  # it may have ended before the cut, never complain of more


@given(st.binary(max_size=300), st.sampled_from(SYNTAXES))
def test_a_hostile_header_raises_only_our_errors(junk: bytes, syntax: str) -> None:
    try:
        data_set_values(junk, syntax, STANDARD.stored)
    except GantryError:
        return


def nested(depth: int) -> bytes:
    begin = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return begin * depth + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * depth


def test_a_nested_header_is_walked_up_to_a_depth_and_refused_beyond_it() -> None:
    after = b"\x10\0\x20\0LO\x02\0AB"
    read = header_values(nested(MAX_READ_NESTING) + after, "1.2.840.10008.1.2.1", STANDARD.stored)
    assert read == {0x00100020: ["AB"]}
    for depth in (MAX_READ_NESTING + 2, 5000):
        with pytest.raises(NotUnderstood, match="too deep"):
            header_values(nested(depth) + after, "1.2.840.10008.1.2.1", STANDARD.stored)


def test_required_keys_are_in_the_table() -> None:
    # PS3.4 tables C.6-1 to C.6-4
    for keyword, level in {
        "PatientName": Level.PATIENT,
        "PatientID": Level.PATIENT,
        "StudyDate": Level.STUDY,
        "StudyTime": Level.STUDY,
        "AccessionNumber": Level.STUDY,
        "StudyID": Level.STUDY,
        "StudyInstanceUID": Level.STUDY,
        "ModalitiesInStudy": Level.STUDY,
        "Modality": Level.SERIES,
        "SeriesNumber": Level.SERIES,
        "SeriesInstanceUID": Level.SERIES,
        "InstanceNumber": Level.IMAGE,
        "SOPInstanceUID": Level.IMAGE,
        "SOPClassUID": Level.IMAGE,
    }.items():
        assert [a.level for a in ATTRIBUTES.values() if a.keyword == keyword] == [level]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_private_elements_are_found_in_whatever_block_they_are(syntax: str) -> None:
    """PS3.5 7.8.1."""
    data_set = Dataset()
    data_set.PatientID = "P1"
    data_set.private_block(0x0019, "OTHER", create=True).add_new(0x0A, "LO", "not this one")
    data_set.private_block(0x0019, "MAKER 1", create=True).add_new(0x0A, "LO", "this one")
    data_set.private_block(0x0019, "MAKER 1").add_new(0x0B, "DS", "1.5")
    wanted = Attribute(0x0019100A, "0019100A", "LO", Level.SERIES, creator="MAKER 1")
    table = AttributeTable([wanted])
    encoded = to_bytes(data_set, syntax)
    if syntax == "1.2.840.10008.1.2.1.99":
        encoded = inflated(encoded, encoding_of(syntax), 1 << 20)
    values = header_values(encoded, syntax, table.stored, private=table.private)
    assert values == {0x00100020: ["P1"], 0x0019100A: ["this one"]}


WRONG = {
    b"PN": b"X^Y ",
    b"LO": b"abcd",
    b"DS": b"1.5 ",
    b"UI": b"1.2\0",
    b"AT": b"\1\2\3\4",
    b"FD": struct.pack("<d", math.nan),
    b"SL": b"\xff" * 4,
    b"US": b"\1\0",
    b"OB": b"\1\2",
    b"SQ": implicit(ITEM, element(0x00100020, b"LO", b"P1") + element(0x00400275, b"PN", b"X^Y ")),
}


@pytest.mark.parametrize("vr", WRONG, ids=lambda vr: vr.decode())
def test_an_attribute_of_another_vr_is_of_the_shape_of_its_own_for_whoever_reads_it(vr: bytes) -> None:
    """One object whose sequence was a name made each search that found it fail."""
    for tag in sorted(STANDARD.stored - {SPECIFIC_CHARACTER_SET}):
        values = header_values(element(tag, vr, WRONG[vr]), "1.2.840.10008.1.2.1", STANDARD.stored)
        to_json(keys_as_attributes(values))
        to_xml(keys_as_attributes(values))
        encode_identifier(values, "1.2.840.10008.1.2.1")
        assert all(isinstance(value, dict) == (vr_of(tag) in (b"SQ", b"PN")) for value in values.get(tag, ())), hex(tag)


def test_a_name_that_was_written_as_text_is_one_and_text_that_was_written_as_a_name_is_text() -> None:
    data = element(0x00080060, b"PN", b"C^T ") + element(0x00100010, b"LO", b"Doe^Jane")
    assert header_values(data, "1.2.840.10008.1.2.1", STANDARD.stored) == {
        0x00080060: ["C^T"],
        0x00100010: [{"Alphabetic": "Doe^Jane"}],
    }
