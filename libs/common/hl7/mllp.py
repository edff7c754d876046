"""The Minimal Lower Layer Protocol (HL7 v2 transport, MLLP release 1): <VT> message <FS> <CR>. Pure.

A frame ends with its FS; the CR that should follow, and line ends between frames, are passed over. Other bytes between
frames are garbage: so much of it that it is no slip of a sender ends the connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

START = b"\x0b"
END = b"\x1c"
_BETWEEN = b"\r\n"
_MOST_GARBAGE = 64


class NeedMore(Enum):
    """More bytes are needed."""

    NEED_MORE = "need more"


NEED_MORE = NeedMore.NEED_MORE


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, as its sender wrote it."""

    message: bytes


class MllpError(Exception):
    """What comes is no MLLP, or longer than is allowed: the connection cannot go on. Lower-case, without data."""


def framed(message: bytes) -> bytes:
    """A message as a frame."""
    return START + message + END + b"\r"


class MllpDecoder:
    """Bytes in, frames out. Never holds more than `limit` bytes of a message, and what one read brought."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._looked = 0
        self._garbage = 0
        self._inside = False

    @property
    def inside(self) -> bool:
        """Whether a message has begun and is not whole."""
        return self._inside

    def receive(self, data: bytes) -> None:
        """Take bytes in; `next` says what they are."""
        self._buffer += data

    def next(self) -> Frame | NeedMore:
        """The next frame. Raises `MllpError`; after that nothing more comes out."""
        if not self._inside and not self._begin():
            return NEED_MORE
        end = self._buffer.find(END, self._looked)
        if (len(self._buffer) if end < 0 else end) > self._limit:
            raise MllpError(f"a message of more than {self._limit} bytes")
        if end < 0:
            self._looked = len(self._buffer)
            return NEED_MORE
        message = bytes(self._buffer[:end])
        # A message has no VT of its own: one inside begins it anew, after one that its sender broke off.
        begin = message.rfind(START) + 1
        self._take_garbage(begin)
        del self._buffer[: end + 1]
        self._inside = False
        return Frame(message[begin:])

    def _begin(self) -> bool:
        """Pass over what lies before the next frame; whether there is one."""
        start = self._buffer.find(START)
        between = self._buffer if start < 0 else self._buffer[:start]
        self._take_garbage(len(between.translate(None, _BETWEEN)))
        del self._buffer[: len(between) if start < 0 else start + 1]
        self._inside, self._looked = start >= 0, 0
        return self._inside

    def _take_garbage(self, length: int) -> None:
        self._garbage += length
        if self._garbage > _MOST_GARBAGE:
            raise MllpError("what comes is not MLLP")
