"""Character sets of messages: MSH-18 and its repetitions (HL7 table 0211) as a Python codec. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gantry.common.hl7.problems import ErrorCode, MessageProblem, MessageRefused, Spot

DEFAULT = "UNICODE UTF-8"
"""Where MSH-18 is empty: ASCII, of which UTF-8 is a superset."""

_LINE_END = re.compile(rb"[\r\n]")
_SPOT = Spot("MSH", field=18)
_CODECS = {
    "": "utf-8",
    "ASCII": "ascii",
    "ISO IR6": "ascii",
    "8859/1": "iso8859-1",
    "8859/2": "iso8859-2",
    "8859/3": "iso8859-3",
    "8859/4": "iso8859-4",
    "8859/5": "iso8859-5",
    "8859/6": "iso8859-6",
    "8859/7": "iso8859-7",
    "8859/8": "iso8859-8",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5hkscs",
    "UNICODE UTF-8": "utf-8",
    "UNICODE": "utf-8",
}
# Switched to and from by escape sequences of ISO 2022: one codec knows all of these together.
_JAPANESE = frozenset(("ISO IR13", "ISO IR14", "ISO IR87", "ISO IR159"))
_JAPANESE_CODEC = "iso2022_jp_ext"
_UNFRAMEABLE = frozenset(("UNICODE UTF-16", "UNICODE UTF-32"))


def codec_of(names: Sequence[str]) -> str:
    """The codec for the repetitions of MSH-18. Raises `MessageRefused`."""
    wanted = [name.strip().upper().replace("ISO-IR", "ISO IR").replace("ISO IR ", "ISO IR") for name in names]
    if _UNFRAMEABLE & set(wanted):
        raise _refused("UTF-16 and UTF-32 cannot be framed by MLLP: send UNICODE UTF-8")
    if _JAPANESE & set(wanted):
        if set(wanted) - _JAPANESE - {"", "ASCII", "ISO IR6"}:
            raise _refused("this combination of character sets is not supported")
        return _JAPANESE_CODEC
    codecs = {_CODECS.get(name, "") for name in wanted}
    if "" in codecs:
        raise _refused("a character set that is not supported: see docs/hl7.md for those that are")
    if len(codecs - {"ascii"}) > 1:
        raise _refused("this combination of character sets is not supported")
    return (codecs - {"ascii"} or {"ascii"}).pop()


def decoded(message: bytes, default: str = DEFAULT) -> str:
    """The text of a message; `default` is what an empty MSH-18 means. Raises `MessageRefused` where the bytes are not
    of the character set that they should be of."""
    names = charset_names(message)
    codec = codec_of(names if any(names) else [default])
    try:
        return message.decode(codec)
    except UnicodeDecodeError:
        if any(names):
            raise _refused("bytes that are not of the character set that MSH-18 names") from None
        words = "MSH-18 is empty, and bytes are not of the default character set"
        raise _refused(f"{words}: send MSH-18, or set `charset` in the profile of this sender") from None


def charset_names(message: bytes) -> list[str]:
    """The repetitions of MSH-18, of a message that is not decoded yet; none where there is no such field."""
    header = first_line(message[:4096])
    if len(header) < 9 or header[:3] != b"MSH":
        return []
    # MSH-1 is the separator itself: MSH-18 is the 18th part.
    parts = header.split(header[3:4])
    repetition = header[5:6]
    return [name.decode("latin-1") for name in parts[17].split(repetition)] if len(parts) > 17 else []


def first_line(message: bytes) -> bytes:
    """The header of a message that is not decoded yet."""
    return _LINE_END.split(message, maxsplit=1)[0]


def _refused(text: str) -> MessageRefused:
    return MessageRefused(MessageProblem(ErrorCode.DATA_TYPE, text, _SPOT))
