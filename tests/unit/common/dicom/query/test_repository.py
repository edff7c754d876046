"""Repository Query: what is asked, and keys of records."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.query.identifiers import Identifier, decode_identifier, encode_identifier
from gantry.common.dicom.query.repository import record_key, repository_query
from gantry.common.dicom.standard.tags import (
    MAXIMUM_NUMBER_OF_RECORDS,
    PATIENT_ID,
    PRIOR_RECORD_KEY,
    QUERY_RETRIEVE_LEVEL,
    RECORD_KEY,
)
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN
from gantry.common.errors import IdentifierError

PLACES = st.lists(st.one_of(st.text(max_size=20), st.integers(-(1 << 63), (1 << 63) - 1)), min_size=1, max_size=8)


def key_of(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def test_what_is_asked_of_the_model_is_without_the_keys_of_going_on() -> None:
    keys = {QUERY_RETRIEVE_LEVEL: ["STUDY"], PATIENT_ID: ["P*"], RECORD_KEY: [], MAXIMUM_NUMBER_OF_RECORDS: ["7"]}
    query = repository_query(Identifier(keys))
    assert query.identifier.keys == {QUERY_RETRIEVE_LEVEL: ["STUDY"], PATIENT_ID: ["P*"]}
    assert (query.keyed, query.after, query.most) == (True, (), 7)
    assert repository_query(Identifier({})).keyed is False
    assert repository_query(Identifier({PRIOR_RECORD_KEY: []})).after == ()


@given(PLACES)
def test_a_key_comes_back_over_the_wire_as_the_place_that_it_is_of(place: list[str | int]) -> None:
    key = record_key(tuple(place))
    assert len(key) % 2 == 0
    raw = key.encode()
    element = struct.pack("<HH2sHI", 0x0008, 0x041C, b"OB", 0, len(raw)) + raw
    query = repository_query(decode_identifier(element, EXPLICIT_LITTLE_ENDIAN))
    assert query.after == tuple(place)


def test_an_answer_has_its_key_as_it_is() -> None:
    key = record_key(("1.2.3", 4))
    written = encode_identifier({RECORD_KEY: [key]}, EXPLICIT_LITTLE_ENDIAN)
    assert written == struct.pack("<HH2sHI", 0x0008, 0x041B, b"OB", 0, len(key)) + key.encode()


@pytest.mark.parametrize(
    "key",
    [
        "x",
        "----",
        key_of({}),
        key_of([]),
        key_of([None]),
        key_of([True]),
        key_of([1.5]),
        key_of([1 << 63]),
        key_of([[1]]),
        key_of([1] * 65),
        base64.b64encode(b"[" * 6000).decode(),
        base64.b64encode(b"\xff\xfe").decode(),
        "\ufffd",
    ],
)
def test_what_is_no_key_of_ours_is_a710(key: str) -> None:
    with pytest.raises(IdentifierError) as caught:
        repository_query(Identifier({PRIOR_RECORD_KEY: [key]}))
    assert (caught.value.dicom_status, caught.value.offending) == (0xA710, (PRIOR_RECORD_KEY,))


@pytest.mark.parametrize("number", ["0", "-1", "many", "1.5", "9" * 30])
def test_a_number_that_is_none_is_a900(number: str) -> None:
    with pytest.raises(IdentifierError) as caught:
        repository_query(Identifier({MAXIMUM_NUMBER_OF_RECORDS: [number]}))
    assert caught.value.dicom_status == 0xA900


@given(st.binary(max_size=60))
def test_any_bytes_are_a_place_or_refused(raw: bytes) -> None:
    raw += b"\0" * (len(raw) & 1)
    element = struct.pack("<HH2sHI", 0x0008, 0x041C, b"OB", 0, len(raw)) + raw
    identifier = decode_identifier(element, EXPLICIT_LITTLE_ENDIAN)
    try:
        after = repository_query(identifier).after
    except IdentifierError as error:
        after = ()
        refused = error.dicom_status
    else:
        refused = 0xA710
    assert refused == 0xA710
    assert isinstance(after, tuple)
