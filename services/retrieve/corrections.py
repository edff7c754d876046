"""What corrections of a study make of the headers of its objects. The stored bytes are not touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gantry.common.dicom.encoding.charsets import CharacterSet
from gantry.common.dicom.encoding.correcting import Modification, corrected_header, corrected_tail
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.lifecycle import Correction
from gantry.common.ports.index import Location
from gantry.services.retrieve.recoding import StoredPart, parts_of

SYSTEM = "GANTRY"
"""Modifying System (0400,0563)."""
NO_TAIL = StoredPart(b"", 0)


@dataclass(frozen=True, slots=True)
class Header:
    """The parts of a header as they are sent; `was` is its character set where it is in UTF-8 now and was not."""

    parts: Sequence[StoredPart]
    was: CharacterSet | None = None


def corrected_parts(location: Location, pieces: Sequence[bytes]) -> Header:
    """The header of an object as it is sent, of its pieces as they are stored. Raises `NotUnderstood`."""
    if not location.corrections:
        return Header(parts_of(pieces))
    encoding = encoding_of(location.transfer_syntax_uid)
    header = corrected_header(pieces, encoding, [_modification(one) for one in location.corrections])
    parts = [
        StoredPart(now.data, len(before), now.keeps_value) for now, before in zip(header.pieces, pieces, strict=True)
    ]
    return Header(parts, header.was)


def corrected_behind(location: Location, tail: bytes, header: Header) -> StoredPart:
    """The elements behind the pixel data. Raises `NotUnderstood`."""
    return StoredPart(corrected_tail(tail, encoding_of(location.transfer_syntax_uid), header.was), len(tail))


def as_stored(locations: Sequence[Location]) -> list[Location]:
    """The same objects without corrections."""
    return [replace(one, corrections=()) if one.corrections else one for one in locations]


def version_of(location: Location) -> str:
    """What tells an object as it is sent now from what it was before, and will be."""
    return "/".join([location.object_key, *(one.id for one in location.corrections)])


def corrected_bytes(location: Location, header: bytes) -> bytes:
    """A header in one piece, without its long values. Raises `NotUnderstood`."""
    return corrected_parts(location, [header]).parts[0].data


def _modification(correction: Correction) -> Modification:
    at = datetime.fromtimestamp(correction.at / 1e6, UTC).strftime("%Y%m%d%H%M%S.%f+0000")
    return Modification(correction.values or {}, at, SYSTEM)
