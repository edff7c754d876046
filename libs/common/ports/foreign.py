"""A port that only reads: a bucket or folder of somebody else, whose objects Gantry serves in place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from gantry.common.ports.blobs import BlobReader


@dataclass(frozen=True, slots=True)
class ForeignObject:
    """An object of somebody else: its key, of any form, its size in bytes, and its `tag`, which changes whenever its
    bytes do (the ETag of a bucket; size and time of change of a file)."""

    key: str
    size: int
    tag: str


class ForeignStore(Protocol):
    """Objects that are not ours. They can be neither written nor deleted.

    - A missing object is `NotFound`.
    - An object whose tag differs from the requested one is `Corrupt`, and so is each later read of a reader.
    - An object that its store has archived is `Archived`.
    - A store that is away or refuses, even for one object only, is `DependencyUnavailable`.
    """

    def list(self, prefix: str = "") -> AsyncIterator[ForeignObject]:
        """All objects whose key starts with `prefix`, in the order in which the store lists them."""

    async def open(self, key: str, tag: str, offset: int = 0, length: int | None = None) -> BlobReader:
        """Read `length` bytes from `offset` (to the end where None) of an object with this tag. A range past the end is
        cut to the object."""

    async def stat(self, key: str, tag: str) -> ForeignObject:
        """Check that an object with this tag exists, and return it with its size."""

    async def check(self) -> None:
        """Return if objects could be read now; `DependencyUnavailable` otherwise."""

    async def close(self) -> None:
        """Release the resources. May be called twice."""
