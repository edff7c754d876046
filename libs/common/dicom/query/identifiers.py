"""Identifiers of C-FIND, C-MOVE and C-GET (PS3.4 C.2.2.1): bytes to keys, and answers to bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from operator import itemgetter
from typing import Any
from zlib import compressobj

from gantry.common.dicom.encoding.charsets import DEFAULT, CharacterSet, character_set, holding
from gantry.common.dicom.encoding.elements import elements, inflated, item_bounds
from gantry.common.dicom.encoding.syntax import syntax_of
from gantry.common.dicom.encoding.values import text_of, value_list
from gantry.common.dicom.query.attributes import STANDARD, AttributeTable
from gantry.common.dicom.standard.dictionary import keyword_of_tag
from gantry.common.dicom.standard.tags import PRIOR_RECORD_KEY, SPECIFIC_CHARACTER_SET
from gantry.common.dicom.standard.transfer_syntaxes import Encoding, encoding_of
from gantry.common.dicom.standard.vrs import LONG_VRS, vr_of
from gantry.common.errors import NotUnderstood

MAX_IDENTIFIER = 16 << 20
MAX_KEYS = 4096
MAX_DEPTH = 8

_FORMS = {b"US": "H", b"SS": "h", b"UL": "I", b"SL": "i", b"UV": "Q", b"SV": "q", b"FL": "f", b"FD": "d"}
_MAX_SHORT = 0xFFFE
_SHORTENED = 8000
"""Characters that remain of a text that does not fit into a length of two bytes; at most four bytes each."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """The keys of a request, with their values as text (none for universal matching), in the order of tags.

    A sequence, and any other key that has no text, has an empty list. The keys for the items of a sequence, if there
    are any, are in `items` (PS3.4 C.2.2.2.6).
    """

    keys: Mapping[int, list[str]]
    character_set: CharacterSet = field(default=DEFAULT)
    items: Mapping[int, Identifier] = field(default_factory=dict)


def decode_identifier(data: bytes, transfer_syntax_uid: str, attributes: AttributeTable = STANDARD) -> Identifier:
    """Read an identifier; `attributes` has the VR of private keys. Raises `NotUnderstood` if the bytes are not an
    identifier, or hold too much."""
    encoding = encoding_of(transfer_syntax_uid)
    data = inflated(data, encoding, MAX_IDENTIFIER)
    return _decoded(data, (0, len(data)), encoding, DEFAULT, 0, attributes)


def _decoded(
    data: bytes,
    within: tuple[int, int],
    encoding: Encoding,
    text: CharacterSet,
    depth: int,
    attributes: AttributeTable = STANDARD,
) -> Identifier:
    if depth > MAX_DEPTH:
        raise NotUnderstood("identifier is nested too deep")
    keys: dict[int, list[str]] = {}
    items: dict[int, Identifier] = {}
    for tag, vr, start, end in elements(data, encoding, within=within):
        if tag & 0xFFFF == 0:
            continue  # PS3.5 7.2: group lengths are retired, and not keys
        if len(keys) == MAX_KEYS:
            raise NotUnderstood("identifier has too many keys")
        value = data[start:end]
        known = attributes.vr_of(tag) if vr == b"UN" else vr
        if tag == SPECIFIC_CHARACTER_SET:
            text = character_set([text_of(v) for v in value_list(b"CS", value, DEFAULT)])
        elif known == b"SQ":
            if attributes.vr_of(tag) not in (b"SQ", b"UN"):
                raise NotUnderstood(f"{keyword_of_tag(tag)} is no sequence")
            keys[tag] = []
            inner = Encoding(explicit=False) if vr == b"UN" else encoding
            bounds = list(islice(item_bounds(data, start, end, syntax_of(inner)), 2))
            if len(bounds) > 1:
                raise NotUnderstood("a sequence of an identifier has more than one item")
            for item in bounds:
                items[tag] = _decoded(data, item, inner, text, depth + 1)
        elif tag == PRIOR_RECORD_KEY:
            # Bytes whose meaning only the archive that wrote them knows: ours are text.
            keys[tag] = [uid] if (uid := value.rstrip(b"\0").decode("ascii", "replace")) else []
        elif known in (b"DS", b"IS"):
            # As it was written: a wildcard or a range is not a number.
            keys[tag] = [text_of(v) for v in value_list(b"CS", value, DEFAULT)]
        else:
            keys[tag] = [text_of(v) for v in value_list(known, value, text, encoding.big_endian)]
    return Identifier(keys, text, items)


def encode_identifier(
    values: Mapping[int, Sequence[Any]],
    transfer_syntax_uid: str,
    charset: CharacterSet = DEFAULT,
    attributes: AttributeTable = STANDARD,
) -> bytes:
    """An identifier with these values (of the DICOM JSON model) in the order of tags; `attributes` knows the VR of
    private ones.

    Text that is not ASCII is written in `charset` if that can represent all of it, else in UTF-8, and (0008,0005) names
    the set.
    """
    encoding = encoding_of(transfer_syntax_uid)
    foreign: list[str] = []
    texts = _flattened(values, foreign, attributes)
    chosen = holding(foreign, charset) if foreign else DEFAULT
    if foreign or SPECIFIC_CHARACTER_SET in values:
        terms = "\\".join(chosen.terms)
        others = [pair for pair in texts if pair[0] != SPECIFIC_CHARACTER_SET]
        texts = sorted([(SPECIFIC_CHARACTER_SET, b"CS", terms), *others], key=itemgetter(0))
    data = _encoded(texts, chosen, encoding)
    if encoding.deflated:
        deflate = compressobj(wbits=-15)
        data = deflate.compress(data) + deflate.flush()
        data += b"\0" * (len(data) & 1)
    return data


_Text = tuple[int, bytes, Any]
"""Tag, VR, and the text, the numbers, or for each item its texts."""


def _flattened(
    values: Mapping[int, Sequence[Any]], foreign: list[str], attributes: AttributeTable = STANDARD
) -> list[_Text]:
    """Values in the order of tags; text that is not ASCII is put into `foreign`, too."""
    texts: list[_Text] = []
    vr_of_tag = attributes.vr_of
    for tag in sorted(values):
        vr = vr_of_tag(tag)
        if vr == b"SQ":
            texts.append((tag, vr, [_flattened(item, foreign) for item in values[tag] if isinstance(item, dict)]))
            continue
        value = _flat(vr, values[tag])
        if type(value) is str and not value.isascii():
            foreign.append(value)
        texts.append((tag, vr, value))
    return texts


def _encoded(texts: Sequence[_Text], chosen: CharacterSet, encoding: Encoding) -> bytes:
    writer = writer_for(encoding)
    pieces = []
    for tag, vr, value in texts:
        if vr == b"SQ":
            items = [_encoded(item, chosen, encoding) for item in value]
            order = ">" if encoding.big_endian else "<"
            whole = b"".join([struct.pack(order + "HHI", 0xFFFE, 0xE000, len(item)) + item for item in items])
            pieces.append(writer(tag, whole, vr))
        else:
            pieces.append(writer(tag, _bytes(vr, value, chosen, encoding), vr))
    return b"".join(pieces)


def _flat(vr: bytes, values: Sequence[Any]) -> Any:
    """One text for text VRs, the numbers themselves for binary ones."""
    if not values:
        return ""
    if vr in _FORMS:
        return values
    return text_of(values[0]) if len(values) == 1 else "\\".join([text_of(value) for value in values])


def _bytes(vr: bytes, value: Any, chosen: CharacterSet, encoding: Encoding) -> bytes:
    if type(value) is not str:
        return _packed(value, (">" if encoding.big_endian else "<") + _FORMS[vr])
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
def writer_for(encoding: Encoding) -> Callable[..., bytes]:
    """A function that writes one element of even length in this encoding: from its tag, its value, and its VR if that
    is not in the dictionary."""
    order = ">" if encoding.big_endian else "<"
    short, long = struct.Struct(order + "H").pack, struct.Struct(order + "I").pack
    head = struct.Struct(order + "HH").pack

    @lru_cache(maxsize=4096)
    def prefix(tag: int, vr: bytes) -> tuple[bytes, bool]:
        begin = head(tag >> 16, tag & 0xFFFF)
        if not encoding.explicit:
            return begin, True
        return begin + vr + (b"\0\0" if vr in LONG_VRS else b""), vr in LONG_VRS

    def write(tag: int, value: bytes, vr: bytes | None = None) -> bytes:
        begin, wide = prefix(tag, vr or vr_of(tag))
        return begin + (long(len(value)) if wide else short(len(value))) + value

    return write
