"""Sinks receive the bytes of a data set, and sources supply the bytes to send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gantry.common.errors import TooLarge


class Sink(Protocol):
    """Receives the bytes of one data set as they arrive."""

    def write(self, views: Sequence[memoryview]) -> bool:
        """Consume the views before returning (their memory is reused). False: wait for `ready` before the next call;
        the association stops reading meanwhile. `TooLarge` aborts the association."""

    async def ready(self) -> None:
        """Return when `write` may be called again."""

    async def discard(self) -> None:
        """The data set will never be complete (abort, lost connection): discard it."""


class Source(Protocol):
    """Supplies the bytes of one data set; the object store's readers are sources."""

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """Fill the buffers in order. Returns the number of bytes, 0 at the end."""

    async def close(self) -> None:
        """Release the resources."""


class MemorySink:
    """Collects a small data set (an identifier, action information) in memory."""

    def __init__(self, limit: int = 16 << 20) -> None:
        self._limit = limit
        self.data = bytearray()

    def write(self, views: Sequence[memoryview]) -> bool:
        for view in views:
            self.data += view
        if len(self.data) > self._limit:
            raise TooLarge(f"data set longer than {self._limit} bytes")
        return True

    async def ready(self) -> None:
        return None

    async def discard(self) -> None:
        self.data.clear()
