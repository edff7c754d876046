"""Reading sealed events from the bucket, in the order in which they were sealed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gantry.common.errors import NotFound
from gantry.common.events import FACTS
from gantry.common.events.segments import SealedRecord, unseal
from gantry.common.ids import FOLDER_MS, Receipt, receipt_in_key
from gantry.common.ports.blobs import BlobStore, read_whole

_DIGITS = 7
"""Digits in the name of a folder."""
ROOT = FACTS
"""The root of the segments from which everything is rebuilt."""


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
    prefixes = [""] if since_ms <= 0 else covering(since_ms // FOLDER_MS, until_ms // FOLDER_MS + 1)
    for prefix in [f"{root}/{partition}/{folder}" for folder in prefixes]:
        async for stat in objects.list(prefix):
            receipt = receipt_in_key(stat.key)
            if receipt is not None and receipt.milliseconds >= since_ms:
                yield stat.key, receipt


def covering(first: int, last: int) -> list[str]:
    """The prefixes that cover exactly the folders from `first` to `last`, in order: few listings even for years."""
    prefixes = []
    while first <= last:
        digits = 0
        while digits < _DIGITS - 1 and first % 16 ** (digits + 1) == 0 and first + 16 ** (digits + 1) - 1 <= last:
            digits += 1
        prefixes.append(f"{first >> 4 * digits:0{_DIGITS - digits}x}")
        first += 16**digits
    return prefixes


async def segments(
    objects: BlobStore, partition: str, since_ms: int, until_ms: int, root: str = ROOT
) -> AsyncIterator[Segment]:
    """The segments sealed since `since_ms`, in order. Raises `Corrupt` if one of them is damaged."""
    async for key, receipt in keys(objects, root, partition, since_ms, until_ms):
        content = await _content(objects, key)
        yield Segment(key, receipt.milliseconds, await asyncio.to_thread(unseal, content))


async def _content(objects: BlobStore, key: str) -> bytes:
    try:
        return await read_whole(objects, key)
    except NotFound:
        # It was sealed anew since it was listed (`resealing`).
        return await read_whole(objects, resealed_key(key))


def resealed_key(key: str) -> str:
    """The key of an earlier release's segment after it was sealed anew, without headers. Its position in the order of
    segments is the same."""
    return f"{key.removesuffix('.seg')}.bare.seg"
