"""A block written shorter, and read back."""

from __future__ import annotations

import random
from struct import pack as packed

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.common.dicom.packing.coding import pack, unpack
from gantry.common.dicom.packing.cutting import Cut, Strip
from gantry.common.dicom.packing.form import Block, Coding
from gantry.common.errors import Corrupt
from tests.support.image_files import samples
from tests.support.long import examples

STRIPS = st.builds(Strip, st.integers(1, 20), st.sampled_from([1, 3, 2]), st.sampled_from([1, 2]))


@settings(max_examples=examples(200))
@given(STRIPS, st.integers(1, 20), st.data())
def test_whatever_the_samples_the_same_bytes_come_back(strip: Strip, lines: int, data: st.DataObject) -> None:
    length = strip.line * lines
    content = data.draw(st.binary(min_size=length, max_size=length))
    block, stored = pack(Cut(content, strip))
    assert unpack(block, stored) == content
    assert (block.length, block.stored) == (length, len(stored))


@given(st.binary(max_size=2000), st.booleans())
def test_whatever_the_bytes_they_come_back(content: bytes, strip: bool) -> None:
    block, stored = pack(Cut(content, Strip(1, 1, 1) if strip and content else None))
    assert unpack(block, stored) == content


@pytest.mark.parametrize(("columns", "colours", "width"), [(128, 1, 2), (128, 1, 1), (128, 3, 1), (128, 3, 2)])
def test_samples_that_change_slowly_become_shorter(columns: int, colours: int, width: int) -> None:
    content = samples(128 * columns * colours, width)
    block, stored = pack(Cut(content, Strip(columns, colours, width)))
    assert block.coding is Coding.JPEG_LS
    assert len(stored) < len(content) * 0.7


def test_samples_around_zero_are_not_taken_for_the_two_ends_of_a_range() -> None:
    source = random.Random(3)
    content = b"".join(packed("<h", source.randint(-40, 40)) for _ in range(128 * 128))
    block, stored = pack(Cut(content, Strip(128, 1, 2)))
    assert block.coding is Coding.JPEG_LS
    assert len(stored) < len(content) * 0.5
    assert unpack(block, stored) == content


@pytest.mark.parametrize("value", [0, 1, 2, 65535])
def test_samples_that_are_all_the_same_are_deflated(value: int) -> None:
    content = packed("<H", value) * 10_000
    block, stored = pack(Cut(content, Strip(100, 1, 2)))
    assert block.coding is Coding.DEFLATED
    assert unpack(block, stored) == content


def test_noise_stays_as_it_is() -> None:
    content = random.Random(1).randbytes(100_000)
    assert pack(Cut(content, Strip(100, 1, 2)))[0].coding is Coding.PLAIN
    assert pack(Cut(content, None))[0].coding is Coding.PLAIN


@pytest.mark.parametrize("strip", [None, Strip(128, 1, 2)])
def test_a_damaged_block_is_corrupt_wherever_it_is_damaged(strip: Strip | None) -> None:
    content = samples(128 * 64, 2)
    block, stored = pack(Cut(content, strip))
    source = random.Random(7)
    for _ in range(200):
        damaged = bytearray(stored)
        damaged[source.randrange(len(damaged))] ^= source.randint(1, 255)
        try:
            assert unpack(block, bytes(damaged)) == content  # a bit that says nothing
        except Corrupt:
            continue


def test_a_deflated_block_yields_no_more_than_it_says() -> None:
    block, stored = pack(Cut(bytes(1 << 20), None))
    with pytest.raises(Corrupt):
        unpack(block._replace(length=10), stored)
    with pytest.raises(Corrupt):
        unpack(Block(Coding.JPEG_LS, 10, 3, 0, 2), b"abc")
