"""Reading sealed events from the bucket, in the order in which they were sealed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gantry.common.errors import NotFound
from gantry.common.events.segments import SealedRecord, unseal
from gantry.common.ids import Receipt, receipt_in_key
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.services.maintenance.sealing import ROOT

FOLDER_MS = 1 << 20
"""Milliseconds whose objects and segments share a folder (`gantry.common.ids.Receipt.object_key`)."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: when it was sealed (milliseconds since the epoch) and its records."""

    key: str
    sealed_at: int
    records: list[SealedRecord]


async def keys(
    objects: BlobStore, root: str, partition: str, since_ms: int, until_ms: int
) -> AsyncIterator[tuple[str, Receipt]]:
    """Keys under a root that Gantry wrote and their receipts, in order of time, from `since_ms` on; 0 for all.
    `until_ms` is now: for a window only its folders are listed, not the years before."""
    prefixes = [f"{root}/{partition}/"]
    if since_ms > 0:
        folders = range(since_ms // FOLDER_MS, until_ms // FOLDER_MS + 2)
        prefixes = [f"{root}/{partition}/{folder:07x}/" for folder in folders]
    for prefix in prefixes:
        async for stat in objects.list(prefix):
            receipt = receipt_in_key(stat.key)
            if receipt is not None and receipt.milliseconds >= since_ms:
                yield stat.key, receipt


async def segments(objects: BlobStore, partition: str, since_ms: int, until_ms: int) -> AsyncIterator[Segment]:
    """The segments sealed since `since_ms`, in order. Raises `Corrupt` if one of them is damaged."""
    async for key, receipt in keys(objects, ROOT, partition, since_ms, until_ms):
        content = await _content(objects, key)
        yield Segment(key, receipt.milliseconds, await asyncio.to_thread(unseal, content))


async def _content(objects: BlobStore, key: str) -> bytes:
    try:
        return await read_whole(objects, key)
    except NotFound:
        # It was listed, and has been sealed anew meanwhile (`resealing`).
        return await read_whole(objects, resealed_key(key))


def resealed_key(key: str) -> str:
    """Where a segment lies that an earlier release sealed with headers, once it was sealed anew without them. Its
    place in the order of segments is the same."""
    return f"{key.removesuffix('.seg')}.bare.seg"
