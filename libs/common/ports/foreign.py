"""A port that only reads: a bucket or folder of somebody else, whose objects Gantry gives out where they lie."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from gantry.common.ports.blobs import BlobReader


@dataclass(frozen=True, slots=True)
class ForeignObject:
    """An object of somebody else: its key, of any form, its size in bytes, and its `tag`, which is another one as soon
    as its bytes are (the ETag of a bucket; size and time of change of a file)."""

    key: str
    size: int
    tag: str


class ForeignStore(Protocol):
    """Objects that are not ours. There is nothing here to write or delete with.

    - An object that is not there is `NotFound`.
    - One that has another tag than the one that is asked for is `Corrupt`, and so is each later read of a reader.
    - One that its store has put into an archive is `Archived`.
    - A store that is away or refuses, also one object only, is `DependencyUnavailable`.
    """

    def list(self, prefix: str = "") -> AsyncIterator[ForeignObject]:
        """All objects whose key starts with `prefix`, in the order in which the store lists them."""

    async def open(self, key: str, tag: str, offset: int = 0, length: int | None = None) -> BlobReader:
        """Read `length` bytes from `offset` (to the end where None) of an object with this tag. A range past the end is
        cut to the object."""

    async def stat(self, key: str, tag: str) -> ForeignObject:
        """Whether an object with this tag is there, and its size."""

    async def check(self) -> None:
        """Return if objects could be read now; `DependencyUnavailable` otherwise."""

    async def close(self) -> None:
        """Give the resources back. May be called twice."""
