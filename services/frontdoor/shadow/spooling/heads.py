"""The head of a file in the spool, as JSON. Pure.

A file holds the bytes as received, then the head, then the length of the head and a mark: a file without these is
incomplete. Everything that is read is checked: other releases, or other programs, may have left files in the folder.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gantry.common.ids import is_ae_title, is_uid
from gantry.common.net.proxy import Origin

Head = Mapping[str, Any]
_END = struct.Struct(">I8s")
_MARK = b"GSPOOL1\n"
END_LENGTH = _END.size
MOST_HEAD = 16 << 20
_NOBODY = Origin("", 0)


def ending(head: Head) -> bytes:
    """The end of a file: head, length and mark."""
    text = json.dumps(head, separators=(",", ":")).encode()
    return text + _END.pack(len(text), _MARK)


def head_length(end: bytes) -> int:
    """The length of the head before the last `END_LENGTH` bytes. Raises `ValueError`."""
    if len(end) != END_LENGTH:
        raise ValueError("not written whole")
    length, mark = _END.unpack(end)
    if mark != _MARK or length > MOST_HEAD:
        raise ValueError("not written whole")
    return int(length)


def head_in(text: bytes) -> Head:
    """Raises `ValueError`."""
    try:
        head = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("a head that is no JSON") from None
    if not isinstance(head, dict):
        raise ValueError("a head that is no object")
    return head


@dataclass(frozen=True, slots=True)
class StoredHead:
    """The head of a C-STORE: its command as bytes, its presentation context, and the status that the peer got after how
    many seconds."""

    command: str
    abstract_syntax: str
    transfer_syntax: str
    status: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """As it is written."""
        return asdict(self)

    @staticmethod
    def of(head: Head) -> StoredHead:
        """Raises `ValueError`."""
        names = ("command", "abstract_syntax", "transfer_syntax")
        texts = [head.get(name) for name in names]
        status, seconds = head.get("status"), head.get("seconds")
        if not all(isinstance(text, str) for text in texts) or not all(is_uid(str(text)) for text in texts[1:]):
            raise ValueError("a head without a presentation context")
        if not isinstance(status, int) or not 0 <= status <= 0xFFFF or not isinstance(seconds, int | float):
            raise ValueError("a head without an answer")
        return StoredHead(str(texts[0]), str(texts[1]), str(texts[2]), status, float(seconds))


@dataclass(frozen=True, slots=True)
class About:
    """The origin of a line of the spool. `kind` is its protocol (`dimse`, `http`), `to` the side that gets it
    (`gantry`, `other`), whichever answers by then."""

    kind: str
    to: str
    called: str = ""
    calling: str = ""
    origin: Origin = _NOBODY

    def to_json(self) -> bytes:
        """As it is written."""
        return json.dumps({"version": 1, **asdict(self)}).encode()

    @staticmethod
    def from_json(text: bytes) -> About:
        """Raises `ValueError`."""
        saved = head_in(text)
        origin = saved.get("origin")
        titles = [str(saved.get(name, "")) for name in ("called", "calling")]
        kind, to = saved.get("kind"), saved.get("to")
        if saved.get("version") != 1 or kind not in ("dimse", "http") or to not in ("gantry", "other"):
            raise ValueError("a line of another release")
        if kind == "dimse" and not all(is_ae_title(title) for title in titles):
            raise ValueError("a line without AE titles")
        try:
            assert isinstance(origin, dict)
            whose = Origin(
                str(origin["address"]),
                int(origin["port"]),
                bool(origin["tls"]),
                bool(origin["local"]),
                str(origin["certificate"]),
            )
        except (AssertionError, KeyError, TypeError, ValueError):
            raise ValueError("a line without an origin") from None
        return About(str(kind), str(to), titles[0], titles[1], whose)
