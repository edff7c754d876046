"""The reference in our store to an object that stays in a foreign one (pure).

objects/PARTITION/0190c3a/RECEIPT.ref          the reference, read as the object
left-in-place/PARTITION/0190c3a/RECEIPT.ref    the same, when Gantry does not need the bytes any more: their owner
                                               may remove them
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgpack

from gantry.common.dicom.encoding.part10 import MAX_META_LENGTH
from gantry.common.errors import Corrupt

OBJECTS = "objects/"
LEFT = "left-in-place/"
MAX_REFERENCE = MAX_META_LENGTH + 16384
"""Bytes of a reference: our file meta information, a key of 1024 characters, and names."""
_MAGIC = b"gantry reference\n"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class InPlaceReference:
    """Where an object lies: `store` is the name of a bucket or folder in the settings (`storage.in_place`), so that it
    can move; `key` and `tag` are its own (`gantry.common.ports.foreign.ForeignObject`), `size` is in bytes. Its data
    set begins at `offset`; readers get `head`, our file meta information, and then the data set."""

    store: str
    key: str
    tag: str
    size: int
    offset: int
    head: bytes

    @property
    def length(self) -> int:
        """Bytes of the object that readers get."""
        return len(self.head) + self.size - self.offset


def left_key(key: str) -> str:
    """The key of the note that the bytes behind a reference are no longer needed."""
    return LEFT + key.removeprefix(OBJECTS)


def pack_reference(reference: InPlaceReference) -> bytes:
    """The bytes of a reference. A key may have bytes that are not text (file names)."""
    key = reference.key.encode("utf-8", "surrogateescape")
    fields = _VERSION, reference.store, key, reference.tag, reference.size, reference.offset, reference.head
    packed: bytes = msgpack.packb(fields)
    return _MAGIC + packed


def unpack_reference(content: bytes) -> InPlaceReference | None:
    """The reference in the bytes under a key; None if it is an object. Raises `Corrupt` for one that is truncated,
    damaged, or of a later release."""
    if not content.startswith(_MAGIC):
        return None
    try:
        fields: Any = msgpack.unpackb(content[len(_MAGIC) :])
        version, store, key, tag, size, offset, head = fields
        whole = version == _VERSION and all(isinstance(text, str) for text in (store, tag))
        if not whole or not all(isinstance(count, int) for count in (size, offset)) or not 0 <= offset <= size:
            raise ValueError("no reference that is known here")
        return InPlaceReference(store, key.decode("utf-8", "surrogateescape"), tag, size, offset, bytes(head))
    except Exception as error:  # msgpack raises exceptions of any type for foreign bytes
        raise Corrupt("the reference of an object in place cannot be read") from error
