"""The layout of a stored data set: recorded by the scan and stored in the index, so that reading a part is a ranged
read.

The index also stores the coercion of the object, which this module does not interpret.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgpack

from gantry.common.errors import NotUnderstood

_PLACE = 3
"""Fields before the coercion in a packed layout."""
_WITHOUT = 0x90 | _PLACE
"""The first byte of a msgpack list of this length: nearly every layout has no coercion."""


@dataclass(frozen=True, slots=True)
class BulkElement:
    """A top-level value left out of an event's header: where its bytes lie in the data set as stored."""

    tag: int
    vr: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class PixelData:
    """Where the pixel data lies in the data set as stored, so that a frame is one ranged read later.

    `offset` is that of the value (native) or of the first item (encapsulated, PS3.5 A.4). `length` is None if the
    element has undefined length. `fragments` are the item lengths in order, the Basic Offset Table first; None for
    native pixel data, and if there were too many to store (then they are read from the object).
    """

    tag: int
    vr: str
    offset: int
    length: int | None
    fragments: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of `gantry.common.events.InstanceStored` of the same names; `coercion` has the object's own values
    (`gantry.common.lifecycle.Coercion`), b"" if nothing was coerced."""

    header_length: int
    bulk: tuple[BulkElement, ...] = ()
    pixel_data: PixelData | None = None
    coercion: bytes = b""


def pack_layout(layout: Layout) -> bytes:
    """A layout in the form that the index stores."""
    pixels = layout.pixel_data
    fields: list[Any] = [
        layout.header_length,
        [[b.tag, b.vr, b.offset, b.length] for b in layout.bulk],
        None if pixels is None else [pixels.tag, pixels.vr, pixels.offset, pixels.length, pixels.fragments],
    ]
    if layout.coercion:
        fields.append(layout.coercion)
    packed: bytes = msgpack.packb(fields)
    return packed


def unpack_layout(packed: bytes) -> Layout:
    """The layout in packed bytes. Raises `NotUnderstood` if `pack_layout` did not make them."""
    try:
        header_length, bulk, pixels, *more = msgpack.unpackb(packed)
        pixel_data = None
        if pixels is not None:
            tag, vr, offset, length, fragments = pixels
            pixel_data = PixelData(tag, vr, offset, length, None if fragments is None else tuple(fragments))
        if more and (len(more) > 1 or not isinstance(more[0], bytes)):
            raise ValueError
        return Layout(header_length, tuple([BulkElement(*fields) for fields in bulk]), pixel_data, *more)
    except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
        raise NotUnderstood("not a layout") from error


def coercion_in(packed: bytes) -> bytes:
    """`Layout.coercion` of packed bytes, without unpacking all fragments. Raises `NotUnderstood` as `unpack_layout`."""
    if not packed or packed[0] == _WITHOUT:
        return b""
    try:
        unpacker = msgpack.Unpacker(max_buffer_size=len(packed))
        unpacker.feed(packed)
        if unpacker.read_array_header() < _PLACE + 1:
            return b""
        for _ in range(_PLACE):
            unpacker.skip()
        coercion: bytes = unpacker.unpack()
        return coercion
    except (ValueError, msgpack.UnpackException) as error:
        raise NotUnderstood("not a layout") from error


def with_coercion(packed: bytes, coercion: bytes) -> bytes:
    """A packed layout with another coercion, or none."""
    return pack_layout(replace(unpack_layout(packed), coercion=coercion)) if packed else packed
