"""The claim check: parts of a header or coercion that an event does not carry are read from the object, many at a
time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.errors import GantryError
from gantry.common.events import InstanceStored
from gantry.common.ports.blobs import BlobStore, Part
from gantry.common.ports.index import InstanceEntry
from gantry.common.runtime.coercion import with_coercion
from gantry.services.indexer.entries import entry_of, head_length, head_parts

_AT_ONCE = 32 << 20
"""Bytes of headers that are in memory at once, however many events there are."""
_TOGETHER = 512
"""Events whose headers are read together."""


async def entries_of(
    objects: BlobStore, events: Sequence[InstanceStored], attributes: AttributeTable
) -> list[InstanceEntry | GantryError]:
    """The entry of each event, or why it can never have one: its header cannot be read, or its object is missing.
    Raises `DependencyUnavailable`."""
    entries: list[InstanceEntry | GantryError] = []
    async for run in _runs(events):
        heads = await _heads(objects, run)
        run = await with_coercion(objects, run)
        # Off the event loop: a batch takes a tenth of a second, and associations may be served in this process.
        entries += await asyncio.to_thread(_entries, run, heads, attributes)
    return entries


async def _runs(events: Sequence[InstanceStored]) -> AsyncIterator[Sequence[InstanceStored]]:
    """The events, as many at a time as may be in memory with what is read for them."""
    begin = size = 0
    for number, event in enumerate(events):
        length = head_length(event) if event.header is None else 0
        if number > begin and (size + length > _AT_ONCE or number - begin == _TOGETHER):
            yield events[begin:number]
            begin, size = number, 0
        size += length
    if begin < len(events):
        yield events[begin:]


async def _heads(objects: BlobStore, events: Sequence[InstanceStored]) -> list[bytes | GantryError]:
    """The joined `head_parts` of each event that carries no header; nothing of the others."""
    parts = [_parts(event) if event.header is None else [] for event in events]
    try:
        read = iter(await objects.read([part for run in parts for part in run]))
        return [b"".join([next(read) for _ in run]) for run in parts]
    except GantryError as error:
        if error.retryable:
            raise
    # One missing object fails the whole read: reading each by itself shows which one it is.
    return [await _head(objects, run) for run in parts]


async def _head(objects: BlobStore, parts: Sequence[Part]) -> bytes | GantryError:
    try:
        return b"".join(await objects.read(parts)) if parts else b""
    except GantryError as error:
        if error.retryable:
            raise
        return error


def _parts(event: InstanceStored) -> list[Part]:
    return [Part(event.object_key, event.data_set_offset + at, length) for at, length in head_parts(event)]


def _entries(
    events: Sequence[InstanceStored], heads: Sequence[bytes | GantryError], attributes: AttributeTable
) -> list[InstanceEntry | GantryError]:
    return [_entry(event, head, attributes) for event, head in zip(events, heads, strict=True)]


def _entry(event: InstanceStored, head: bytes | GantryError, attributes: AttributeTable) -> InstanceEntry | GantryError:
    if isinstance(head, GantryError):
        return head
    try:
        return entry_of(event, head, attributes)
    except GantryError as error:
        return error
