"""Identifiers, written and read with pydicom on the other side."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gantry.common.dicom.encoding.charsets import character_set
from gantry.common.dicom.query.identifiers import decode_identifier, encode_identifier
from gantry.common.errors import GantryError, NotUnderstood
from tests.support.dicom import EXPLICIT, SYNTAXES, from_bytes, to_bytes
from tests.support.elements import ITEM, element, implicit


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_identifier_is_read_in_every_syntax(syntax: str) -> None:
    query = Dataset()
    query.SpecificCharacterSet = "ISO_IR 100"
    query.QueryRetrieveLevel = "STUDY"
    query.PatientName = "Jérôme*"
    query.StudyDate = "20240101-"
    query.StudyInstanceUID = ["1.2", "1.3"]
    query.PatientID = ""
    query.Rows = 512
    query.InstanceNumber = 3
    query.add_new(0x00400275, "SQ", Sequence([Dataset()]))
    identifier = decode_identifier(to_bytes(query, syntax), syntax)
    assert identifier.character_set is character_set(["ISO_IR 100"])
    assert identifier.keys == {
        0x00080020: ["20240101-"],
        0x00080052: ["STUDY"],
        0x00100010: ["Jérôme*"],
        0x00100020: [],
        0x0020000D: ["1.2", "1.3"],
        0x00200013: ["3"],
        0x00280010: ["512"],
        0x00400275: [],
    }


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_is_asked_of_items_is_read(syntax: str) -> None:
    code, request, query = Dataset(), Dataset(), Dataset()
    code.CodeValue = "C?"
    request.ScheduledProcedureStepID = "Ä1"
    request.RequestedProcedureCodeSequence = [code]
    query.SpecificCharacterSet = "ISO_IR 192"
    query.RequestAttributesSequence = [request]
    query.ProcedureCodeSequence = []
    identifier = decode_identifier(to_bytes(query, syntax), syntax)
    assert identifier.keys == {0x00400275: [], 0x00081032: []}
    assert set(identifier.items) == {0x00400275}
    item = identifier.items[0x00400275]
    assert item.keys == {0x00400009: ["Ä1"], 0x00321064: []}
    assert item.items[0x00321064].keys == {0x00080100: ["C?"]}


def test_items_of_what_is_no_sequence_are_refused_in_words() -> None:
    inner = element(0x00100020, b"LO", b"P1")
    for tag, words in ((0x00100020, "PatientID is no sequence"), (0x00080020, "StudyDate is no sequence")):
        sent = element(tag, b"SQ", implicit(ITEM, inner))
        with pytest.raises(NotUnderstood, match=words):
            decode_identifier(sent, EXPLICIT)
        with pytest.raises(NotUnderstood, match=words):
            decode_identifier(element(0x00400275, b"SQ", implicit(ITEM, sent)), EXPLICIT)


def test_an_identifier_with_two_items_or_too_deep_is_refused() -> None:
    identifier = Dataset()
    identifier.RequestAttributesSequence = [Dataset(), Dataset()]
    with pytest.raises(NotUnderstood, match="more than one item"):
        decode_identifier(to_bytes(identifier, EXPLICIT), EXPLICIT)
    deep = Dataset()
    for _ in range(500):
        outer = Dataset()
        outer.RequestAttributesSequence = [deep]
        deep = outer
        if len(to_bytes(deep, EXPLICIT)) > 1000:
            break
    with pytest.raises(NotUnderstood, match="too deep"):
        decode_identifier(to_bytes(deep, EXPLICIT), EXPLICIT)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_items_of_an_answer_are_what_pydicom_reads(syntax: str) -> None:
    items = [{0x00400009: ["Ä1"], 0x00321064: [{0x00080100: ["C1"]}, {}]}, {}]
    read = from_bytes(encode_identifier({0x00400275: items}, syntax), syntax)
    assert read.SpecificCharacterSet == "ISO_IR 192"
    first, second = read.RequestAttributesSequence
    assert first.ScheduledProcedureStepID == "Ä1"
    assert [len(code) for code in first.RequestedProcedureCodeSequence] == [1, 0]
    assert first.RequestedProcedureCodeSequence[0].CodeValue == "C1"
    assert len(second) == 0


ANSWER = {
    0x00080061: ["CT", "SR"],
    0x00100010: [{"Alphabetic": "Müller^Jörg", "Ideographic": "山田"}],
    0x0020000D: ["1.2.3"],
    0x00201208: [12],
    0x00280010: [512],
    0x00180050: [1.5],
    0x00081030: [],
}


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_answer_is_what_pydicom_reads(syntax: str) -> None:
    read = from_bytes(encode_identifier(ANSWER, syntax), syntax)
    assert read.SpecificCharacterSet == "ISO_IR 192"
    assert read.ModalitiesInStudy == ["CT", "SR"]
    assert read.PatientName == "Müller^Jörg=山田"
    assert read.StudyInstanceUID == "1.2.3"
    assert read.NumberOfStudyRelatedInstances == 12
    assert read.Rows == 512
    assert read.SliceThickness == 1.5
    assert read.StudyDescription == ""
    assert [e.tag for e in read] == sorted([0x00080005, *ANSWER])


def test_an_answer_is_in_the_askers_character_set_where_that_holds_it() -> None:
    latin = {0x00100010: [{"Alphabetic": "Jérôme"}]}
    for terms, expected in ((["ISO_IR 100"], "ISO_IR 100"), (["ISO_IR 144"], "ISO_IR 192"), ([], "ISO_IR 192")):
        read = from_bytes(encode_identifier(latin, EXPLICIT, character_set(terms)), EXPLICIT)
        assert read.SpecificCharacterSet == expected
        assert read.PatientName == "Jérôme"
    ascii_only = from_bytes(
        encode_identifier({0x00100010: ["Jerome"]}, EXPLICIT, character_set(["ISO_IR 100"])), EXPLICIT
    )
    assert "SpecificCharacterSet" not in ascii_only


def test_values_that_do_not_fit_do_not_break_an_answer() -> None:
    large = {0x00100010: ["ü" * 1_000_000], 0x00280010: ["junk"], 0x00180050: ["1e400"], 0x00200013: [None, 3]}
    for syntax in SYNTAXES:
        read = from_bytes(encode_identifier(large, syntax), syntax)
        assert str(read.PatientName).startswith("ü" * 8000)
        assert read.get_item(0x00280010).value in (b"", None)
        assert "0020,0013" in str(read[0x00200013].tag)


_JSON_VALUES = st.lists(st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=8)), max_size=3)
_TAGS = st.sampled_from(
    [0x00100010, 0x00100020, 0x00280010, 0x00180050, 0x00200013, 0x0020000D, 0x00091001, 0x00400275]
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(_TAGS, _JSON_VALUES), st.sampled_from(SYNTAXES), st.sampled_from(["", "GB18030", "ISO_IR 13"]))
def test_any_values_can_be_written_and_read_again(values: dict[int, list[object]], syntax: str, terms: str) -> None:
    encoded = encode_identifier(values, syntax, character_set([terms]))
    assert set(values) <= {0x00080005, *decode_identifier(encoded, syntax).keys}


@given(st.binary(max_size=300), st.sampled_from(SYNTAXES))
def test_hostile_identifiers_raise_only_our_errors(junk: bytes, syntax: str) -> None:
    try:
        decode_identifier(junk, syntax)
    except GantryError:
        return


def test_an_identifier_with_too_many_keys_is_not_understood() -> None:
    keys = b"".join(bytes([9, 0, i & 255, i >> 8]) + b"LO\0\0" for i in range(1, 5000))
    with pytest.raises(NotUnderstood):
        decode_identifier(keys, EXPLICIT)
