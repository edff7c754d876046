"""Palettes (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6, C.7.9): from the values of PALETTE COLOR images to RGB. Runs in worker
processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gantry.services.retrieve.pixels.display import table
from gantry.services.retrieve.pixels.greys import Lut
from gantry.services.retrieve.pixels.worker import CannotDo

Array = np.ndarray[Any, np.dtype[Any]]
_COLOURS = ("Red", "Green", "Blue")
_MOST_ENTRIES = 1 << 16


def palette_of(header: Any, order: str) -> list[Lut]:
    """Red, green and blue. Raises `CannotDo`."""
    luts = []
    for colour in _COLOURS:
        descriptor, data = f"{colour}PaletteColorLookupTableDescriptor", f"{colour}PaletteColorLookupTableData"
        if data in header:
            lut = table(header, descriptor, data, order)
        else:
            lut = _segmented(header, descriptor, f"Segmented{data}", order)
        luts.append(Lut(lut.first, 16 if lut.bits > 8 else 8, lut.entries))
    return luts


def coloured(palette: Sequence[Lut], values: Array) -> Array:
    """Values in RGB of 8 bits: the upper half of entries of 16 bits (PS3.3 C.7.6.3.1.6)."""
    planes = [lut.of(values) >> (lut.bits - 8) for lut in palette]
    return np.stack(planes, axis=-1).astype(np.uint8)


def _segmented(header: Any, descriptor: str, data: str, order: str) -> Lut:
    """PS3.3 C.7.9.2: discrete, linear and indirect segments."""
    try:
        count, first, bits = (int(part) for part in header[descriptor].value)
        value = header[data].value
    except (KeyError, TypeError, ValueError):
        raise CannotDo("a palette is missing, or cannot be") from None
    words = np.frombuffer(value[: len(value) // 2 * 2], f"{order}u2")
    numbers = words.astype("<u2").view(np.uint8) if bits == 8 else words
    entries = expanded([int(number) for number in numbers], wide=bits != 8)
    count = count % 0x10000 or 0x10000
    if len(entries) < count:
        raise CannotDo("a segmented palette is shorter than its descriptor says")
    return Lut(first, bits, np.array(entries[:count], np.int64))


def expanded(numbers: Sequence[int], *, wide: bool) -> list[int]:
    """The entries that the segments define. An indirect segment repeats earlier ones; it gives their byte offset in two
    numbers, or in four if numbers have eight bits."""
    entries: list[int] = []
    _expand(entries, numbers, 0, len(numbers), wide, nested=False)
    return entries


def _expand(entries: list[int], numbers: Sequence[int], at: int, stop: int, wide: bool, *, nested: bool) -> None:
    segments = 0
    while at + 1 < len(numbers) and (segments < stop if nested else at < stop):
        kind, count = numbers[at], numbers[at + 1]
        at, segments = at + 2, segments + 1
        if len(entries) + count > _MOST_ENTRIES:
            raise CannotDo("a segmented palette is too long")
        if kind == 0:
            entries += numbers[at : at + count]
            at += count
        elif kind == 1 and entries and at < len(numbers):
            begin, end = entries[-1], numbers[at]
            entries += [round(begin + (end - begin) * step / count) for step in range(1, count + 1)]
            at += 1
        elif kind == 2 and not nested and at + (2 if wide else 4) <= len(numbers):
            parts = 2 if wide else 4
            offset = sum(numbers[at + n] << (n * (16 if wide else 8)) for n in range(parts))
            at += parts
            _expand(entries, numbers, offset // (2 if wide else 1), count, wide, nested=True)
        elif kind == 0 or count or at < len(numbers):
            raise CannotDo("a segmented palette has a segment that cannot be")
