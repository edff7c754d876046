"""References: what is written is read, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.errors import Corrupt
from gantry.common.ids import Receipt, is_reference_key
from gantry.common.runtime.in_place.reference import (
    MAX_REFERENCE,
    InPlaceReference,
    left_key,
    pack_reference,
    unpack_reference,
)

HEAD = file_meta("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1", "IN_PLACE")
KEY = Receipt.at(1_700_000_000_000_000).reference_key("default")


def reference(key: str = "2019/a.dcm", head: bytes = HEAD) -> InPlaceReference:
    return InPlaceReference("old", key, '"0a1b"', 525_000, 344, head)


@given(st.text(max_size=1024), st.integers(0, 1 << 40), st.binary(max_size=50_000))
def test_what_is_packed_is_unpacked(key: str, offset: int, head: bytes) -> None:
    object_reference = InPlaceReference("old", key, "tag", offset + 7, offset, head)
    packed = pack_reference(object_reference)
    assert unpack_reference(packed) == object_reference
    assert len(packed) <= MAX_REFERENCE


def test_a_key_that_is_no_text_comes_back() -> None:
    object_reference = reference(b"caf\xe9/\xff.dcm".decode("utf-8", "surrogateescape"))
    assert unpack_reference(pack_reference(object_reference)) == object_reference


def test_an_object_is_no_reference() -> None:
    assert unpack_reference(HEAD + b"\x08\x00\x05\x00CS\x00\x00") is None
    assert unpack_reference(b"") is None


@pytest.mark.parametrize("cut", [17, 18, 60, 200])
def test_a_reference_that_is_cut_off_is_corrupt(cut: int) -> None:
    with pytest.raises(Corrupt):
        unpack_reference(pack_reference(reference())[:cut])


def test_one_of_a_later_release_is_corrupt_and_not_read_wrongly() -> None:
    packed = bytearray(pack_reference(reference()))
    at = packed.index(b"\n") + 2
    assert packed[at] == 1
    packed[at] = 2
    with pytest.raises(Corrupt):
        unpack_reference(bytes(packed))


def test_an_object_is_as_long_as_our_head_and_their_data_set() -> None:
    assert reference().length == len(HEAD) + 525_000 - 344


def test_only_keys_of_references_are_some() -> None:
    assert is_reference_key(KEY)
    assert not is_reference_key(KEY.replace(".ref", ".dcm"))
    assert not is_reference_key(left_key(KEY))
    assert left_key(KEY) == "left-in-place/" + KEY.removeprefix("objects/")
