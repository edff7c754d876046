"""Which fragments of encapsulated pixel data make which frame (PS3.5 A.4): by the offset table, by their number, or by
how each of them begins."""

from __future__ import annotations

import asyncio
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from struct import iter_unpack
from weakref import WeakValueDictionary

from libs.common.ports.index import Location
from libs.common.web.errors import HttpProblem
from services.retrieve.images import Image
from services.retrieve.reading import Objects
from services.retrieve.representations import media_type_of

_KEPT = 2_000_000
"""Fragments that are remembered, of 16 bytes each; an object counts for some more."""
MOST_LOOKED_AT = 10_000
"""Fragments of one object whose first bytes are read where nothing else tells its frames apart."""

# The first bytes of a codestream: SOI with another marker behind it (ITU-T T.81 B.2.1, T.87 C.1.1), SOC and SIZ (T.800
# A.4). Data of a scan never look like that, those of a tile by a chance of 2 to the -32, and then there are too many.
_JPEG, _JPEG_2000 = b"\xff\xd8\xff", b"\xff\x4f\xff\x51"
_BEGINNINGS = {
    "image/jpeg": _JPEG,
    "image/jls": _JPEG,
    "image/jp2": _JPEG_2000,
    "image/jpx": _JPEG_2000,
    "image/jphc": _JPEG_2000,
}


@dataclass(frozen=True, slots=True)
class Frames:
    """Where the value of each fragment begins in the data set and how long it is, and the number of the first one of
    each frame, with that of the end behind them."""

    starts: array[int]
    lengths: array[int]
    firsts: array[int]

    def of(self, number: int) -> list[tuple[int, int]]:
        """Offset and length of the fragments of a frame, which are counted from 1."""
        chosen = range(self.firsts[number - 1], self.firsts[number])
        return [(self.starts[item], self.lengths[item]) for item in chosen]


class FrameFinder:
    """Finds out where frames lie; of the last few objects it is remembered, also that it cannot be known."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._known: OrderedDict[str, Frames | None] = OrderedDict()
        self._size = 0
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def frames(self, location: Location, image: Image) -> Frames:
        """Of an encapsulated image. Raises `HttpProblem` 404 where they cannot be told apart."""
        key = location.object_key
        # Many ask for frames of one object at once: what may take thousands of reads is done for one of them.
        async with self._turns.setdefault(key, asyncio.Lock()):
            if key not in self._known:
                self._keep(key, await self._found(location, image))
        self._known.move_to_end(key)
        found = self._known[key]
        if found is None:
            raise HttpProblem(404, "the frames of this object cannot be told apart")
        return found

    def _keep(self, key: str, found: Frames | None) -> None:
        self._known[key] = found
        self._size += _size(found)
        while self._size > _KEPT and len(self._known) > 1:
            _, gone = self._known.popitem(last=False)
            self._size -= _size(gone)

    async def everything(self, location: Location, image: Image) -> list[tuple[int, int]]:
        """Offset and length of all fragments of an encapsulated image, whatever frames they make: a video is one
        codestream. Raises `HttpProblem` 404 where there are none."""
        starts, items = await self._items(location, image)
        if len(items) < 2:
            raise HttpProblem(404, "this object has no frames")
        return list(zip(starts[1:], items[1:], strict=True))

    async def _items(self, location: Location, image: Image) -> tuple[list[int], Sequence[int]]:
        """Where the value of each item of the pixel data begins, and how long it is."""
        pixels = image.pixels
        if pixels.fragments is None:  # too many for the index
            pixels = (await self._objects.scanned(location)).pixel_data or pixels
        items = pixels.fragments or ()
        # A.4: each item has a head of 8 bytes; the first is the Basic Offset Table.
        return list(accumulate([length + 8 for length in items[:-1]], initial=pixels.offset + 8)), items

    async def _found(self, location: Location, image: Image) -> Frames | None:
        starts, items = await self._items(location, image)
        if len(items) < 2:
            return None
        fragments = array("Q", starts[1:]), array("I", items[1:])
        firsts = await self._firsts(location, image, starts[0], items[0], *fragments)
        return None if firsts is None else Frames(*fragments, array("I", [*firsts, len(items) - 1]))

    async def _firsts(
        self, location: Location, image: Image, at: int, length: int, starts: array[int], lengths: array[int]
    ) -> Sequence[int] | None:
        """The first fragments of frames. `at` and `length` are those of the Basic Offset Table."""
        if image.frames == 1:
            return [0]
        found: Sequence[int] | None = None
        if image.extended_offsets is not None and image.extended_offsets[1] == 8 * image.frames:
            found = by_table(await self._objects.read(location, *image.extended_offsets), "<Q", lengths)
        elif length == 4 * image.frames:
            found = by_table(await self._objects.read(location, at, length), "<I", lengths)
        if found is None and len(lengths) == image.frames:
            found = range(image.frames)
        beginning = _BEGINNINGS.get(media_type_of(location.transfer_syntax_uid))
        if found is None and beginning is not None and image.frames < len(lengths) <= MOST_LOOKED_AT:
            heads = await self._objects.read_parts(location, [(start, len(beginning)) for start in starts])
            found = by_beginnings(heads, beginning, image.frames)
        return found


def _size(found: Frames | None) -> int:
    return 50 + (len(found.starts) if found is not None else 0)


def by_table(table: bytes, form: str, lengths: Sequence[int]) -> list[int] | None:
    """The first fragments that an offset table names; None where it does not name the beginnings of fragments, from the
    first one on, in order."""
    places = {start: item for item, start in enumerate(accumulate([length + 8 for length in lengths], initial=0))}
    firsts = [places.get(offset, -1) for (offset,) in iter_unpack(form, table)]
    ends = [*firsts[1:], len(lengths)]
    return firsts if firsts[0] == 0 and all(a < b for a, b in zip(firsts, ends, strict=True)) else None


def by_beginnings(heads: Sequence[bytes], beginning: bytes, frames: int) -> list[int] | None:
    """The fragments that begin as a codestream does; None where they are not as many as there are frames, or where the
    first one is none."""
    firsts = [item for item, head in enumerate(heads) if head == beginning]
    return firsts if len(firsts) == frames and firsts[0] == 0 else None
