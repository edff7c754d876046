"""The Native DICOM Model (PS3.19 A.1) as it is read: what was written, what others write, and what means harm."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.common.dicom.model.xml_reading import from_xml
from gantry.common.dicom.model.xml_writing import to_xml
from gantry.common.errors import NotUnderstood

# XML normalises line ends (XML 1.0 2.11), and a value of nothing is no value.
TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=8
)
PART = st.text("abcÄ山 '&<", max_size=5).filter(lambda part: part == part.strip())
NAME = st.dictionaries(
    st.sampled_from(["Alphabetic", "Ideographic", "Phonetic"]),
    st.lists(PART, min_size=1, max_size=5).map("^".join).map(lambda name: name.rstrip("^")).filter(bool),
    min_size=1,
)


def _data_sets(children: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "00080008": st.lists(TEXT | st.none(), min_size=1, max_size=3).map(lambda v: {"vr": "CS", "Value": v}),
            "00100010": st.lists(NAME, min_size=1, max_size=2).map(lambda v: {"vr": "PN", "Value": v}),
            "00100020": st.just({"vr": "LO"}),
            "00420011": st.just({"vr": "OB", "InlineBinary": "YWI="}),
            "7FE00010": TEXT.map(lambda uri: {"vr": "OW", "BulkDataURI": uri}),
            "0040A730": st.lists(children, min_size=1, max_size=2).map(lambda v: {"vr": "SQ", "Value": v}),
        },
    )


DATA_SETS = st.recursive(st.just({}), _data_sets, max_leaves=5)


def document(content: str) -> bytes:
    return f'<NativeDicomModel xmlns="http://x">{content}</NativeDicomModel>'.encode()


@settings(deadline=None)
@given(DATA_SETS)
def test_what_was_written_is_read_again(data_set: dict[str, Any]) -> None:
    assert from_xml(to_xml(data_set)) == data_set


def test_prefixes_of_namespaces_do_not_count() -> None:
    text = b"""<d:NativeDicomModel xmlns:d="http://dicom.nema.org/PS3.19/models/NativeDICOM">
      <d:DicomAttribute tag="00100020" vr="LO"><d:Value number="1">P1</d:Value></d:DicomAttribute>
    </d:NativeDicomModel>"""
    assert from_xml(text) == {"00100020": {"vr": "LO", "Value": ["P1"]}}


def test_bulk_may_be_named_by_a_uuid() -> None:
    """PS3.19 table A.1.5-2: uri or uuid."""
    text = document('<DicomAttribute tag="7FE00010" vr="OW"><BulkData uuid="1-2"/></DicomAttribute>')
    assert from_xml(text) == {"7FE00010": {"vr": "OW", "BulkDataURI": "1-2"}}


def test_binary_values_may_be_broken_into_lines() -> None:
    text = document('<DicomAttribute tag="00420011" vr="OB"><InlineBinary>\n YW\n I=\n</InlineBinary></DicomAttribute>')
    assert from_xml(text) == {"00420011": {"vr": "OB", "InlineBinary": "YWI="}}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"<a>",
        b"<other/>",
        document("<Value>1</Value>"),
        document("<Item/>"),
        document('<DicomAttribute tag="00100020" vr="LO">'),
        # Python knows the first two, and no parser of one byte at a time can use them; nobody knows the third.
        *(b'<?xml version="1.0" encoding="%b"?><NativeDicomModel/>' % name for name in (b"utf-7", b"rot13", b"nope")),
    ],
)
def test_what_is_not_of_the_model_is_not_understood(text: bytes) -> None:
    with pytest.raises(NotUnderstood):
        from_xml(text)


@pytest.mark.parametrize(
    "doctype",
    [
        b'<!DOCTYPE a [<!ENTITY x "yy"><!ENTITY y "&x;&x;">]>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd">',
    ],
)
def test_a_document_type_is_refused_before_it_can_do_anything(doctype: bytes) -> None:
    with pytest.raises(NotUnderstood, match="document type"):
        from_xml(doctype + document(""))


@pytest.mark.parametrize(("depth", "fits"), [(64, True), (66, False), (5000, False)])
def test_depth_is_limited(depth: int, fits: bool) -> None:
    opening, closing = '<DicomAttribute tag="0040A730" vr="SQ"><Item number="1">', "</Item></DicomAttribute>"
    text = document(opening * depth + closing * depth)
    if fits:
        from_xml(text)
    else:
        with pytest.raises(NotUnderstood, match="too deep"):
            from_xml(text)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_not_understood(text: bytes) -> None:
    with pytest.raises(NotUnderstood):
        from_xml(text)
