"""Specific Character Set (PS3.3 C.12.1.1.2, PS3.5 6.1): bytes to text and back. Input from peers never raises here.

Files often name a wrong character set. Undecodable bytes become U+FFFD; text in an unnamed set is read as UTF-8 if it
is valid UTF-8, else as Latin-1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

UTF_8 = "ISO_IR 192"

# Defined terms (PS3.3 tables C.12-2 to C.12-5), normalised, to Python codecs.
_SINGLE = {
    "100": "latin_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "144": "iso8859_5",
    "127": "iso8859_6",
    "126": "iso8859_7",
    "138": "iso8859_8",
    "148": "iso8859_9",
    "203": "iso8859_15",
    "166": "iso8859_11",
    "13": "shift_jis",
}
_WHOLE = {"ISO IR 192": "utf_8", "GB18030": "gb18030", "GBK": "gbk", "UTF 8": "utf_8", "ISO IR 6": "ascii", "": "ascii"}
_MULTI = {"87": "iso2022_jp", "159": "iso2022_jp_2", "149": "euc_kr", "58": "gb2312"}

# PS3.5 6.1.2.5: escape sequences to the sets that they select. G0 sets of two bytes keep their escape for the codec.
_G1 = {
    b"-A": "latin_1",
    b"-B": "iso8859_2",
    b"-C": "iso8859_3",
    b"-D": "iso8859_4",
    b"-L": "iso8859_5",
    b"-G": "iso8859_6",
    b"-F": "iso8859_7",
    b"-H": "iso8859_8",
    b"-M": "iso8859_9",
    b"-b": "iso8859_15",
    b"-T": "iso8859_11",
    b")I": "shift_jis",
    b"$)C": "euc_kr",
    b"$)A": "gb2312",
}
_G0_ONE_BYTE = (b"(B", b"(J")
_G0_TWO_BYTES = (b"$B", b"$@", b"$(D")
_ESCAPES = sorted([*_G1, *_G0_ONE_BYTE, *_G0_TWO_BYTES], key=len, reverse=True)
# PS3.5 6.1.2.5.3: the initial sets are active again after these.
_DELIMITERS = re.compile(rb"[\\^=\r\n\f\t]")
_TEXT_DELIMITERS = re.compile(r"([\\^=\r\n\f\t])")


DEFINED_TERMS: tuple[str, ...] = (
    "ISO_IR 6",
    *(f"ISO_IR {number}" for number in _SINGLE),
    "ISO_IR 192",
    "GB18030",
    "GBK",
    *(f"ISO 2022 IR {number}" for number in ("6", *_SINGLE, *_MULTI)),
)
"""The defined terms that are understood, for the conformance statement."""


@dataclass(frozen=True, slots=True)
class CharacterSet:
    """A Specific Character Set, ready for use. `terms` are the defined terms as they were received."""

    terms: tuple[str, ...]
    codec: str
    extensions: tuple[str, ...] = ()

    def decode(self, value: bytes) -> str:
        """The text of a value, padding and delimiters included. Never raises."""
        if b"\x1b" in value:
            return _decode_extended(value, self.codec)
        if value.isascii():
            return value.decode("ascii")
        return _decode(value, self.codec)

    def encode(self, text: str) -> bytes | None:
        """The bytes of a text, or None if this set cannot represent it."""
        if text.isascii():
            return text.encode("ascii")
        for codec in (self.codec, *self.extensions):
            try:
                value = text.encode(codec) if codec not in _DESIGNATED else _designate(text, codec)
            except UnicodeError:
                continue
            # Shift JIS has Kanji, which ISO_IR 13 does not have; an extension needs an escape, which only some codecs
            # write.
            if (codec != "shift_jis" or len(value) == len(text)) and self.decode(value) == text:
                return value
        return None


_DESIGNATED = {"euc_kr": b"\x1b$)C", "gb2312": b"\x1b$)A"}


def _designate(text: str, codec: str) -> bytes:
    """PS3.5 6.1.2.5.3, Annexes I and K: the escape is repeated in each component that needs it."""
    parts = _TEXT_DELIMITERS.split(text)
    return b"".join(
        part.encode("ascii") if part.isascii() else _DESIGNATED[codec] + part.encode(codec) for part in parts
    )


def _decode(value: bytes, codec: str) -> str:
    if codec == "ascii":
        try:
            return value.decode("utf_8")
        except UnicodeDecodeError:
            return value.decode("latin_1")
    return value.decode(codec, "replace")


def _decode_extended(value: bytes, initial: str) -> str:
    first, *rest = value.split(b"\x1b")
    out = [_decode(first, initial)]
    g0, g1 = b"", initial
    for part in rest:
        escape = next((e for e in _ESCAPES if part.startswith(e)), b"")
        text = part[len(escape) :]
        if not escape:
            out.append("\ufffd")
        elif escape in _G1:
            g1 = _G1[escape]
        else:
            g0 = escape if escape in _G0_TWO_BYTES else b""
        if g0:
            out.append((b"\x1b" + g0 + text).decode("iso2022_jp_2", "replace"))
            continue
        delimiter = _DELIMITERS.search(text)
        if delimiter is None or initial == "ascii":
            out.append(_decode(text, g1))
        else:
            out += [_decode(text[: delimiter.start()], g1), _decode(text[delimiter.start() :], initial)]
            g1 = initial
    return "".join(out)


@lru_cache(maxsize=256)
def _character_set(terms: tuple[str, ...]) -> CharacterSet:
    codecs: list[str] = []
    for term in terms:
        # "ISO-IR 100", "ISO_IR_100" and "iso ir 100" occur, too.
        name = " ".join(re.split(r"[\s_-]+", term.upper().strip()))
        number = name.rpartition(" ")[2]
        if name in _WHOLE:
            codecs.append(_WHOLE[name])
        elif name.startswith(("ISO IR ", "ISO 2022 IR ")):
            codecs.append(_SINGLE.get(number) or _MULTI.get(number) or "ascii")
        else:
            codecs.append("ascii")
    first = codecs[0] if codecs else "ascii"
    if first in _MULTI.values():
        # A two-byte set as the first one: its bytes follow an escape even there.
        return CharacterSet(terms, "euc_kr" if first == "euc_kr" else "ascii", (first, *codecs[1:]))
    return CharacterSet(terms, first, tuple(codecs[1:]))


DEFAULT = CharacterSet((), "ascii")


def character_set(terms: Sequence[str]) -> CharacterSet:
    """The character set that these values of (0008,0005) name. Unknown terms count as the default."""
    return _character_set(tuple(terms[:16])) if terms else DEFAULT


def holding(texts: Iterable[str], charset: CharacterSet) -> CharacterSet:
    """The set to answer in: the default if all is ASCII, else the requester's if it can represent all, else UTF-8."""
    foreign = [text for text in texts if not text.isascii()]
    if not foreign:
        return DEFAULT
    if all(charset.encode(text) is not None for text in foreign):
        return charset
    return character_set((UTF_8,))
