"""Which transfer syntax is sent, and as which media type (PS3.18 8.7.3). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, TRANSFER_SYNTAXES, encoding_of
from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import MULTIPART, OCTETS, MediaRange
from gantry.services.retrieve.dimse.contexts import UNCOMPRESSED, convertible


def media_type_of(transfer_syntax: str) -> str:
    """The media type of a compressed frame."""
    known = TRANSFER_SYNTAXES.get(transfer_syntax)
    return known.media_type or OCTETS if known is not None else OCTETS


def object_syntax(stored: str, wanted: MediaRange) -> str | None:
    """The transfer syntax in which an object is sent; None if the requested one is not available. If none is requested:
    Explicit VR little endian (8.7.3.5.2), or the stored one if the object cannot be converted."""
    syntax = wanted.transfer_syntax
    if syntax in ("*", stored):
        return stored
    if not syntax:
        return EXPLICIT_LITTLE_ENDIAN if convertible(stored) else stored
    return syntax if syntax in UNCOMPRESSED and convertible(stored) else None


def frame_form(stored: str, accept: Sequence[MediaRange]) -> tuple[str, str, bool]:
    """The media type and transfer syntax in which frames are sent, and whether in parts. Raises `HttpProblem` 406."""
    compressed = encoding_of(stored).encapsulated
    own = media_type_of(stored) if compressed else OCTETS
    for wanted in accept:
        parts = wanted.type in (MULTIPART, "*/*", "multipart/*")
        inner = wanted.inner if wanted.type != "*/*" and parts else "" if parts else wanted.type
        if wanted.q <= 0:
            continue
        form = _form(stored, compressed, own, inner or OCTETS, wanted.transfer_syntax)
        if form is not None:
            return (*form, parts)
    raise HttpProblem(406, f'we have {MULTIPART}; type="{OCTETS}" and type="{own}", in {stored} or uncompressed')


def _form(stored: str, compressed: bool, own: str, inner: str, syntax: str) -> tuple[str, str] | None:
    if inner in (own, "*/*", f"{own.partition('/')[0]}/*") and inner != OCTETS and syntax in ("", "*", stored):
        return own, stored
    if inner not in (OCTETS, "*/*", "application/*"):
        return None
    if syntax == "*" or (compressed and syntax == stored):
        return OCTETS, stored if compressed else EXPLICIT_LITTLE_ENDIAN
    if syntax in ("", *UNCOMPRESSED, *([stored] if not compressed else [])):
        return OCTETS, EXPLICIT_LITTLE_ENDIAN
    return None
