"""The top level of a data set in memory: its elements and where their values are (PS3.5 7)."""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator

from gantry.common.dicom.encoding.inflate import Inflater
from gantry.common.dicom.encoding.syntax import (
    EXPLICIT,
    EXPLICIT_BIG,
    IMPLICIT,
    MAX_READ_NESTING,
    UNDEFINED,
    Syntax,
    read_element,
    syntax_of,
)
from gantry.common.dicom.standard.tags import ITEM, ITEM_DELIMITATION_ITEM, SEQUENCE_DELIMITATION_ITEM
from gantry.common.dicom.standard.transfer_syntaxes import Encoding
from gantry.common.dicom.standard.vrs import SHORT_VRS
from gantry.common.errors import NotUnderstood


def inflated(data: bytes, encoding: Encoding, max_length: int) -> bytes:
    """The data set, inflated if its `encoding` is deflated."""
    if not encoding.deflated:
        return data
    inflater = Inflater(max_length)
    return b"".join([*inflater.feed(data), *inflater.finish()])


class Tags:
    """Tags to read with `elements_of`. Creating this costs more than reading a header."""

    __slots__ = ("last", "numbers", "tags")

    def __init__(self, tags: frozenset[int]) -> None:
        self.tags = tags
        self.last = max(tags, default=0)
        self.numbers = {syntax: {syntax.number(tag): tag for tag in tags} for syntax in (EXPLICIT, EXPLICIT_BIG)}
        """The tags by their number in the encoding's byte order; 0 for tags that are not elements."""
        for syntax, numbers in self.numbers.items():
            numbers.update(
                dict.fromkeys(map(syntax.number, (ITEM, ITEM_DELIMITATION_ITEM, SEQUENCE_DELIMITATION_ITEM)), 0)
            )


def elements_of(data: bytes, encoding: Encoding, tags: Tags) -> Iterator[tuple[int, bytes, int, int]]:
    """`elements` of these tags; the fast way through headers with many elements, few of them wanted."""
    syntax, end, pos = syntax_of(encoding), len(data), 0
    if not syntax.explicit:
        yield from elements(data, encoding, tags.last, tags.tags)
        return
    short, vrs, numbers = syntax.short, syntax.short_vrs, tags.numbers[syntax]
    while pos < end:
        # The end of the data shows as `struct.error`, which costs nothing until then.
        try:
            while True:
                number, kind, length = short(data, pos)
                vr = vrs.get(kind)
                if vr is None:
                    break
                start = pos + 8
                if number in numbers:
                    tag = numbers[number]
                    if not tag:
                        break
                    pos = start + length
                    if pos > end:
                        raise NotUnderstood("data set is cut off")
                    yield tag, vr, start, pos
                else:
                    pos = start + length
        except struct.error:
            if pos == end:
                return
        read = read_element(data, pos, end, syntax) if pos < end else None
        if read is None:
            raise NotUnderstood("data set is cut off")
        tag, vr, length, start = read
        if tag > tags.last:
            return
        pos = start + length if length != UNDEFINED else skip(data, start, end, IMPLICIT if vr == b"UN" else syntax)
        if pos > end:
            raise NotUnderstood("data set is cut off")
        if tag in tags.tags:
            yield tag, vr, start, pos


def elements(
    data: bytes,
    encoding: Encoding,
    last: int = 0xFFFFFFFF,
    wanted: Container[int] | None = None,
    within: tuple[int, int] | None = None,
) -> Iterator[tuple[int, bytes, int, int]]:
    """Tag, VR, and where the value begins and ends, for each element up to the tag `last`, or only for the `wanted`
    ones; in the part `within` of the data, if given. The data is not deflated.

    A sequence is returned as one value, without reading its items. Raises `NotUnderstood` if the bytes are not a data
    set, never `struct.error`.
    """
    syntax = syntax_of(encoding)
    short = struct.Struct((">" if encoding.big_endian else "<") + "HH2sH").unpack_from if syntax.explicit else None
    pos, end = within or (0, len(data))
    while pos < end:
        if short is not None and end - pos >= 8:
            group, element, vr, length = short(data, pos)
            if vr in SHORT_VRS and group != 0xFFFE:
                start, tag = pos + 8, group << 16 | element
                pos = start + length
                if tag > last:
                    return
                if pos > end:
                    raise NotUnderstood("data set is cut off")
                if wanted is None or tag in wanted:
                    yield tag, vr, start, pos
                continue
        read = read_element(data, pos, end, syntax)
        if read is None:
            raise NotUnderstood("data set is cut off")
        tag, vr, length, start = read
        if tag > last:
            return
        pos = start + length if length != UNDEFINED else skip(data, start, end, IMPLICIT if vr == b"UN" else syntax)
        if pos > end:
            raise NotUnderstood("data set is cut off")
        if wanted is None or tag in wanted:
            yield tag, vr, start, pos


def skip(data: bytes, pos: int, end: int, syntax: Syntax, *, item: bool = False) -> int:
    """Where a sequence, fragments, or an item of undefined length end, including its delimiter. Depth is on a list, not
    on the call stack, and bounded: deeper nesting is walked once for each level. Raises `NotUnderstood`."""
    open_: list[tuple[bool, Syntax]] = [(not item, syntax)]
    while open_:
        in_sequence, syntax = open_[-1]
        read = read_element(data, pos, end, syntax)
        if read is None:
            raise NotUnderstood("data set is cut off")
        tag, vr, length, start = read
        pos = start
        if tag == (SEQUENCE_DELIMITATION_ITEM if in_sequence else ITEM_DELIMITATION_ITEM):
            open_.pop()
        elif in_sequence and tag != ITEM:
            raise NotUnderstood("no item where a sequence wants one")
        elif length == UNDEFINED:
            if len(open_) > 2 * MAX_READ_NESTING:
                raise NotUnderstood("sequences are nested too deep")
            open_.append((not in_sequence, IMPLICIT if vr == b"UN" else syntax))
        else:
            pos = start + length
    return pos


def item_bounds(data: bytes, pos: int, end: int, syntax: Syntax) -> Iterator[tuple[int, int]]:
    """Where the content of each item of a sequence begins and ends. Raises `NotUnderstood`."""
    while pos < end:
        read = read_element(data, pos, end, syntax)
        if read is None or read[0] not in (ITEM, SEQUENCE_DELIMITATION_ITEM):
            raise NotUnderstood("no item where a sequence wants one")
        tag, _, length, start = read
        if tag == SEQUENCE_DELIMITATION_ITEM:
            return
        if length == UNDEFINED:
            pos = skip(data, start, end, syntax, item=True)
            stop = pos - 8  # the delimiter
        else:
            stop = pos = start + length
        if pos > end:
            raise NotUnderstood("an item reaches beyond its sequence")
        yield start, stop
