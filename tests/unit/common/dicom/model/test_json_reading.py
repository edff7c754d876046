"""The DICOM JSON model as a data set: pydicom is the oracle, both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gantry.common.dicom.model.json_reading import BulkPiece, encoded, fragments
from gantry.common.dicom.model.xml_reading import from_xml
from gantry.common.dicom.model.xml_writing import to_xml
from gantry.common.dicom.scan.scanner import Scanner
from gantry.common.errors import NotUnderstood
from tests.support.dicom import EXPLICIT, data_sets, from_bytes, to_bytes


def whole(model: Any, bulk: dict[str, bytes] | None = None) -> bytes:
    values = bulk or {}

    def size(uri: str) -> int:
        if uri not in values:
            raise NotUnderstood("missing")
        return len(values[uri])

    pieces = encoded(model, size)
    return b"".join(values[p.uri][p.offset : p.offset + p.length] if isinstance(p, BulkPiece) else p for p in pieces)


@given(data_sets())
def test_what_is_encoded_reads_as_what_pydicom_encodes(made: Dataset) -> None:
    model = json.loads(made.to_json())
    theirs = from_bytes(to_bytes(Dataset.from_json(model), EXPLICIT), EXPLICIT)
    assert from_bytes(whole(model), EXPLICIT).to_json() == theirs.to_json()


@given(data_sets())
def test_the_scanner_takes_what_was_encoded(made: Dataset) -> None:
    scanner = Scanner(EXPLICIT)
    scanner.feed(whole(json.loads(made.to_json())))
    assert scanner.finish().sop_instance_uid == made.SOPInstanceUID


@given(data_sets())
def test_xml_says_the_same_as_json(made: Dataset) -> None:
    model = json.loads(made.to_json())
    assert whole(from_xml(to_xml(model))) == whole(model)


def test_text_is_utf_8_and_names_have_their_groups() -> None:
    model = {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]},
        "00101000": {"vr": "LO", "Value": ["a", None, "c"]},
        "00280030": {"vr": "DS", "Value": [0.1, 1 / 3, 1e-20, 7]},
        "00280009": {"vr": "AT", "Value": ["00181063"]},
    }
    read = from_bytes(whole(model), EXPLICIT)
    assert read.PatientName == "Yamada^Tarou=山田^太郎"
    assert list(read[0x00101000].value) == ["a", "", "c"]
    assert [float(v) for v in read.PixelSpacing] == pytest.approx([0.1, 1 / 3, 1e-20, 7])
    assert read.FrameIncrementPointer == 0x00181063


def test_bulk_values_stand_where_they_are_named_and_are_padded() -> None:
    model = {
        "00420011": {"vr": "OB", "BulkDataURI": "a.pdf"},
        "00480001": {"vr": "SQ", "Value": [{"00420011": {"vr": "OB", "BulkDataURI": "b"}}]},
    }
    read = from_bytes(whole(model, {"a.pdf": b"%PDF-", "b": b"1234"}), EXPLICIT)
    assert read.EncapsulatedDocument == b"%PDF-\0"
    assert read[0x00480001].value[0].EncapsulatedDocument == b"1234"
    with pytest.raises(NotUnderstood):
        whole(model)


def test_a_long_frame_is_in_fragments_of_even_length() -> None:
    pieces = fragments(0x7FE00010, BulkPiece("x", 10, 25), 10)
    bulk = [piece for piece in pieces if isinstance(piece, BulkPiece)]
    assert [(piece.offset, piece.length) for piece in bulk] == [(10, 10), (20, 10), (30, 5)]
    assert b"".join(p for p in pieces if isinstance(p, bytes)).count(b"\xfe\xff\x00\xe0") == 4


@pytest.mark.parametrize(
    "model",
    [
        [],
        {"junk": {"vr": "LO"}},
        {"00100010": []},
        {"00100010": {"vr": "??"}},
        {"00100010": {}},
        {"00100010": {"vr": "PN", "Value": "Doe"}},
        {"FFFEE000": {"vr": "LO"}},
        {"00280010": {"vr": "US", "Value": [70000]}},
        {"00280010": {"vr": "US", "Value": ["x"]}},
        {"00280010": {"vr": "US", "Value": [1.5]}},
        {"00280030": {"vr": "DS", "Value": [{}]}},
        {"00420011": {"vr": "OB", "InlineBinary": "!"}},
        {"00204000": {"vr": "LT", "Value": ["x" * 70000]}},
        {"00081140": {"vr": "SQ", "Value": ["text"]}},
    ],
)
def test_what_is_no_data_set_is_refused(model: Any) -> None:
    with pytest.raises(NotUnderstood):
        whole(model)


@pytest.mark.parametrize("depth", [65, 5000])
def test_sequences_that_are_too_deep_are_refused(depth: int) -> None:
    model: dict[str, Any] = {}
    for _ in range(depth):
        model = {"00081140": {"vr": "SQ", "Value": [model]}}
    with pytest.raises(NotUnderstood):
        whole(model)


_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["vr", "Value", "00100010", "00081140", "InlineBinary"]), inner, max_size=4),
    ),
    max_leaves=12,
)


@given(_json)
def test_any_json_is_a_data_set_or_refused(model: Any) -> None:
    try:
        whole(model)
    except NotUnderstood:
        pass


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<junk/>",
        b"<NativeDicomModel><Value>x</Value></NativeDicomModel>",
        b"<NativeDicomModel>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><NativeDicomModel/>',
        b"<NativeDicomModel>" + b'<DicomAttribute tag="00081140" vr="SQ"><Item>' * 100,
    ],
)
def test_what_is_no_native_model_is_refused(document: bytes) -> None:
    with pytest.raises(NotUnderstood):
        from_xml(document)
