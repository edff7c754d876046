"""The object store port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

Buffer = bytes | bytearray | memoryview

OPEN_AHEAD = 2 << 20
"""Bytes that a store reads, at most, of an object that was opened before anybody asks for them."""


@dataclass(frozen=True, slots=True)
class BlobStat:
    """A stored object: its key and its size in bytes. In a listing it is the bytes that the object takes, which are
    fewer where the store compresses, and some more where it encrypts."""

    key: str
    size: int


class Part(NamedTuple):
    """`length` bytes of an object from `offset`."""

    key: str
    offset: int
    length: int


class BlobWriter(Protocol):
    """One object on its way in. Exactly one of `commit` and `abort` ends it; `abort` after a failed call is allowed."""

    async def write(self, chunk: Buffer) -> None:
        """Take the next bytes. The chunk may be reused as soon as this returns. Memory stays bounded: it returns late
        when the store is slower than the caller."""

    async def commit(self) -> None:
        """Make the object durable under its key and visible; nothing of it is visible before."""

    async def abort(self) -> None:
        """Forget the object. Nothing of it remains, now or after the store's next start."""


class BlobReader(Protocol):
    """One object on its way out."""

    size: int
    """Bytes of the whole object, whatever range was asked for."""

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """Fill the buffers in order with the next bytes and return how many; 0 only at the end of the range. It fills
        all of them unless the range ends first."""

    async def close(self) -> None:
        """Give the resources back. May be called twice."""


class BlobStore(Protocol):
    """Immutable objects under keys of our own making (`gantry.common.ids`), each written once.

    - A key is relative, of [A-Za-z0-9._-] segments separated by "/", none empty or starting with "."; others are a
      ValueError. A segment has at most 255 characters, a key 1024; no key is the folder of another.
    - An object is durable when `put` or `commit` returns: it survives `kill -9` and a power cut from then on.
    - An object is visible whole or not at all, to `open`, `stat` and `list` alike.
    - A missing object is `NotFound`, except for `delete`, which is satisfied.
    - Writing to a key that exists replaces the object whole; Gantry never does, since keys are unique to a receipt.
    - An object that the store itself has put into an archive (as buckets do by rules of their own) is `Archived` to
      `open` and `read`; `stat`, `list` and `delete` know it as any other. `bring_back` asks for it.
    - A store that is away, full or refuses is `DependencyUnavailable`.
    """

    async def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Store one object from parts that are all in memory, in order. Many at once share their cost."""

    def writer(self, key: str) -> BlobWriter:
        """Begin an object of any size, written in chunks. Costs nothing until its first `write`."""

    async def open(self, key: str, offset: int = 0, length: int | None = None) -> BlobReader:
        """Read `length` bytes from `offset` (to the end where None). A range past the end is cut to the object.

        The first `OPEN_AHEAD` bytes come from the disk or over the network from now on, whether they are asked for yet
        or not: who opens several objects waits for all of them together. An object that is not longer than that holds
        no connection any more once it has come."""

    async def read(self, parts: Sequence[Part]) -> list[bytes]:
        """Small parts of objects, in their order; what reaches past the end of its object is cut. Many at once share
        their waits. One of a missing object fails them all."""

    async def stat(self, key: str) -> BlobStat:
        """Size of an object."""

    async def delete(self, key: str) -> None:
        """Remove an object; one that is not there is satisfied."""

    async def bring_back(self, key: str) -> None:
        """Ask for an archived object to be readable for a while, in some hours; asking again changes nothing, and nor
        does asking for one that is not archived. Returns at once."""

    def list(self, prefix: str = "") -> AsyncIterator[BlobStat]:
        """All objects whose key starts with `prefix`, in the order of keys. Unfinished ones are not among them."""

    async def sweep_unfinished(self, older_than: float) -> int:
        """Remove what is left of objects that were begun more than `older_than` seconds ago and whose writer died
        before `commit` or `abort`; how many there were. A writer that is alive loses nothing if it is younger."""

    async def check(self) -> None:
        """Return if an object could be stored now; `DependencyUnavailable` otherwise."""

    async def close(self) -> None:
        """Give the resources back; objects under way are finished first. May be called twice."""


async def read_whole(store: BlobStore, key: str) -> bytes:
    """An object that is known to be small. Raises what `open` and `readinto` do."""
    reader = await store.open(key)
    try:
        content = bytearray(reader.size)
        filled = await reader.readinto([memoryview(content)])
        return bytes(content[:filled])
    finally:
        await reader.close()
