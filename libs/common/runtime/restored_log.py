"""When the log was restored from the bucket: positions on the old log are invalid on this one.

state/restored/RECEIPT.begun, state/restored/RECEIPT: the beginning and the end of each restore; the name is the time. A
beginning without an end is that of an interrupted restore.
"""

from __future__ import annotations

from gantry.common.clock import Clock
from gantry.common.ids import Receipt, receipt_in_key
from gantry.common.ports.blobs import BlobStore

_ROOT = "state/restored/"
_BEGUN = ".begun"
_BELIEVED_SECONDS = 10.0


class RestoredLog:
    """Asks the bucket, at most every ten seconds."""

    def __init__(self, objects: BlobStore, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._known_ms = 0
        self._asked_at = float("-inf")

    async def note(self, *, begun: bool = False) -> None:
        """Record that a restore has just `begun`, or is done. Raises `DependencyUnavailable`."""
        name = f"{_ROOT}{Receipt.at(self._clock.now_us()).id}{_BEGUN if begun else ''}"
        await self._objects.put(name, [b"restored\n"])

    async def broken_off(self) -> bool:
        """Whether the last restore began and did not end. Raises `DependencyUnavailable`."""
        last = ""
        async for stat in self._objects.list(_ROOT):
            last = stat.key if receipt_in_key(stat.key) is not None else last
        return last.endswith(_BEGUN)

    async def last_ms(self) -> int:
        """When the log was last restored, in milliseconds since the epoch; 0 if never. Raises
        `DependencyUnavailable`."""
        now = self._clock.monotonic()
        if now - self._asked_at > _BELIEVED_SECONDS:
            async for stat in self._objects.list(_ROOT):
                receipt = receipt_in_key(stat.key)
                self._known_ms = max(self._known_ms, 0 if receipt is None else receipt.milliseconds)
            self._asked_at = now
        return self._known_ms
