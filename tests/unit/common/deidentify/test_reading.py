"""A data set taken apart at its bulk."""

from __future__ import annotations

import pytest

from gantry.common.deidentify import reading
from gantry.common.deidentify.reading import ElementStream
from gantry.common.dicom.encoding.syntax import EXPLICIT, IMPLICIT
from gantry.common.errors import NotUnderstood
from tests.support.elements import ITEM, SEQUENCE_END, UNDEFINED, element, implicit

BEFORE = element(0x00100020, b"LO", b"4711")
AFTER = element(0xFFFCFFFC, b"OB", b"\0\0")
ENCAPSULATED = (
    element(0x7FE00010, b"OB", b"", UNDEFINED)
    + implicit(ITEM, b"")
    + implicit(ITEM, b"JPEG")
    + implicit(SEQUENCE_END, b"")
)
NATIVE = element(0x7FE00010, b"OW", bytes(1000))


@pytest.mark.parametrize("bulk", [NATIVE, ENCAPSULATED], ids=["native", "encapsulated"])
@pytest.mark.parametrize("size", [1, 7, 5000])
def test_bulk_is_passed_and_the_rest_is_held(bulk: bytes, size: int) -> None:
    data = BEFORE + bulk + AFTER
    stream = ElementStream((data[at : at + size] for at in range(0, len(data), size)), EXPLICIT)
    assert stream.held() == BEFORE
    assert not stream.ended
    assert b"".join(stream.bulk()) == bulk
    assert stream.held() == AFTER
    assert stream.ended


def test_a_sequence_of_undefined_length_is_held_with_its_delimiter() -> None:
    inner = implicit(ITEM, b"", UNDEFINED) + BEFORE + implicit(0xFFFEE00D, b"")
    data = element(0x00081140, b"SQ", b"", UNDEFINED) + inner + implicit(SEQUENCE_END, b"")
    assert ElementStream(iter([data + BEFORE]), EXPLICIT).held() == data + BEFORE


def test_long_private_values_are_left_out() -> None:
    data = element(0x00091001, b"OB", bytes(1 << 20))
    assert ElementStream(iter([data + BEFORE]), EXPLICIT).held() == BEFORE


def test_a_vr_that_a_sender_left_out_of_pixel_data_is_written() -> None:
    stream = ElementStream(iter([implicit(0x7FE00010, b"1234")]), EXPLICIT)
    assert stream.held() == b""
    assert b"".join(stream.bulk()) == element(0x7FE00010, b"OW", b"1234")
    stream = ElementStream(iter([implicit(0x7FE00010, b"1234")]), IMPLICIT)
    stream.held()
    assert b"".join(stream.bulk()) == implicit(0x7FE00010, b"1234")


@pytest.mark.parametrize(
    "data",
    [BEFORE[:-1], BEFORE + b"\0", element(0x00081140, b"SQ", b"", UNDEFINED), element(0x00104000, b"UT", b"", 1 << 31)],
)
def test_what_is_cut_off_is_refused(data: bytes) -> None:
    with pytest.raises(NotUnderstood):
        ElementStream(iter([data]), EXPLICIT).held()


def test_what_nests_too_deep_or_holds_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = element(0x00081140, b"SQ", b"", UNDEFINED) + implicit(ITEM, b"", UNDEFINED)
    with pytest.raises(NotUnderstood, match="deep"):
        ElementStream(iter([deep * 1000]), EXPLICIT).held()
    monkeypatch.setattr(reading, "MAX_HELD", 1000)
    with pytest.raises(NotUnderstood, match="not pixel data"):
        ElementStream(iter([element(0x00204000, b"LT", bytes(800)) * 2]), EXPLICIT).held()


@pytest.mark.parametrize("bulk", [NATIVE, ENCAPSULATED])
def test_bulk_that_has_no_end_is_refused(bulk: bytes) -> None:
    stream = ElementStream(iter([bulk[:-8]]), EXPLICIT)
    stream.held()
    with pytest.raises(NotUnderstood):
        b"".join(stream.bulk())
