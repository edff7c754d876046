"""multipart/related (RFC 2046 5.1, RFC 2387) as a stream: a writer, and a parser that is fed. Pure.

The parser holds one header or the beginning of a boundary, never a part: content is passed on as it arrives.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gantry.common.web.errors import HttpProblem

# RFC 2046 5.1.1 has at most 70 characters; Orthanc sends 73.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,199}[0-9A-Za-z'()+_,./:=?-]")
_LONGEST_PADDING = 256
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def new_boundary() -> str:
    """A random boundary (128 bits), so that practically no part contains it."""
    return f"gantry-{secrets.token_hex(16)}"


def content_type(boundary: str, inner: str) -> str:
    """The Content-Type of a body with parts of the type `inner`."""
    return f'multipart/related; type="{inner}"; boundary={boundary}'


def part_head(boundary: str, headers: Mapping[str, str], *, first: bool) -> bytes:
    """The bytes before a part's content."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    begin = "" if first else "\r\n"
    return f"{begin}--{boundary}\r\n{lines}\r\n".encode("latin-1")


def closing(boundary: str, *, empty: bool = False) -> bytes:
    """The bytes after the last part."""
    begin = "" if empty else "\r\n"
    return f"{begin}--{boundary}--\r\n".encode("ascii")


@dataclass(frozen=True, slots=True)
class PartBegan:
    """A part's header: names in lower case."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartEnded:
    """The content of a part is complete."""


PartEvent = PartBegan | PartEnded | bytes
"""Bytes are content."""


class MultipartParser:
    """Feed it a body, cut anywhere. Raises `HttpProblem`: 400 if it is not a multipart body, 413 beyond a limit.

    Work is linear in the input, however small the parts and the pieces are: a position moves through the buffer, and
    the bytes before it are dropped once per piece.
    """

    def __init__(self, boundary: str, *, max_parts: int = 10_000, max_header: int = 16_384) -> None:
        if _BOUNDARY.fullmatch(boundary) is None:
            raise HttpProblem(400, "the boundary is missing or not valid")
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        # The first delimiter may be at the very beginning.
        self._buffer = b"\r\n"
        self._at = 0
        self._searched = 0
        """How far, from `_at`, the end of a header was searched for without success."""
        self._step: Callable[[], PartEvent | None] = self._preamble
        self._at_start = False
        self._max_parts = max_parts
        self._max_header = max_header
        self.parts = 0
        self.is_closed = False

    def feed(self, data: bytes) -> Iterator[PartEvent]:
        """The events that the next bytes complete. Iterate to the end before feeding more."""
        self._buffer += data
        while not self.is_closed:
            event = self._step()
            if event is None:
                self._buffer, self._at = self._buffer[self._at :], 0
                return
            if event != b"":
                yield event
        self._buffer, self._at = b"", 0

    def finish(self) -> None:
        """The body ends here. Raises `HttpProblem` 400 if its closing boundary is missing."""
        if not self.is_closed:
            raise HttpProblem(400, "the multipart body ends without its closing boundary")

    # ---- steps: each takes from the buffer what it can; b"" is "go on", None "more bytes are needed"

    @property
    def _left(self) -> int:
        return len(self._buffer) - self._at

    def _preamble(self) -> PartEvent | None:
        position = self._buffer.find(self._delimiter, self._at)
        if position < 0:
            self._at = max(self._at, len(self._buffer) - len(self._delimiter))
            return None
        self._at = position + len(self._delimiter)
        self._step = self._after_delimiter
        return b""

    def _after_delimiter(self) -> PartEvent | None:
        """RFC 2046 5.1.1: white space may follow a boundary, then a line break; two hyphens close the body."""
        if self._left < 2:
            return None
        if self._buffer.startswith(b"--", self._at):
            self.is_closed = True
            return b""
        end = self._buffer.find(b"\r\n", self._at, self._at + _LONGEST_PADDING + 2)
        line = self._buffer[self._at : end if end >= 0 else self._at + _LONGEST_PADDING + 1]
        if line.strip(b" \t\r" if end < 0 else b" \t") or len(line) > _LONGEST_PADDING:
            raise HttpProblem(400, "a boundary is not followed by a line break")
        if end < 0:
            return None
        self.parts += 1
        if self.parts > self._max_parts:
            raise HttpProblem(413, f"more than {self._max_parts} parts")
        self._at = end  # the line break stays: a header may be empty
        self._searched = 0
        self._step = self._header
        return b""

    def _header(self) -> PartEvent | None:
        end = self._buffer.find(b"\r\n\r\n", self._at + self._searched, self._at + self._max_header + 4)
        if end < 0:
            if self._left > self._max_header:
                raise HttpProblem(413, "the header of a part is too long")
            self._searched = max(0, self._left - 3)
            return None
        head = self._buffer[self._at + 2 : end]
        # The line break before the content stays: a delimiter may follow at once.
        self._at = end + 4
        self._step = self._content
        self._at_start = True
        return PartBegan(_headers(head))

    def _content(self) -> PartEvent | None:
        if self._at_start:
            bare = self._delimiter[2:]
            if self._left < len(bare) and bare.startswith(self._buffer[self._at :]):
                return None
            self._at_start = False
            if self._buffer.startswith(bare, self._at):  # an empty part
                self._at += len(bare)
                self._step = self._after_delimiter
                return PartEnded()
        position = self._buffer.find(self._delimiter, self._at)
        if position == self._at:
            self._at += len(self._delimiter)
            self._step = self._after_delimiter
            return PartEnded()
        end = position if position > 0 else len(self._buffer) - _overlap(self._buffer, self._at, self._delimiter)
        content, self._at = self._buffer[self._at : end], end
        return content or None


def _overlap(data: bytes, begin: int, delimiter: bytes) -> int:
    """How many bytes at the end of `data` may begin the delimiter, which has a CR at its own beginning only."""
    at = data.rfind(b"\r", max(begin, len(data) - len(delimiter) + 1))
    return len(data) - at if at >= 0 and delimiter.startswith(data[at:]) else 0


def _headers(head: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in re.sub(rb"\r\n[ \t]+", b" ", head).split(b"\r\n"):
        if not line:
            continue
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or _TOKEN.fullmatch(name) is None:
            raise HttpProblem(400, "a line in the header of a part is not valid")
        headers.setdefault(name.lower(), value.strip())
    return headers
