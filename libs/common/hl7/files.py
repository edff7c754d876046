"""Messages as they lie in files: one or several, with any line ends, with the frames of MLLP or without. Pure."""

from __future__ import annotations

import re

_LINE_END = re.compile(rb"\r\n|\r|\n")


def messages_in(data: bytes) -> list[bytes]:
    """The messages of a file, each with CR behind its segments. What stands before the first MSH is the first message:
    it will be refused in words."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    starts = [match.end() for match in re.finditer(rb"(?:^|[\r\n\x0b\x1c])[\s\x0b\x1c\0]*(?=MSH[^\w\s])", data)]
    if not starts or data[: starts[0]].strip(b"\x0b\x1c\r\n \0"):
        starts.insert(0, 0)
    ends = [*starts[1:], len(data)]
    return [_with_cr(data[start:end]) for start, end in zip(starts, ends, strict=True)]


def _with_cr(message: bytes) -> bytes:
    lines = [line for line in _LINE_END.split(message.strip(b"\x0b\x1c\r\n \0")) if line]
    return b"".join(line + b"\r" for line in lines)
