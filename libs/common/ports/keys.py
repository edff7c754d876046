"""The key service port: a key service wraps data keys and opens them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new data key, plain and wrapped by the key called `wrapping_key`."""

    plain: bytes
    wrapped: bytes
    wrapping_key: str


class KeyService(Protocol):
    """Holds keys that wrap data keys, and never reveals them. One of them is current.

    - `purpose` is bound to a wrapped key: it opens only with the same purpose.
    - A service that is away is `DependencyUnavailable` ("key service"). A service that does not have a key, or refuses
      it, is `KeyWithheld`, never `Corrupt`: with the wrong keys, objects must not look damaged.
    """

    async def new(self, purpose: str) -> NewKey:
        """A new data key of 32 bytes, wrapped by the current key."""

    async def open(self, wrapped: bytes, wrapping_key: str, purpose: str) -> bytes:
        """The data key that was wrapped. Raises `Corrupt` if `wrapped` was changed since."""

    async def wrap_anew(self, wrapped: bytes, wrapping_key: str, purpose: str) -> tuple[bytes, str]:
        """The same data key wrapped by the current key, and that key's name."""

    async def current(self) -> str:
        """The name of the current key."""

    async def close(self) -> None:
        """Release the resources. May be called twice."""
