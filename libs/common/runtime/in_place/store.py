"""The store: an object with a reference here is read from its foreign store, to which nothing is written."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Protocol, TypeVar

from gantry.common.errors import Corrupt, DependencyUnavailable, NotFound
from gantry.common.ids import is_reference_key
from gantry.common.ports.blobs import BlobReader, BlobStat, BlobStore, BlobWriter, Buffer, Part
from gantry.common.ports.foreign import ForeignStore
from gantry.common.runtime.in_place.reading import JoinedReader
from gantry.common.runtime.in_place.reference import (
    LEFT,
    MAX_REFERENCE,
    InPlaceReference,
    left_key,
    pack_reference,
    unpack_reference,
)
from gantry.common.tasks import end_tasks

T = TypeVar("T")
_MOST_KNOWN = 16384
_AT_ONCE = 32


class ForeignStores(Protocol):
    """The buckets and folders in the settings."""

    async def get(self, name: str) -> ForeignStore:
        """A store by its name. Raises `DependencyUnavailable`, also if the settings do not have it."""

    async def close(self) -> None:
        """Close the open stores."""


class ReferringStore:
    """`BlobStore` over `inner`, in which references lie beside objects. `list` returns the stored size of a reference;
    everything else is about the object.

    An object whose bytes were changed by their owner is `Corrupt`, one that was removed is `NotFound`, one whose bucket
    is not in the settings is `DependencyUnavailable`.
    """

    def __init__(self, inner: BlobStore, foreign: ForeignStores) -> None:
        self._inner = inner
        self.foreign = foreign
        self._known: OrderedDict[str, InPlaceReference] = OrderedDict()

    async def refer(self, key: str, reference: InPlaceReference) -> None:
        """Store a reference to a foreign object under a key. It is durable when this returns."""
        self._known.pop(key, None)
        await self._inner.put(key, [pack_reference(reference)])

    async def reference(self, key: str) -> InPlaceReference | None:
        """Where an object lies; None if it is in our own store. Raises `NotFound`, `Corrupt`,
        `DependencyUnavailable`."""
        if not is_reference_key(key):
            return None
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        return await self._look(key)

    async def left(self) -> AsyncIterator[tuple[str, InPlaceReference]]:
        """The bytes that Gantry no longer needs, and that their owner may remove: the key of each note, and where the
        bytes lie. Notes that cannot be read are left out."""
        async for stat in self._inner.list(LEFT):
            try:
                reference = unpack_reference(await self._beginning(stat.key))
            except (NotFound, Corrupt):
                continue
            if reference is not None:
                yield stat.key, reference

    async def forget(self, key: str) -> None:
        """Remove a note, or a reference, and nothing else."""
        self._known.pop(key, None)
        await self._inner.delete(key)

    # ---- the port

    async def put(self, key: str, parts: Sequence[Buffer]) -> None:
        await self._inner.put(key, parts)
        self._known.pop(key, None)

    def writer(self, key: str) -> BlobWriter:
        self._known.pop(key, None)
        return self._inner.writer(key)

    async def open(self, key: str, offset: int = 0, length: int | None = None) -> BlobReader:
        if not is_reference_key(key):
            return await self._inner.open(key, offset, length)
        return await self._ask_holder(
            key,
            lambda reference, store: _open(reference, store, offset, length),
            lambda: self._inner.open(key, offset, length),
        )

    async def read(self, parts: Sequence[Part]) -> list[bytes]:
        referred = [at for at, part in enumerate(parts) if is_reference_key(part.key)]
        if not referred:
            return await self._inner.read(parts)
        contents, turns = [b""] * len(parts), asyncio.Semaphore(_AT_ONCE)

        async def read_own() -> None:
            places = [at for at, part in enumerate(parts) if not is_reference_key(part.key)]
            pieces = await self._inner.read([parts[at] for at in places]) if places else []
            for at, piece in zip(places, pieces, strict=True):
                contents[at] = piece

        async def read_foreign(at: int) -> None:
            async with turns:
                contents[at] = await self._piece(parts[at])

        tasks = [asyncio.ensure_future(work) for work in (read_own(), *(read_foreign(at) for at in referred))]
        try:
            await asyncio.gather(*tasks)
        finally:
            await end_tasks(*tasks)
        return contents

    async def stat(self, key: str) -> BlobStat:
        if not is_reference_key(key):
            return await self._inner.stat(key)

        async def stat_foreign(reference: InPlaceReference, store: ForeignStore) -> BlobStat:
            await store.stat(reference.key, reference.tag)
            return BlobStat(key, reference.length)

        return await self._ask_holder(key, stat_foreign, lambda: self._inner.stat(key))

    async def delete(self, key: str) -> None:
        """Remove an object; for one in place, its reference, after a note that its owner may remove the bytes."""
        if is_reference_key(key):
            try:
                reference = await self._look(key)
            except NotFound:
                return
            except Corrupt:
                reference = None
            if reference is not None:
                await self._inner.put(left_key(key), [pack_reference(reference)])
        self._known.pop(key, None)
        await self._inner.delete(key)

    async def bring_back(self, key: str) -> None:
        """Request an archived object; not one in place: that is up to its owner, who pays for it."""
        if await self.reference(key) is None:
            await self._inner.bring_back(key)

    async def list(self, prefix: str = "") -> AsyncIterator[BlobStat]:
        async for stat in self._inner.list(prefix):
            yield stat

    async def sweep_unfinished(self, older_than: float) -> int:
        return await self._inner.sweep_unfinished(older_than)

    async def check(self) -> None:
        """Return if an object could be stored now; the stores of objects in place are not checked."""
        await self._inner.check()

    async def close(self) -> None:
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self._inner.close)
            closing.push_async_callback(self.foreign.close)

    # ---- inside

    async def _ask_holder(
        self,
        key: str,
        ask: Callable[[InPlaceReference, ForeignStore], Awaitable[T]],
        fallback: Callable[[], Awaitable[T]],
    ) -> T:
        """The answer of the store that holds an object. A cached place may be outdated: the bytes may have been copied
        here meanwhile, and removed there."""
        known = self._known.get(key)
        if known is not None:
            try:
                return await self._ask(known, ask)
            except (NotFound, Corrupt):
                self._known.pop(key, None)
        reference = await self._look(key)
        if reference is None:
            return await fallback()
        return await self._ask(reference, ask)

    async def _ask(
        self, reference: InPlaceReference, ask: Callable[[InPlaceReference, ForeignStore], Awaitable[T]]
    ) -> T:
        store = await self.foreign.get(reference.store)
        try:
            return await ask(reference, store)
        except DependencyUnavailable as error:
            # The message must show which store it is.
            raise DependencyUnavailable(f"store in place {reference.store!r}", error.reason) from error

    async def _look(self, key: str) -> InPlaceReference | None:
        reference = unpack_reference(await self._beginning(key))
        if reference is not None:
            self._known[key] = reference
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return reference

    async def _beginning(self, key: str) -> bytes:
        reader = await self._inner.open(key, 0, MAX_REFERENCE)
        try:
            content = bytearray(min(MAX_REFERENCE, reader.size))
            filled = await reader.readinto([memoryview(content)])
            return bytes(content[:filled])
        finally:
            await reader.close()

    async def _piece(self, part: Part) -> bytes:
        reader = await self.open(*part)
        try:
            buffer = bytearray(max(0, min(part.length, reader.size - part.offset)))
            return bytes(memoryview(buffer)[: await reader.readinto([memoryview(buffer)])])
        finally:
            await reader.close()


async def _open(reference: InPlaceReference, store: ForeignStore, offset: int, length: int | None) -> BlobReader:
    begin = min(max(offset, 0), reference.length)
    end = reference.length if length is None else min(begin + max(length, 0), reference.length)
    head = memoryview(reference.head)[begin:end]
    # Where our file meta information ends, their data set begins.
    moved = reference.offset - len(reference.head)
    first = max(begin, len(reference.head))
    rest = await store.open(reference.key, reference.tag, first + moved, max(0, end - first))
    if rest.size != reference.size:
        await rest.close()
        raise Corrupt("an object in place was changed by its owner")
    return JoinedReader(head, rest, reference.length)
