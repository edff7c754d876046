"""Headers of objects with what was coerced on receipt, and with the corrections of their study, applied. The stored
bytes are not touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gantry.common.dicom.encoding.charsets import CharacterSet
from gantry.common.dicom.encoding.correcting import Modification, corrected_header, corrected_tail
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.ports.index import Location
from gantry.services.retrieve.recoding import StoredPart, parts_of

SYSTEM = "GANTRY"
"""Modifying System (0400,0563)."""
NO_TAIL = StoredPart(b"", 0)


@dataclass(frozen=True, slots=True)
class Header:
    """The parts of a header as they are sent; `was` is its former character set if it was converted to UTF-8."""

    parts: Sequence[StoredPart]
    was: CharacterSet | None = None


def corrected_parts(location: Location, pieces: Sequence[bytes]) -> Header:
    """The header of an object as it is sent, from its pieces as they are stored. Raises `NotUnderstood`."""
    if not location.is_modified:
        return Header(parts_of(pieces))
    encoding = encoding_of(location.transfer_syntax_uid)
    header = corrected_header(pieces, encoding, _modifications(location))
    parts = [
        StoredPart(now.data, len(before), now.keeps_value) for now, before in zip(header.pieces, pieces, strict=True)
    ]
    return Header(parts, header.was)


def corrected_behind(location: Location, tail: bytes, header: Header) -> StoredPart:
    """The elements behind the pixel data. Raises `NotUnderstood`."""
    return StoredPart(corrected_tail(tail, encoding_of(location.transfer_syntax_uid), header.was), len(tail))


def as_stored(locations: Sequence[Location]) -> list[Location]:
    """The same objects as they were received."""
    return [replace(location, original=True) if location.is_modified else location for location in locations]


def version_of(location: Location) -> str:
    """A key for an object as it is sent now; it changes with every correction."""
    if location.original:
        return location.object_key
    coerced = location.coercion
    at = [] if coerced is None else [f"coerced {coerced.at}"]
    return "/".join([location.object_key, *at, *(correction.id for correction in location.corrections)])


def corrected_bytes(location: Location, header: bytes) -> bytes:
    """A header in one piece, without its long values. Raises `NotUnderstood`."""
    return corrected_parts(location, [header]).parts[0].data


def _modifications(location: Location) -> list[Modification]:
    """In their order: an object was coerced before anybody could correct it."""
    coerced = location.coercion
    first = [] if coerced is None else [Modification(coerced.values, _moment(coerced.at), SYSTEM, "COERCE")]
    return first + [
        Modification(correction.values or {}, _moment(correction.at), SYSTEM) for correction in location.corrections
    ]


def _moment(at: int) -> str:
    """Microseconds since the epoch as a DT value."""
    return datetime.fromtimestamp(at / 1e6, UTC).strftime("%Y%m%d%H%M%S.%f+0000")
