"""Locates the frames of encapsulated objects, and caches the result for the last few objects."""

from __future__ import annotations

import asyncio
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from weakref import WeakValueDictionary

from gantry.common.errors import Corrupt
from gantry.common.ports.index import Location
from gantry.services.retrieve.pixels.frames import (
    HEAD,
    Frames,
    begins,
    by_beginnings,
    by_count,
    by_length,
    by_table,
    can_begin,
)
from gantry.services.retrieve.pixels.image import Image, NoFrame
from gantry.services.retrieve.reading import Objects

_KEPT = 2_000_000
"""Fragments that are cached, of 16 bytes each; an object counts as some more."""
MOST_LOOKED_AT = 10_000
"""Fragments of one object whose first bytes are read if nothing else delimits its frames."""


class FrameFinder:
    """Locates the frames of encapsulated objects; failures are cached, too."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._known: OrderedDict[str, Frames | None] = OrderedDict()
        self._size = 0
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def frames(self, location: Location, image: Image) -> Frames:
        """The frames of an encapsulated image. Raises `NoFrame` if their boundaries cannot be found."""
        key = location.object_key
        # Many requests ask for frames of one object at once: the search, of up to thousands of reads, is done once.
        async with self._turns.setdefault(key, asyncio.Lock()):
            if key not in self._known:
                self._keep(key, await self._locate_frames(location, image))
        table = self._known.get(key)
        if table is None:
            raise NoFrame("the frames of this object cannot be told apart")
        self._known.move_to_end(key)
        return table

    def _keep(self, key: str, frames: Frames | None) -> None:
        self._known[key] = frames
        self._size += _size(frames)
        while self._size > _KEPT and len(self._known) > 1:
            _, gone = self._known.popitem(last=False)
            self._size -= _size(gone)

    async def everything(self, location: Location, image: Image) -> list[tuple[int, int]]:
        """Offset and length of all fragments of an encapsulated image, whatever frames they make: a video is one
        codestream. Raises `NoFrame` if there are none."""
        starts, items = await self._items(location, image)
        if len(items) < 2:
            raise NoFrame("this object has no frames")
        return [(start, length) for start, length in zip(starts[1:], items[1:], strict=True) if length]

    async def _items(self, location: Location, image: Image) -> tuple[list[int], Sequence[int]]:
        """Where the value of each item of the pixel data begins, and how long it is."""
        pixels = image.pixels
        if pixels.fragments is None:  # too many for the index
            pixels = (await self._objects.scanned(location)).pixel_data or pixels
        items = pixels.fragments or ()
        # A.4: each item has a head of 8 bytes; the first is the Basic Offset Table.
        return list(accumulate([length + 8 for length in items[:-1]], initial=pixels.offset + 8)), items

    async def _locate_frames(self, location: Location, image: Image) -> Frames | None:
        starts, items = await self._items(location, image)
        if len(items) < 2 or not any(items[1:]):
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
        # If there are as many non-empty fragments as frames, each is one frame: no table can say otherwise.
        firsts = by_count(lengths, image.frames) or by_length(image, lengths)
        if firsts is not None:
            return firsts
        table = await self._by_tables(location, image, at, length, lengths)
        if len(lengths) > MOST_LOOKED_AT or not can_begin(image.transfer_syntax):
            return table
        heads = await self._heads(location, starts, lengths)
        is_first = [begins(image, head) for head in heads]
        # A table may name the beginnings of fragments and still be wrong: each frame must begin with a codestream.
        if table is not None and all(is_first[_filled(lengths, first)] for first in table):
            return table
        beginnings = by_beginnings(is_first, lengths, image.frames)
        return table if beginnings is None else beginnings

    async def _by_tables(
        self, location: Location, image: Image, at: int, length: int, lengths: array[int]
    ) -> Sequence[int] | None:
        offsets: Sequence[int] | None = None
        if image.extended_offsets is not None and image.extended_offsets[1] == 8 * image.frames:
            offsets = by_table(await self._objects.read(location, *image.extended_offsets), "<Q", lengths)
        if offsets is None and length == 4 * image.frames:
            offsets = by_table(await self._objects.read(location, at, length), "<I", lengths)
        return offsets

    async def _heads(self, location: Location, starts: array[int], lengths: array[int]) -> list[bytes]:
        parts = [(start, min(HEAD, length)) for start, length in zip(starts, lengths, strict=True)]
        read = iter(await self._objects.read_parts(location, [part for part in parts if part[1]]))
        heads = [next(read) if length else b"" for _, length in parts]
        if any(len(head) != length for head, (_, length) in zip(heads, parts, strict=True)):
            raise Corrupt("an object is shorter than it was")
        return heads


def _filled(lengths: Sequence[int], first: int) -> int:
    """The first non-empty fragment from `first` on."""
    return next((item for item in range(first, len(lengths)) if lengths[item]), first)


def _size(frames: Frames | None) -> int:
    return 50 + (len(frames.starts) if frames is not None else 0)
