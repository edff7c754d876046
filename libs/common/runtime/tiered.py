"""One object store made of several: new objects go to the first one, and each object is read from where it is.

An object has the same key in every store, and is removed from a store only a while after it is complete in another one
(`gantry.services.maintenance.tiers`). So its place need not be known: the stores are asked one after the other, the
nearest first, and finally the first one again, to which an object may have returned meanwhile. During a move it is in
two of them, with the same bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import TypeVar

from gantry.common.errors import Archived, NotFound
from gantry.common.lifecycle import HOT
from gantry.common.ports.blobs import BlobReader, BlobStat, BlobStore, BlobWriter, Buffer, Part

T = TypeVar("T")
OBJECTS = "objects/"
"""The prefix of received objects; nothing else is ever moved (`gantry.common.ids.Receipt.object_key`)."""
_MARKS = "state/stores/"
"""An empty object for each store, beside the first one, that holds objects: a process that opens the stores needs that
store."""
_COMPRESSED = ".compressed"
"""The suffix of a second such name: the objects there can only be read by a process that knows of their compression."""
_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Needed:
    """The names of the stores, beside the first one, that hold objects, and of those that hold compressed ones."""

    stores: frozenset[str]
    compressed: frozenset[str]


async def marked(hot: BlobStore) -> Needed:
    """The stores that are needed to read all objects. Raises `DependencyUnavailable`."""
    marks = [stat.key.removeprefix(_MARKS) async for stat in hot.list(_MARKS)]
    compressed = frozenset(mark.removesuffix(_COMPRESSED) for mark in marks if mark.endswith(_COMPRESSED))
    return Needed(frozenset(mark.removesuffix(_COMPRESSED) for mark in marks), compressed)


class TieredStore:
    """`BlobStore` over a first store, "hot", and others by their names, from the nearest to the farthest."""

    def __init__(self, hot: BlobStore, others: Mapping[str, BlobStore], compressing: Collection[str] = ()) -> None:
        """`compressing` are those of the others that compress (`gantry.common.runtime.packed`)."""
        self.hot = hot
        self._compressing = frozenset(compressing)
        self.stores: dict[str, BlobStore] = {HOT: hot, **others}
        self._marked: set[str] = set()

    async def where(self, key: str) -> dict[str, BlobStat]:
        """The stores that have an object, by name; empty if none has."""
        stats: dict[str, BlobStat] = {}
        for name, store in self.stores.items():
            try:
                stats[name] = await store.stat(key)
            except NotFound:
                continue
        return stats

    async def mark(self, name: str, *, needed: bool) -> None:
        """Record whether a store is needed: before the first object is put there, and when none is left."""
        if needed and name not in self._marked:
            await self.hot.put(f"{_MARKS}{name}", [b""])
            if name in self._compressing:
                await self.hot.put(f"{_MARKS}{name}{_COMPRESSED}", [b""])
            self._marked.add(name)
        elif not needed:
            await self.hot.delete(f"{_MARKS}{name}{_COMPRESSED}")
            await self.hot.delete(f"{_MARKS}{name}")
            self._marked.discard(name)

    async def put(self, key: str, parts: Sequence[Buffer]) -> None:
        await self.hot.put(key, parts)

    def writer(self, key: str) -> BlobWriter:
        return self.hot.writer(key)

    async def open(self, key: str, offset: int = 0, length: int | None = None) -> BlobReader:
        return await self._first(key, lambda store: store.open(key, offset, length))

    async def read(self, parts: Sequence[Part]) -> list[bytes]:
        try:
            return await self.hot.read(parts)
        except NotFound:
            return await self._read_by_key(parts)

    async def _read_by_key(self, parts: Sequence[Part]) -> list[bytes]:
        """The parts of each object, from the store that has it."""
        places: dict[str, list[int]] = {}
        for at, part in enumerate(parts):
            places.setdefault(part.key, []).append(at)
        contents, turns = [b""] * len(parts), asyncio.Semaphore(_AT_ONCE)

        async def read(key: str) -> None:
            wanted = [parts[at] for at in places[key]]
            async with turns:
                pieces = await self._first(key, lambda store: store.read(wanted))
            for at, piece in zip(places[key], pieces, strict=True):
                contents[at] = piece

        tasks = [asyncio.ensure_future(read(key)) for key in places]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return contents

    async def stat(self, key: str) -> BlobStat:
        return await self._first(key, lambda store: store.stat(key))

    async def bring_back(self, key: str) -> None:
        for name in await self.where(key):
            await self.stores[name].bring_back(key)

    async def delete(self, key: str) -> None:
        stores = list(self.stores.values()) if key.startswith(OBJECTS) else [self.hot]
        # After copying, a move looks for the original, and removes the copy if it is gone. So each store is asked after
        # each other one: whichever way the object is being copied now, one side sees the other.
        for store in (*stores, *stores[:-1]):
            await store.delete(key)

    async def list(self, prefix: str = "") -> AsyncIterator[BlobStat]:
        """All objects, each once, in the order of keys."""
        others = prefix.startswith(OBJECTS) or OBJECTS.startswith(prefix)
        stores = self.stores if others else {HOT: self.hot}
        async with aclosing(_together({name: store.list(prefix) for name, store in stores.items()})) as listing:
            async for copies in listing:
                yield next(iter(copies.values()))

    async def copies(self, prefix: str = OBJECTS) -> AsyncIterator[dict[str, BlobStat]]:
        """All objects, each once, in the order of keys, as each store has it, by the store's name."""
        async with aclosing(_together({name: store.list(prefix) for name, store in self.stores.items()})) as listing:
            async for copies in listing:
                yield copies

    async def sweep_unfinished(self, older_than: float) -> int:
        return sum([await store.sweep_unfinished(older_than) for store in self.stores.values()])

    async def check(self) -> None:
        """Return if an object could be stored now. Whether old ones can be read is not checked: arriving objects must
        not wait for that."""
        await self.hot.check()

    async def close(self) -> None:
        async with AsyncExitStack() as closing:
            for store in self.stores.values():
                closing.push_async_callback(store.close)

    async def _first(self, key: str, ask: Callable[[BlobStore], Awaitable[T]]) -> T:
        """The answer of the first store that has the object. Raises `NotFound` if none does, and the error of a store
        that cannot answer."""
        others = list(self.stores.values()) if key.startswith(OBJECTS) else []
        for store in (*others, self.hot):
            try:
                return await ask(store)
            except NotFound:
                continue
            except Archived as error:
                error.key = key
                raise
        raise NotFound("no such object")


async def _together(listings: Mapping[str, AsyncIterator[BlobStat]]) -> AsyncGenerator[dict[str, BlobStat], None]:
    """Merge listings in the order of keys."""
    heads = {name: await anext(listing, None) for name, listing in listings.items()}
    while keys := [head.key for head in heads.values() if head is not None]:
        key = min(keys)
        copies = {name: head for name, head in heads.items() if head is not None and head.key == key}
        yield copies
        for name in copies:
            heads[name] = await anext(listings[name], None)
