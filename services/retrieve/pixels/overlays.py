"""Overlays (PS3.3 C.9.2): graphics in groups 60xx, or in the bits beside the sample. Runs in worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def overlay_of(header: Any, array: Array, number: int, order: str) -> Array | None:
    """The pixels that graphics overlays cover in frame `number`, from 1; `array` has its samples with all their bits.
    None if there are no overlays."""
    shape = array.shape[:2]
    plane: Array | None = None
    for group in range(0x6000, 0x6020, 2):
        if _value(header, group, 0x0040) != "G":
            continue
        for bits, top, left in _planes(header, group, array, number, order):
            plane = np.zeros(shape, bool) if plane is None else plane
            _lay(plane, bits, top, left)
    return plane


def _planes(header: Any, group: int, array: Array, number: int, order: str) -> Iterator[tuple[Array, int, int]]:
    data = _value(header, group, 0x3000)
    if data is None:
        position = _int(header, group, 0x0102, 0)
        if array.ndim == 2 and array.dtype.kind in "iu" and 0 < position < array.dtype.itemsize * 8:
            # Retired, but in many objects: a bit of the pixel cell outside the sample.
            yield (array >> position & 1).astype(bool), 0, 0
        return
    rows, columns = _int(header, group, 0x0010, 0), _int(header, group, 0x0011, 0)
    frames, first = _int(header, group, 0x0015, 1), _int(header, group, 0x0051, 1)
    place = number - first if frames > 1 else 0
    size = rows * columns
    if not size or not 0 <= place < max(1, frames) or not isinstance(data, bytes):
        return
    words = (
        data[: len(data) // 2 * 2] if order == "<" else np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2")
    )
    bits = np.unpackbits(np.frombuffer(words, np.uint8), bitorder="little")[place * size : (place + 1) * size]
    if len(bits) < size:
        return
    origin = _value(header, group, 0x0050) or (1, 1)
    yield bits.reshape(rows, columns).astype(bool), int(origin[0]) - 1, int(origin[1]) - 1


def _lay(plane: Array, bits: Array, top: int, left: int) -> None:
    """Put an overlay's bits onto the image, where the two intersect."""
    rows, columns = plane.shape
    begin, end = max(0, top), min(rows, top + bits.shape[0])
    first, last = max(0, left), min(columns, left + bits.shape[1])
    if begin < end and first < last:
        plane[begin:end, first:last] |= bits[begin - top : end - top, first - left : last - left]


def _value(header: Any, group: int, element: int) -> Any:
    tag = group << 16 | element
    return header[tag].value if tag in header else None


def _int(header: Any, group: int, element: int, otherwise: int) -> int:
    value = _value(header, group, element)
    try:
        return int(value)
    except (TypeError, ValueError):
        return otherwise
