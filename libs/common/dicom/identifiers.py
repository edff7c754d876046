"""Identifiers of C-FIND, C-MOVE and C-GET (PS3.4 C.2.2.1): bytes to keys, and answers to bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from zlib import compressobj

from libs.common.dicom.attributes import SPECIFIC_CHARACTER_SET
from libs.common.dicom.charsets import DEFAULT, CharacterSet, character_set, holding
from libs.common.dicom.elements import elements, inflated
from libs.common.dicom.transfer_syntaxes import Encoding, encoding_of
from libs.common.dicom.values import text_of, value_list
from libs.common.dicom.vrs import LONG_VRS, vr_of
from libs.common.errors import NotUnderstood

MAX_IDENTIFIER = 16 << 20
MAX_KEYS = 4096

_FORMS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_MAX_SHORT = 0xFFFE
_SHORTENED = 8000
"""Characters kept of a text that does not fit a length of two bytes; four bytes each at most."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """What is asked: the values of each key as text (none for universal matching), in the order of tags.

    A sequence, and any other key that has no text, has an empty list.
    """

    keys: Mapping[int, list[str]]
    character_set: CharacterSet = field(default=DEFAULT)


def decode_identifier(data: bytes, transfer_syntax_uid: str) -> Identifier:
    """Read an identifier. Raises `NotUnderstood` for bytes that are none, or that hold too much."""
    encoding = encoding_of(transfer_syntax_uid)
    data = inflated(data, encoding, MAX_IDENTIFIER)
    keys: dict[int, list[str]] = {}
    text = DEFAULT
    for tag, vr, start, end in elements(data, encoding):
        if tag & 0xFFFF == 0:
            continue  # PS3.5 7.2: group lengths are retired, and no keys
        if len(keys) == MAX_KEYS:
            raise NotUnderstood("identifier has too many keys")
        value = data[start:end]
        vr = vr_of(tag) if vr == b"UN" else vr
        if tag == SPECIFIC_CHARACTER_SET:
            text = character_set([text_of(v) for v in value_list(b"CS", value, DEFAULT)])
        elif vr in (b"DS", b"IS"):
            # As it was written: a wildcard or a range is no number.
            keys[tag] = [text_of(v) for v in value_list(b"CS", value, DEFAULT)]
        else:
            keys[tag] = [text_of(v) for v in value_list(vr, value, text, encoding.big_endian)]
    return Identifier(keys, text)


def encode_identifier(
    values: Mapping[int, Sequence[Any]], transfer_syntax_uid: str, asked: CharacterSet = DEFAULT
) -> bytes:
    """An identifier with these values (of the DICOM JSON model) in the order of tags.

    Text that is not ASCII is written in `asked` where that holds all of it, else in UTF-8, and (0008,0005) says so.
    """
    encoding = encoding_of(transfer_syntax_uid)
    texts: list[tuple[int, Any]] = []
    foreign: list[str] = []
    for tag in sorted(values):
        value = _flat(tag, values[tag])
        if type(value) is str and not value.isascii():
            foreign.append(value)
        texts.append((tag, value))
    chosen = holding(foreign, asked) if foreign else DEFAULT
    if foreign or SPECIFIC_CHARACTER_SET in values:
        terms = "\\".join(chosen.terms)
        texts = sorted([(SPECIFIC_CHARACTER_SET, terms), *(t for t in texts if t[0] != SPECIFIC_CHARACTER_SET)])
    writer = writer_for(encoding)
    data = b"".join([writer(tag, _bytes(tag, value, chosen, encoding)) for tag, value in texts])
    if encoding.deflated:
        deflate = compressobj(wbits=-15)
        data = deflate.compress(data) + deflate.flush()
        data += b"\0" * (len(data) & 1)
    return data


def _flat(tag: int, values: Sequence[Any]) -> Any:
    """One text for text VRs, the numbers themselves for binary ones."""
    if not values:
        return ""
    if vr_of(tag).decode("ascii") in _FORMS:
        return values
    return text_of(values[0]) if len(values) == 1 else "\\".join([text_of(value) for value in values])


def _bytes(tag: int, value: Any, chosen: CharacterSet, encoding: Encoding) -> bytes:
    vr = vr_of(tag)
    if type(value) is not str:
        return _packed(value, (">" if encoding.big_endian else "<") + _FORMS[vr.decode("ascii")])
    encoded = value.encode("ascii") if value.isascii() else chosen.encode(value)
    if encoded is None:
        encoded = value.encode("utf_8", "replace")
    if len(encoded) > _MAX_SHORT and encoding.explicit and vr not in LONG_VRS:
        shortened = value[:_SHORTENED]
        encoded = chosen.encode(shortened) or shortened.encode("utf_8", "replace")
    if len(encoded) & 1:
        encoded += b"\0" if vr == b"UI" else b" "
    return encoded


def _packed(values: Sequence[Any], form: str) -> bytes:
    out = []
    for value in values:
        try:
            out.append(struct.pack(form, value))
        except (struct.error, OverflowError):
            return b""  # not a number of this VR: the answer has the key, without a value
    return b"".join(out)


@lru_cache(maxsize=16)
def writer_for(encoding: Encoding) -> Callable[[int, bytes], bytes]:
    """What writes one element of even length in this encoding."""
    order = ">" if encoding.big_endian else "<"
    short, long = struct.Struct(order + "H").pack, struct.Struct(order + "I").pack
    head = struct.Struct(order + "HH").pack

    @lru_cache(maxsize=4096)
    def prefix(tag: int) -> tuple[bytes, bool]:
        begin = head(tag >> 16, tag & 0xFFFF)
        if not encoding.explicit:
            return begin, True
        vr = vr_of(tag)
        return begin + vr + (b"\0\0" if vr in LONG_VRS else b""), vr in LONG_VRS

    def write(tag: int, value: bytes) -> bytes:
        begin, wide = prefix(tag)
        return begin + (long(len(value)) if wide else short(len(value))) + value

    return write
