"""Which objects of a store are packed, and their tables: read once and cached for a while."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from gantry.common.dicom.packing.form import HEAD, TAIL, BlockTable, is_packed, read_table, table_length
from gantry.common.errors import Corrupt
from gantry.common.ports.blobs import BlobStore, Part

_PROBE = 256 << 10
"""Bytes of an object that are read to identify it: most packed images are not longer."""
_MOST_OBJECTS = 4096
_MOST_BLOCKS = 100_000


@dataclass(frozen=True, slots=True)
class StoredForm:
    """How an object is stored: the table of a packed one, None for a plain one; and all its stored bytes, if they were
    read, too."""

    table: BlockTable | None
    stored: bytes | None = None


class Tables:
    """The tables of one store."""

    def __init__(self, inner: BlobStore) -> None:
        self._inner = inner
        self._known: OrderedDict[str, BlockTable | None] = OrderedDict()
        self._blocks = 0

    async def look(self, key: str) -> StoredForm:
        """How an object is stored. Raises `NotFound`, `Archived`, `Corrupt`, `DependencyUnavailable`."""
        if key in self._known:
            self._known.move_to_end(key)
            return StoredForm(self._known[key])
        look = await self._read(key)
        self._remember(key, look.table)
        return look

    def forget(self, key: str) -> None:
        """Drop what is known of an object that is removed or rewritten."""
        table = self._known.pop(key, None)
        self._blocks -= _weight(table) if table is not None else 0

    def _remember(self, key: str, table: BlockTable | None) -> None:
        self.forget(key)
        self._known[key] = table
        self._blocks += _weight(table)
        while len(self._known) > _MOST_OBJECTS or self._blocks > _MOST_BLOCKS:
            self.forget(next(iter(self._known)))

    async def _read(self, key: str) -> StoredForm:
        reader = await self._inner.open(key, 0, _PROBE)
        try:
            buffer = bytearray(min(_PROBE, reader.size))
            filled = await reader.readinto([memoryview(buffer)])
        finally:
            await reader.close()
        if not is_packed(bytes(buffer[: len(HEAD)])):
            return StoredForm(None)
        if filled < len(buffer):
            raise Corrupt("an object is shorter than its store says")
        if reader.size <= _PROBE:
            stored = bytes(buffer)
            return StoredForm(read_table(stored, reader.size), stored)
        return StoredForm(await self._table_of(key, reader.size))

    async def _table_of(self, key: str, size: int) -> BlockTable:
        (end,) = await self._inner.read([Part(key, max(0, size - _PROBE), _PROBE)])
        length = table_length(end[-TAIL:]) + TAIL
        if length > len(end):
            (end,) = await self._inner.read([Part(key, max(0, size - length), length)])
        return read_table(end, size)


def _weight(table: BlockTable | None) -> int:
    return len(table.blocks) if table is not None else 0
