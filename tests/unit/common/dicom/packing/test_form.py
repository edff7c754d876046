"""How a packed object is laid out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.dicom.packing.form import (
    HEAD,
    TAIL,
    Block,
    Coding,
    begins_alike,
    is_packed,
    read_table,
    table_of,
    write_table,
)
from gantry.common.errors import Corrupt

UINT32 = st.integers(0, 2**32 - 1)
BLOCKS = st.lists(
    st.builds(
        Block,
        st.sampled_from(Coding),
        st.integers(1, 1 << 20),
        st.integers(1, 1 << 20),
        UINT32,
        st.integers(0, 2),
        st.integers(0, 65535),
    ),
    max_size=30,
)


def size_of(blocks: list[Block]) -> int:
    return len(HEAD) + sum(block.stored for block in blocks) + len(write_table(blocks))


@given(BLOCKS)
def test_a_table_is_read_as_it_was_written(blocks: list[Block]) -> None:
    read = read_table(write_table(blocks), size_of(blocks))
    assert read == table_of(blocks)
    assert read.size == sum(block.length for block in blocks)


@given(BLOCKS, st.integers(0, 1 << 22), st.integers(0, 1 << 22))
def test_the_blocks_that_cover_a_range_are_those_that_hold_a_byte_of_it(
    blocks: list[Block], offset: int, length: int
) -> None:
    table = table_of(blocks)
    wanted = set(range(offset, min(offset + length, table.size)))
    holding = [
        number
        for number in range(len(blocks))
        if wanted and not wanted.isdisjoint(range(table.begins[number], table.begins[number + 1]))
    ]
    assert list(table.covering(offset, length)) == holding


@given(BLOCKS.filter(bool), st.data())
def test_a_damaged_table_is_never_read(blocks: list[Block], data: st.DataObject) -> None:
    end = bytearray(write_table(blocks))
    at = data.draw(st.integers(0, len(end) - 1))
    end[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Corrupt):
        read_table(bytes(end), size_of(blocks))


@pytest.mark.parametrize("end", [b"", b"GANTRYPACK", bytes(TAIL)])
def test_what_has_no_tail_is_cut_off(end: bytes) -> None:
    with pytest.raises(Corrupt, match="cut off"):
        read_table(end, 1000)


def test_a_table_that_does_not_fit_its_object_is_refused() -> None:
    blocks = [Block(Coding.PLAIN, 10, 10, 0)]
    with pytest.raises(Corrupt, match="cut off"):
        read_table(write_table(blocks), size_of(blocks) + 1)


def test_no_dicom_file_is_taken_for_a_packed_object() -> None:
    """PS3.10 7.1: the preamble may hold anything, the prefix stands behind it."""
    file = bytearray(file_meta("1.2", "1.3", "1.2.840.10008.1.2"))
    file[:128] = HEAD[:128]
    assert begins_alike(bytes(file))
    assert not is_packed(bytes(file[: len(HEAD)]))
    assert is_packed(HEAD)
