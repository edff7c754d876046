"""When the log was filled anew from the bucket: a place on the log that somebody keeps from before is none on this one.

state/restored/RECEIPT: of each restore its beginning and its end; the name says when.
"""

from __future__ import annotations

from gantry.common.clock import Clock
from gantry.common.ids import Receipt, receipt_in_key
from gantry.common.ports.blobs import BlobStore

_ROOT = "state/restored/"
_BELIEVED_SECONDS = 10.0


class RestoredLog:
    """Asks the bucket, at most every ten seconds."""

    def __init__(self, objects: BlobStore, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._known_ms = 0
        self._asked = float("-inf")

    async def note(self) -> None:
        """The log is being restored now. Raises `DependencyUnavailable`."""
        await self._objects.put(f"{_ROOT}{Receipt.at(self._clock.now_us()).id}", [b"restored\n"])

    async def last_ms(self) -> int:
        """When that was last, in milliseconds since the epoch; 0 where it never was. Raises
        `DependencyUnavailable`."""
        now = self._clock.monotonic()
        if now - self._asked > _BELIEVED_SECONDS:
            async for stat in self._objects.list(_ROOT):
                receipt = receipt_in_key(stat.key)
                self._known_ms = max(self._known_ms, 0 if receipt is None else receipt.milliseconds)
            self._asked = now
        return self._known_ms
