"""Reading an object whose beginning is ours, and whose rest is in a foreign store."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.common.ports.blobs import BlobReader


class JoinedReader:
    """`BlobReader`: first `head`, then all of `rest`."""

    def __init__(self, head: memoryview, rest: BlobReader, size: int) -> None:
        """`size` is that of the whole object."""
        self.size = size
        self._head = head
        self._rest = rest

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        """As the port has it."""
        done, left = 0, list(buffers)
        while self._head and left:
            taken = min(len(left[0]), len(self._head))
            left[0][:taken] = self._head[:taken]
            self._head = self._head[taken:]
            done += taken
            rest = left[0][taken:]
            left = [rest, *left[1:]] if rest else left[1:]
        return done + (await self._rest.readinto(left) if left else 0)

    async def close(self) -> None:
        """As the port has it."""
        await self._rest.close()
