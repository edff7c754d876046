"""Where things lie in a stored data set: what the scan noted, as the index carries it; a part is a ranged read then."""

from __future__ import annotations

from dataclasses import dataclass

import msgpack

from gantry.common.errors import NotUnderstood


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

    `offset` is that of the value (native) or of the first item (encapsulated, PS3.5 A.4). `length` is None where the
    element has undefined length. `fragments` are the item lengths in order, the Basic Offset Table first; None for
    native pixel data, and where there were too many to carry (read them from the object then).
    """

    tag: int
    vr: str
    offset: int
    length: int | None
    fragments: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of `gantry.common.events.InstanceStored` of the same names."""

    header_length: int
    bulk: tuple[BulkElement, ...] = ()
    pixel_data: PixelData | None = None


def pack_layout(layout: Layout) -> bytes:
    """A layout as the index carries it."""
    pixels = layout.pixel_data
    packed: bytes = msgpack.packb(
        [
            layout.header_length,
            [[b.tag, b.vr, b.offset, b.length] for b in layout.bulk],
            None if pixels is None else [pixels.tag, pixels.vr, pixels.offset, pixels.length, pixels.fragments],
        ]
    )
    return packed


def unpack_layout(packed: bytes) -> Layout:
    """The layout in packed bytes. Raises `NotUnderstood` if `pack_layout` did not make them."""
    try:
        header_length, bulk, pixels = msgpack.unpackb(packed)
        pixel_data = None
        if pixels is not None:
            tag, vr, offset, length, fragments = pixels
            pixel_data = PixelData(tag, vr, offset, length, None if fragments is None else tuple(fragments))
        return Layout(header_length, tuple([BulkElement(*one) for one in bulk]), pixel_data)
    except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
        raise NotUnderstood("not a layout") from error
