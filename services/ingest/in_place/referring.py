"""The target that "stores" objects that stay in place: their bytes are dropped, and a reference is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from gantry.common.ports.blobs import BlobReader, BlobStat, Buffer, Part
from gantry.common.runtime.in_place.reference import InPlaceReference
from gantry.common.runtime.in_place.store import ReferringStore


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """Where an object lies, and where its data set begins there (`InPlaceReference`)."""

    store: str
    key: str
    tag: str
    size: int
    offset: int

    def reference(self, head: bytes) -> InPlaceReference:
        """The reference to it, with file meta information of ours."""
        return InPlaceReference(self.store, self.key, self.tag, self.size, self.offset, head)


class ReferringWriter:
    """`BlobWriter` that retains only the head, which is written first (`ObjectSink`)."""

    def __init__(self, store: ReferringStore, key: str, lying: SourceLocation) -> None:
        self._store = store
        self._key = key
        self._lying = lying
        self._head: bytes | None = None

    async def write(self, chunk: Buffer) -> None:
        if self._head is None:
            self._head = bytes(chunk)

    async def commit(self) -> None:
        await self._store.refer(self._key, self._lying.reference(self._head or b""))

    async def abort(self) -> None:
        return


class ReferringTarget:
    """The object store of an `InstanceWriter` whose objects stay in place. Reading is that of the archive."""

    def __init__(self, store: ReferringStore) -> None:
        self._store = store
        self.lying: dict[str, SourceLocation] = {}
        """Where the objects under way lie, by the key of their reference."""

    async def put(self, key: str, parts: Sequence[Buffer]) -> None:
        await self._store.refer(key, self.lying[key].reference(bytes(parts[0])))

    def writer(self, key: str) -> ReferringWriter:
        return ReferringWriter(self._store, key, self.lying[key])

    async def delete(self, key: str) -> None:
        """The object was refused: forget its reference."""
        await self._store.forget(key)

    async def open(self, key: str, offset: int = 0, length: int | None = None) -> BlobReader:
        return await self._store.open(key, offset, length)

    async def read(self, parts: Sequence[Part]) -> list[bytes]:
        return await self._store.read(parts)

    async def stat(self, key: str) -> BlobStat:
        return await self._store.stat(key)

    async def bring_back(self, key: str) -> None:
        await self._store.bring_back(key)

    async def list(self, prefix: str = "") -> AsyncIterator[BlobStat]:
        async for stat in self._store.list(prefix):
            yield stat

    async def sweep_unfinished(self, older_than: float) -> int:
        return await self._store.sweep_unfinished(older_than)

    async def check(self) -> None:
        await self._store.check()

    async def close(self) -> None:
        """The archive's store stays open."""
