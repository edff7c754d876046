"""Where things lie in a stored data set: what the scan noted, as the index carries it; a part is a ranged read then."""

from __future__ import annotations

from dataclasses import dataclass

import msgpack

from libs.common.errors import NotUnderstood
from libs.common.events.schema import BulkElement, PixelData


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of `libs.common.events.InstanceStored` of the same names."""

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
    """The other way round. Raises `NotUnderstood` for what was not packed by us."""
    try:
        header_length, bulk, pixels = msgpack.unpackb(packed)
        pixel_data = None
        if pixels is not None:
            tag, vr, offset, length, fragments = pixels
            pixel_data = PixelData(tag, vr, offset, length, None if fragments is None else tuple(fragments))
        return Layout(header_length, tuple([BulkElement(*one) for one in bulk]), pixel_data)
    except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
        raise NotUnderstood("not a layout") from error
