"""Segments, sealed and opened: AES-256-GCM (NIST SP 800-38D) in the way of STREAM (Hoang and others, 2015).

Each object has a key of its own, from a data key and 32 random bytes (HKDF, RFC 5869); within it, segments are counted.
The last one is marked: an object that was cut off between two segments does not open. The key under which the object
lies is sealed in: an object that somebody put in another's place does not open either.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gantry.common.encryption.form import TAG, EncryptionHead
from gantry.common.errors import Corrupt

Buffer = bytes | bytearray | memoryview
_USE: Final = b"gantry object, form 1"


class ObjectCipher:
    """Seals and opens the segments of one object."""

    def __init__(self, data_key: bytes, head: EncryptionHead, place: str) -> None:
        """`place` is the key under which the object lies."""
        own = HKDF(algorithm=SHA256(), length=32, salt=head.salt, info=_USE).derive(data_key)
        self._aes = AESGCM(own)
        self._place = place.encode("ascii")

    def seal(self, number: int, plain: Buffer, into: memoryview, *, last: bool) -> None:
        """Segment `number` and its tag, into a buffer of their length."""
        self._aes.encrypt_into(_nonce(number, last), plain, self._place, into)

    def open(self, number: int, sealed: Buffer, into: memoryview, *, last: bool) -> None:
        """The bytes of a segment, into a buffer of their length. Raises `Corrupt` where they are not those that were
        sealed."""
        if memoryview(sealed).nbytes < TAG:
            raise Corrupt("an encrypted object is cut off")
        try:
            self._aes.decrypt_into(_nonce(number, last), sealed, self._place, into)
        except InvalidTag as error:
            raise Corrupt("an encrypted object was changed where it lies") from error


def _nonce(number: int, last: bool) -> bytes:
    return bytes([last, 0, 0, 0]) + number.to_bytes(8, "big")
