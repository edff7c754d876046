"""The object store port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

Buffer = bytes | bytearray | memoryview

OPEN_AHEAD = 2 << 20
"""Bytes that a store reads at most of an opened object before they are requested."""


@dataclass(frozen=True, slots=True)
class BlobStat:
    """A stored object: its key and its size in bytes. In a listing the size is that on the store: less if the store
    compresses, a little more if it encrypts."""

    key: str
    size: int


class Part(NamedTuple):
    """`length` bytes of an object from `offset`."""

    key: str
    offset: int
    length: int


class BlobWriter(Protocol):
    """Writes one object. Exactly one of `commit` and `abort` ends it; `abort` after a failed call is allowed."""

    async def write(self, chunk: Buffer) -> None:
        """Write the next bytes. The chunk may be reused as soon as this returns. Memory stays bounded: the call waits
        if the store is slower than the caller."""

    async def commit(self) -> None:
        """Make the object durable and visible under its key; nothing of it is visible before."""

    async def abort(self) -> None:
        """Discard the object. Nothing of it remains, now or after the store's next start."""


class BlobReader(Protocol):
    """Reads one object."""

    size: int
    """Bytes of the whole object, whatever range was asked for."""

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """Fill the buffers in order with the next bytes and return how many; 0 only at the end of the range. All
        buffers are filled unless the range ends first."""

    async def close(self) -> None:
        """Release the resources. May be called twice."""


class BlobStore(Protocol):
    """Immutable objects under keys that we generate (`gantry.common.ids`), each written once.

    - A key is relative, of [A-Za-z0-9._-] segments separated by "/", none empty or starting with "."; others are a
      ValueError. A segment has at most 255 characters, a key 1024; no key is the folder of another.
    - An object is durable when `put` or `commit` returns: it survives `kill -9` and a power cut from then on.
    - An object is visible whole or not at all, to `open`, `stat` and `list` alike.
    - A missing object is `NotFound`, except for `delete`, which succeeds.
    - Writing to an existing key replaces the whole object. Gantry never does this: each receipt has its own key.
    - An object that the store itself has archived (as buckets do by rules of their own) is `Archived` to `open` and
      `read`; `stat`, `list` and `delete` treat it like any other. `bring_back` requests it.
    - A store that is away, is full or refuses is `DependencyUnavailable`.
    """

    async def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Store one object from parts in memory, in order. Concurrent calls share their cost."""

    def writer(self, key: str) -> BlobWriter:
        """Begin an object of any size, written in chunks. This costs nothing until the first `write`."""

    async def open(self, key: str, offset: int = 0, length: int | None = None) -> BlobReader:
        """Read `length` bytes from `offset` (to the end where None). A range past the end is cut to the object.

        The first `OPEN_AHEAD` bytes are read from now on, before they are requested, so that a caller who opens several
        objects waits for all of them together. An object of at most that length releases its connection once it is
        read."""

    async def read(self, parts: Sequence[Part]) -> list[bytes]:
        """Read small parts of objects, in order; a part past the end of its object is cut. The parts are read
        together. If one object is missing, the whole call fails."""

    async def stat(self, key: str) -> BlobStat:
        """The size of an object."""

    async def delete(self, key: str) -> None:
        """Remove an object; succeeds if there is none."""

    async def bring_back(self, key: str) -> None:
        """Request that an archived object becomes readable for a while, within hours. Repeating the request changes
        nothing, and neither does a request for an object that is not archived. Returns at once."""

    def list(self, prefix: str = "") -> AsyncIterator[BlobStat]:
        """All objects whose key starts with `prefix`, in the order of keys, without unfinished ones."""

    async def sweep_unfinished(self, older_than: float) -> int:
        """Remove the remains of objects that were begun more than `older_than` seconds ago and whose writer died before
        `commit` or `abort`. Returns how many. Younger writers that are alive lose nothing."""

    async def check(self) -> None:
        """Return if an object could be stored now; `DependencyUnavailable` otherwise."""

    async def close(self) -> None:
        """Release the resources; objects in progress are finished first. May be called twice."""


async def read_whole(store: BlobStore, key: str) -> bytes:
    """Read an object that is known to be small. Raises what `open` and `readinto` do."""
    reader = await store.open(key)
    try:
        content = bytearray(reader.size)
        filled = await reader.readinto([memoryview(content)])
        return bytes(content[:filled])
    finally:
        await reader.close()
