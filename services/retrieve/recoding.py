"""A data set in another encoding as steps over its bytes (PS3.5 A): its elements are rewritten in memory, its long
values are streamed, swapped if the byte order differs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gantry.common.dicom.encoding.rewriting import WIDTHS, Rewriter
from gantry.common.dicom.scan.layout import Layout
from gantry.common.dicom.standard.tags import (
    EXTENDED_OFFSET_TABLE,
    EXTENDED_OFFSET_TABLE_LENGTHS,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_DATA,
)
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, GE_PRIVATE, encoding_of
from gantry.common.errors import NotUnderstood
from gantry.services.retrieve.reading import stored_ranges

_OFFSET_TABLES = (EXTENDED_OFFSET_TABLE, EXTENDED_OFFSET_TABLE_LENGTHS)
_MOST = 0xFFFFFFFE


@dataclass(frozen=True, slots=True)
class Step:
    """Skip `skip` bytes of the source, write `put`, then copy the next `copy` bytes, swapped in numbers of `width`
    bytes; then write `pixels` bytes of decoded frames."""

    skip: int = 0
    put: bytes = b""
    copy: int = 0
    width: int = 1
    pixels: int = 0


@dataclass(frozen=True, slots=True)
class Recoding:
    """Steps from the first byte of a data set to its last, and the length of the output in bytes."""

    steps: Sequence[Step]
    length: int = field(init=False)

    def __post_init__(self) -> None:
        length = sum(len(step.put) + step.copy + step.pixels for step in self.steps)
        object.__setattr__(self, "length", length)

    @property
    def ends_unseen(self) -> bool:
        """Whether the source ends with bytes that are not written: then verifying the source's last bytes comes too
        late to hold back the end of the output."""
        last = self.steps[-1]
        return not (last.put or last.copy)


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part of a data set as it is read: `stored` bytes of it lie in the object. A long value follows each piece of
    the header; if `keeps_value` is False, it is skipped."""

    data: bytes
    stored: int
    keeps_value: bool = True


def parts_of(pieces: Sequence[bytes]) -> list[StoredPart]:
    """Pieces as they are stored."""
    return [StoredPart(piece, len(piece)) for piece in pieces]


def recoding(
    transfer_syntax: str, wanted: str, layout: Layout, pieces: Sequence[StoredPart], gap: bytes, tail: StoredPart
) -> Recoding:
    """From one native encoding to another. `pieces` are the header between its long values, `gap` the bytes between the
    header and the value of the pixel data, `tail` the elements after the pixel data. Raises `NotUnderstood`."""
    source = encoding_of(transfer_syntax)
    rewriter = Rewriter(source, explicit=wanted == EXPLICIT_LITTLE_ENDIAN)
    steps = header_steps(rewriter, layout, pieces, source.big_endian)
    pixels = layout.pixel_data
    if pixels is not None:
        assert pixels.length is not None
        big = source.big_endian or transfer_syntax == GE_PRIVATE
        width = _pixel_width(pixels.tag, pixels.vr, rewriter.context.allocated, transfer_syntax) if big else 1
        steps.append(Step(len(gap), rewriter.elements(gap), pixels.length, width))
    if tail.data:
        steps.append(Step(tail.stored, rewriter.elements(tail.data)))
    return Recoding(steps)


def copying(layout: Layout, pieces: Sequence[StoredPart], tail: StoredPart, length: int) -> Recoding:
    """The same encoding with another header, and another tail if one is given: everything else is copied. `length` is
    that of the data set, inflated if it is deflated."""
    bulk = [element.length for element in layout.bulk if element.offset < layout.header_length]
    steps = [
        _header_step(piece, piece.data, bulk[place] if place < len(bulk) else 0) for place, piece in enumerate(pieces)
    ]
    behind = length - sum(piece.stored for piece in pieces) - sum(bulk)
    if tail.stored:
        steps += [Step(copy=behind - tail.stored), Step(tail.stored, tail.data)]
    elif behind:
        steps.append(Step(copy=behind))
    return Recoding(steps)


def decoding(
    transfer_syntax: str,
    wanted: str,
    layout: Layout,
    pieces: Sequence[StoredPart],
    gap: bytes,
    tail: StoredPart,
    length: int,
    photometric: str,
) -> Recoding:
    """From compressed frames to native frames of `length` bytes in all, in this photometric interpretation. Raises
    `NotUnderstood`, also if the frames are too long for one element."""
    rewriter = Rewriter(encoding_of(transfer_syntax), wanted == EXPLICIT_LITTLE_ENDIAN, drop=_OFFSET_TABLES)
    value = photometric.encode("ascii", "replace")
    replaced = {PHOTOMETRIC_INTERPRETATION: value + b" " * (len(value) % 2)}
    steps = header_steps(rewriter, layout, pieces, False, replaced)
    pad = length % 2
    if length + pad > _MOST or layout.pixel_data is None:
        raise NotUnderstood("decoded pixel data is longer than an element can be")
    # PS3.5 A.2: native samples of more than eight bits are OW.
    vr = b"OW" if rewriter.context.allocated > 8 else b"OB"
    own = gap[: _pixel_head(gap)]
    put = rewriter.elements(own) + rewriter.head(layout.pixel_data.tag, vr, length + pad)
    steps.append(Step(len(gap), put, pixels=length))
    # PS3.5 8.1.1: the value as a whole is padded, not each frame.
    behind = rewriter.elements(tail.data) if tail.data else b""
    return Recoding([*steps, Step(tail.stored, b"\0" * pad + behind)])


def _pixel_head(gap: bytes) -> int:
    """Where the pixel data element begins in `gap`, which ends with its head: encapsulated data is in explicit VR (A.4)
    with undefined length, so the head has 12 bytes."""
    return max(0, len(gap) - 12)


def header_steps(
    rewriter: Rewriter,
    layout: Layout,
    pieces: Sequence[StoredPart],
    big_endian: bool,
    replaced: dict[int, bytes] | None = None,
) -> list[Step]:
    """The steps for the header, with its long values in their places."""
    steps, bulk = [], [element for element in layout.bulk if element.offset < layout.header_length]
    for place, piece in enumerate(pieces[: len(stored_ranges(layout))]):
        rewritten = rewriter.elements(piece.data, replaced)
        if place < len(bulk):
            width = WIDTHS.get(bulk[place].vr.encode("ascii"), 1) if big_endian else 1
            steps.append(_header_step(piece, rewritten, bulk[place].length, width))
        else:
            steps.append(Step(piece.stored, rewritten))
    return steps


def _header_step(piece: StoredPart, data: bytes, value: int, width: int = 1) -> Step:
    """A piece of the header as `data`, and the `value` bytes behind it."""
    if piece.keeps_value:
        return Step(piece.stored, data, value, width)
    return Step(piece.stored + value, data)


def _pixel_width(tag: int, vr: str, allocated: int, transfer_syntax: str) -> int:
    """PS3.5 7.3, A.3: words are swapped whatever Bits Allocated says; wider samples as a whole."""
    if tag != PIXEL_DATA:
        return WIDTHS.get(vr.encode("ascii"), 1)
    if vr == "OB" or (transfer_syntax == GE_PRIVATE and allocated <= 8):
        return 1
    return max(2, allocated // 8)
