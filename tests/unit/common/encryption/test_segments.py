"""Segments open as they were sealed, where they were sealed, and in no other way."""

from __future__ import annotations

import pytest

from gantry.common.encryption.form import TAG, EncryptionHead
from gantry.common.encryption.segments import ObjectCipher
from gantry.common.errors import Corrupt

KEY, HEAD = bytes(range(32)), EncryptionHead(bytes(16), bytes(range(32)))
PLACE = "objects/default/01a2222/x.dcm"
KNOWN = "5baa0b0a65985e5e27851845861c8598a68fc1fff8c9"
PLAIN = b"of a patient" * 50


def opened(cipher: ObjectCipher, number: int, content: bytes | bytearray, *, last: bool) -> bytes:
    into = bytearray(max(0, len(content) - TAG))
    cipher.open(number, content, memoryview(into), last=last)
    return bytes(into)


def sealed(number: int = 3, *, last: bool = False) -> bytes:
    into = bytearray(len(PLAIN) + TAG)
    ObjectCipher(KEY, HEAD, PLACE).seal(number, PLAIN, memoryview(into), last=last)
    return bytes(into)


def test_a_segment_opens_as_it_was_sealed() -> None:
    assert opened(ObjectCipher(KEY, HEAD, PLACE), 3, sealed(), last=False) == PLAIN
    assert PLAIN[:12] not in sealed()


@pytest.mark.parametrize(
    ("cipher", "number", "last"),
    [
        (ObjectCipher(KEY, HEAD, PLACE), 4, False),
        (ObjectCipher(KEY, HEAD, PLACE), 3, True),
        (ObjectCipher(KEY, HEAD, "objects/default/01a2222/y.dcm"), 3, False),
        (ObjectCipher(KEY, EncryptionHead(bytes(16), bytes(32)), PLACE), 3, False),
        (ObjectCipher(bytes(32), HEAD, PLACE), 3, False),
    ],
    ids=["another number", "as the last one", "under another key", "of another object", "by another data key"],
)
def test_it_opens_nowhere_else(cipher: ObjectCipher, number: int, last: bool) -> None:
    with pytest.raises(Corrupt, match="changed where it lies"):
        opened(cipher, number, sealed(), last=last)


@pytest.mark.parametrize("at", [0, 300, -1])
def test_one_that_was_changed_does_not_open(at: int) -> None:
    changed = bytearray(sealed())
    changed[at] ^= 1
    with pytest.raises(Corrupt):
        opened(ObjectCipher(KEY, HEAD, PLACE), 3, changed, last=False)


def test_one_that_is_shorter_than_its_tag_is_cut_off() -> None:
    with pytest.raises(Corrupt, match="cut off"):
        opened(ObjectCipher(KEY, HEAD, PLACE), 0, b"short", last=True)


def test_the_form_stays_readable() -> None:
    """What this release has written has to be read by every later one."""
    known = bytes.fromhex(KNOWN)
    assert opened(ObjectCipher(KEY, HEAD, PLACE), 0, known, last=True) == b"GANTRY"
