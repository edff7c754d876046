"""The object opening of the retrieve role, on a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gantry.common.adapters.files import open_file_store
from gantry.common.net import Source
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import Location
from gantry.services.indexer.entries import entry_of
from gantry.services.retrieve.damage import DamageReports
from gantry.services.retrieve.opening import Opened, Openings
from gantry.services.retrieve.pixels.converter import Converter, ConverterLimits
from gantry.services.retrieve.pixels.frame_finder import FrameFinder
from gantry.services.retrieve.reading import Objects
from tests.support.web import event_of


@dataclass
class Stored:
    """Objects of a store, and the functions that open them."""

    store: BlobStore
    converter: Converter
    openings: Openings
    damage: list[tuple[str, str]] = field(default_factory=list)
    _count: int = 0

    async def keep(self, part10: bytes) -> Location:
        """Store a Part 10 object."""
        self._count += 1
        event = event_of(part10, self._count)
        await self.store.put(event.object_key, [part10])
        entry = entry_of(event, part10[event.data_set_offset :])
        return Location(
            entry.study_instance_uid,
            entry.series_instance_uid,
            entry.sop_instance_uid,
            entry.sop_class_uid,
            entry.transfer_syntax_uid,
            entry.object_key,
            entry.data_set_offset,
            entry.data_set_length,
            entry.digest,
            entry.layout,
        )

    async def in_syntax(self, part10: bytes, syntax: str) -> bytes:
        """The data set of an object that is stored now, in a transfer syntax."""
        opened = await self.openings.data_set(await self.keep(part10), syntax, "test")
        return await all_of(opened)


async def all_of(opened: Opened) -> bytes:
    """All bytes of a source; checks their number."""
    try:
        data = await drained(opened.source)
        assert len(data) == opened.size
        return data
    finally:
        await opened.source.close()


async def drained(source: Source, piece: int = 70_001) -> bytes:
    """All bytes of a source, read in pieces of an odd length."""
    buffer, content = bytearray(piece), bytearray()
    while count := await source.readinto([memoryview(buffer)]):
        content += buffer[:count]
    return bytes(content)


@asynccontextmanager
async def retrieval(folder: Path, limits: ConverterLimits | None = None) -> AsyncIterator[Stored]:
    """Everything closed at the end."""
    store = await open_file_store(folder / "objects")
    converter = Converter(limits or ConverterLimits(workers=1))
    reports = DamageReports()
    objects = Objects(store, reports)
    stored = Stored(store, converter, Openings(objects, converter, FrameFinder(objects)))
    reports.on_damage = lambda location, reason: stored.damage.append((location.object_key, reason))
    try:
        yield stored
    finally:
        await converter.close()
        await store.close()
