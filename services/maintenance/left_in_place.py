"""Bytes in a foreign bucket or folder that Gantry no longer needs: their owner may remove them.

They belonged to objects that were deleted for good, or were copied into a store of ours. The object store has a note
for each (`gantry.common.runtime.in_place`), for as long as the bytes are there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from gantry.common.dicom.encoding.part10 import parse_meta
from gantry.common.errors import Corrupt, DependencyUnavailable, NotFound, NotUnderstood
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.index import SearchIndex
from gantry.common.runtime.in_place.reference import InPlaceReference
from gantry.common.runtime.in_place.store import ReferringStore
from gantry.common.runtime.losses import instance_of

_BEHIND = bytes(8)
"""The element after the file meta information shows where that ends (PS3.10 7.1)."""


@dataclass(frozen=True, slots=True)
class RemovableObject:
    """An object that its owner may remove; `seen` is False if its store does not answer whether it exists."""

    store: str
    key: str
    size: int
    seen: bool


class LeftInPlace:
    """Reads all notes of one archive."""

    def __init__(self, objects: ReferringStore, index: SearchIndex) -> None:
        self._objects = objects
        self._index = index

    async def all(self) -> AsyncIterator[RemovableObject]:
        """The objects that may be removed, each once. Notes of objects that their owner has removed or rewritten are
        deleted. The index must have followed the whole log. Raises `DependencyUnavailable`."""
        places: set[tuple[str, str]] = set()
        async for note, reference in self._objects.left():
            place = reference.store, reference.key
            if place in places or await self._is_needed(reference):
                continue
            is_present = await self._is_there(reference)
            if is_present is False:
                await self._objects.forget(note)
                continue
            places.add(place)
            yield RemovableObject(*place, reference.size, bool(is_present))

    async def _is_there(self, reference: InPlaceReference) -> bool | None:
        """Whether the object exists; None if that cannot be determined."""
        try:
            store = await self._objects.foreign.get(reference.store)
            await store.stat(reference.key, reference.tag)
        except (NotFound, Corrupt):
            return False
        except DependencyUnavailable:
            return None
        return True

    async def _is_needed(self, reference: InPlaceReference) -> bool:
        """Whether another receipt of the instance has these very bytes, including a deleted one that could be
        restored."""
        try:
            uid = parse_meta(reference.head + _BEHIND).sop_instance_uid
        except NotUnderstood:
            return True
        keys = set[str]()
        instances = (await self._index.resolve(DEFAULT_PARTITION, [uid])).get(uid, [])
        for location in instances:
            receipts = await self._index.receipts(DEFAULT_PARTITION, instance_of(location))
            keys |= {receipt.object_key for receipt in receipts}
        async for page in self._index.find_decided(DEFAULT_PARTITION, "", (uid,)):
            keys |= {
                receipt.object_key for receipt in page if receipt.object_key and not receipt.deletion_state.collected
            }
        for key in keys:
            try:
                other = await self._objects.reference(key)
            except (NotFound, Corrupt):
                continue
            if other is not None and (other.store, other.key) == (reference.store, reference.key):
                return True
        return False
