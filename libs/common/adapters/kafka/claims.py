"""Claim check: a payload that is too long for a message is in the object store, and the message has its key."""

from __future__ import annotations

from blake3 import blake3

from gantry.common.errors import Corrupt
from gantry.common.ports.blobs import BlobStore

HEADER = "claim"


class Claims:
    """Oversize payloads by digest: storing one twice is storing it once."""

    def __init__(self, objects: BlobStore) -> None:
        self._objects = objects

    async def deposit(self, payload: bytes) -> str:
        """Store a payload. Returns its key. Durable when this returns."""
        digest = blake3(payload).hexdigest()
        key = f"claims/{digest[:3]}/{digest}"
        await self._objects.put(key, [payload])
        return key

    async def redeem(self, key: str) -> bytes:
        """The payload under a key; `NotFound`, `Corrupt` or `DependencyUnavailable` otherwise."""
        reader = await self._objects.open(key)
        try:
            payload = bytearray(reader.size)
            filled = await reader.readinto([memoryview(payload)]) if payload else 0
        finally:
            await reader.close()
        if filled != len(payload) or blake3(payload).hexdigest() != key.rpartition("/")[2]:
            raise Corrupt("a claim in the object store is not what was deposited")
        return bytes(payload)
