"""Which representation a client wants: Accept by PS3.18 8.7.5 and RFC 9110 12.5.1. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gantry.common.ids import is_uid
from gantry.common.web.errors import HttpProblem
from gantry.common.web.headers import LONGEST, LONGEST_ITEM, split, weight

DICOM, DICOM_JSON, DICOM_XML = "application/dicom", "application/dicom+json", "application/dicom+xml"
JSON, OCTETS, ZIP = "application/json", "application/octet-stream", "application/zip"
MULTIPART = "multipart/related"
MAX_RANGES = 64

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+*-]{1,127}/[A-Za-z0-9!#$&^_.+*-]{1,127}")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class MediaRange:
    """A media type that a client accepts. `inner` is the type of the parts if it is multipart/related;
    `transfer_syntax` is "" (the default of the media type), "*" (as it is stored) or a UID (PS3.18 8.7.3.5.2)."""

    type: str
    q: float = 1.0
    inner: str = ""
    transfer_syntax: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Offer:
    """A representation that we offer: of this type, and in parts or not."""

    type: str
    multipart: bool = False


def parse_accept(header: str) -> list[MediaRange]:
    """The accepted types, the best first; `*/*` if the header is empty. Values of parameters may be quoted or not.

    Invalid types are left out. Raises `HttpProblem` 400 if the header is too long or has too many types.
    """
    if len(header) > LONGEST:
        raise HttpProblem(400, "accept is too long")
    ranges = [media_range for text in split(header, ",") if (media_range := _range(text)) is not None]
    if len(ranges) > MAX_RANGES:
        raise HttpProblem(400, "accept has too many types")
    if not ranges:
        return [MediaRange("*/*")] if not header.strip() else []
    return sorted(ranges, key=lambda media_range: -media_range.q)


def choose(accept: Sequence[MediaRange], offers: Sequence[Offer]) -> tuple[Offer, MediaRange]:
    """The offer that a client prefers, among equals the first, and the range that it fits. Raises `HttpProblem` 406."""
    for wanted in accept:
        if wanted.q > 0:
            for offer in offers:
                if fits(wanted, offer):
                    return offer, wanted
    raise HttpProblem(406, f"we have {', '.join(_type_of(offer) for offer in offers)}")


def fits(wanted: MediaRange, offer: Offer) -> bool:
    """Whether an offer is in a range."""
    if wanted.type == "*/*":
        return True
    if wanted.type in (MULTIPART, "multipart/*"):
        return offer.multipart and (not wanted.inner or _covers(wanted.inner, offer.type))
    return not offer.multipart and _covers(wanted.type, offer.type)


def _covers(wanted: str, type_: str) -> bool:
    return wanted in ("*/*", type_) or (wanted.endswith("/*") and type_.startswith(wanted[:-1]))


def _type_of(offer: Offer) -> str:
    return f'{MULTIPART}; type="{offer.type}"' if offer.multipart else offer.type


def parse_content_type(header: str) -> MediaRange | None:
    """A Content-Type; None if it is not valid."""
    return _range(header)


def _range(text: str) -> MediaRange | None:
    if len(text) > LONGEST_ITEM:
        return None
    type_, *rest = split(text, ";")
    type_ = type_.strip().lower()
    if type_ == "*":
        type_ = "*/*"
    if _MEDIA_TYPE.fullmatch(type_) is None:
        return None
    parameters: dict[str, str] = {}
    for part in rest:
        name, _, value = part.partition("=")
        parameters.setdefault(name.strip().lower(), _unquoted(value.strip()))
    syntax = parameters.get("transfer-syntax", "")
    if syntax not in ("", "*") and not is_uid(syntax):
        return None
    return MediaRange(type_, weight(parameters.get("q", "1")), parameters.get("type", "").lower(), syntax, parameters)


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value.strip("'")


def etag_matches(header: str, etag: str) -> bool:
    """Whether If-None-Match names this tag (RFC 9110 13.1.2: weak comparison)."""
    bare = etag.removeprefix("W/")
    return any(etag.strip().removeprefix("W/") in (bare, "*") for etag in header.split(","))


def is_known(headers: Mapping[str, str], etag: str) -> bool:
    """Whether the caller of a GET already has the content of this tag (If-None-Match). Raises `HttpProblem` 412 if it
    wants another one (RFC 9110 13.1.1: If-Match compares strongly, a weak tag never matches)."""
    wanted = headers.get("If-Match")
    strong = () if etag.startswith("W/") else (etag,)
    if wanted is not None and not any(tag.strip() in ("*", *strong) for tag in wanted.split(",")):
        raise HttpProblem(412, "this is not, or not any more, what If-Match names", {"ETag": etag})
    return etag_matches(headers.get("If-None-Match", ""), etag)


def requested_range(headers: Mapping[str, str], size: int) -> tuple[int, int] | None:
    """The range that a request asks for of content that has neither ETag nor date: none with If-Range, which cannot
    hold for it (RFC 9110 13.1.5), so that parts of two contents are never joined. Raises as `byte_range`."""
    return None if "If-Range" in headers else byte_range(headers.get("Range", ""), size)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """The first byte and the end of a Range with one interval (RFC 9110 14.1.2); None if there is none, or one that we
    do not understand, which must be ignored. Raises `HttpProblem` 416 if it is outside the content."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        begin, end = max(0, size - int(last)), size
    else:
        begin, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None
    if begin >= end:
        raise HttpProblem(416, "the range is outside of the value", {"Content-Range": f"bytes */{size}"})
    return begin, end
