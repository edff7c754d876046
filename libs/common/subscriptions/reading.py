"""A Subscription of FHIR R4 as it came, with the extensions of the backport. Pure. Errors repeat nothing of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gantry.common.errors import NotUnderstood
from gantry.common.subscriptions.endpoints import allowed_endpoint
from gantry.common.subscriptions.filters import MOST_FILTERS
from gantry.common.subscriptions.model import Content, Status, Wanted

GUIDE = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
FILTER = f"{GUIDE}backport-filter-criteria"
CONTENT = f"{GUIDE}backport-payload-content"
HEARTBEAT = f"{GUIDE}backport-heartbeat-period"
TIMEOUT = f"{GUIDE}backport-timeout"
MOST = f"{GUIDE}backport-max-count"
FHIR_JSON = "application/fhir+json"
LONGEST_TIMEOUT = 60
"""Seconds."""
SHORTEST_HEARTBEAT, LONGEST_HEARTBEAT = 10, 86_400
"""Seconds."""
MOST_EVENTS = 100
"""In one notification."""
MOST_HEADERS, LONGEST_HEADER, LONGEST_REASON = 10, 1024, 200
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
"""RFC 9110 5.6.2."""
_NOT_YOURS = frozenset(
    (
        *("content-length", "content-type", "host", "transfer-encoding", "connection", "upgrade", "te", "trailer"),
        *("expect", "proxy-authorization"),
    )
)
"""Headers that are of the message and the connection, and so are ours."""


@dataclass(frozen=True, slots=True)
class AskedSubscription:
    """A Subscription that somebody wants. `ends_at` is 0 where it says no end; `status` as it says."""

    wanted: Wanted
    status: Status
    ends_at: int = 0


def asked_subscription(content: Any, topic: str, allowed: Iterable[str]) -> AskedSubscription:
    """What somebody wants; `topic` is the canonical URL of the only topic that there is, `allowed` the beginnings of
    addresses that may be told. Raises `NotUnderstood`."""
    if not isinstance(content, dict) or content.get("resourceType") != "Subscription":
        raise NotUnderstood("a Subscription is wanted")
    if text_in(content, "criteria") != topic:
        raise NotUnderstood("criteria: the canonical URL of the topic of this archive, which CapabilityStatement says")
    reason = text_in(content, "reason")
    if not 0 < len(reason.strip()) <= LONGEST_REASON or not reason.isprintable():
        raise NotUnderstood(f"reason: one line of 1 to {LONGEST_REASON} characters")
    channel = content.get("channel")
    if not isinstance(channel, dict) or channel.get("type") != "rest-hook":
        raise NotUnderstood("channel.type: rest-hook is all there is")
    if channel.get("payload") != FHIR_JSON:
        raise NotUnderstood(f"channel.payload: {FHIR_JSON} is all there is")
    wanted = Wanted(
        allowed_endpoint(text_in(channel, "endpoint"), allowed),
        _content(channel),
        _filters(content),
        headers_in(channel.get("header", []), "channel.header"),
        _number(channel, HEARTBEAT, "heartbeat-period", "valueUnsignedInt", SHORTEST_HEARTBEAT, LONGEST_HEARTBEAT),
        _number(channel, TIMEOUT, "timeout", "valueUnsignedInt", 1, LONGEST_TIMEOUT),
        _number(channel, MOST, "max-count", "valuePositiveInt", 1, MOST_EVENTS) or 1,
        reason.strip(),
    )
    return AskedSubscription(wanted, status_in(content), end_in(content))


def status_in(content: Mapping[str, Any]) -> Status:
    """What its status is to be. Raises `NotUnderstood`."""
    try:
        return Status(str(content.get("status")))
    except ValueError:
        raise NotUnderstood(f"status: one of {', '.join(Status)}") from None


def end_in(content: Mapping[str, Any]) -> int:
    """When it ends, in microseconds; 0 where it says no end. Raises `NotUnderstood`."""
    if "end" not in content:
        return 0
    text = text_in(content, "end")
    try:
        told = datetime.fromisoformat(text) if 0 < len(text) <= 40 else None
        if told is None or told.tzinfo is None:
            raise ValueError
        return int(told.timestamp() * 1e6)
    except (ValueError, OverflowError):
        raise NotUnderstood("end: an instant, as 2026-12-24T18:00:00Z") from None


def _content(channel: Mapping[str, Any]) -> Content:
    found = _extensions(channel.get("_payload"), CONTENT)
    try:
        return Content(str(found[0].get("valueCode"))) if len(found) == 1 else Content("")
    except ValueError:
        raise NotUnderstood(
            f"channel.payload: the extension backport-payload-content, which is one of {', '.join(Content)}"
        ) from None


def _filters(content: Mapping[str, Any]) -> tuple[str, ...]:
    found = [one.get("valueString") for one in _extensions(content.get("_criteria"), FILTER)]
    if len(found) > MOST_FILTERS or not all(isinstance(one, str) for one in found):
        raise NotUnderstood(f"criteria: at most {MOST_FILTERS} extensions backport-filter-criteria, with a valueString")
    return tuple(map(str, found))


def headers_in(found: Any, where: str) -> tuple[str, ...]:
    """Lines that are headers of a post, and may be a subscriber's. Raises `NotUnderstood`, with the name of the element
    `where` they stand."""
    if not isinstance(found, list) or len(found) > MOST_HEADERS:
        raise NotUnderstood(f"{where}: a list of at most {MOST_HEADERS}")
    for line in found:
        if not isinstance(line, str) or len(line) > LONGEST_HEADER or not (line.isascii() and line.isprintable()):
            raise NotUnderstood(f"{where}: lines NAME: VALUE of ASCII, at most {LONGEST_HEADER} characters each")
        name, colon, _ = line.partition(":")
        if not colon or not _NAME.fullmatch(name) or name.lower() in _NOT_YOURS:
            raise NotUnderstood(f"{where}: lines NAME: VALUE, of names that are not of the message itself")
    return tuple(found)


def _number(channel: Mapping[str, Any], url: str, name: str, kind: str, least: int, most: int) -> int:
    found = _extensions(channel, url)
    if not found:
        return 0
    value = found[0].get(kind)
    if len(found) > 1 or type(value) is not int or not least <= value <= most:
        raise NotUnderstood(f"channel: backport-{name} is one {kind} from {least} to {most}")
    return value


def _extensions(element: Any, url: str) -> list[Mapping[str, Any]]:
    found = element.get("extension", []) if isinstance(element, dict) else []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise NotUnderstood("an extension is an object, in a list")
    return [one for one in found if one.get("url") == url]


def text_in(content: Mapping[str, Any], name: str) -> str:
    found = content.get(name, "")
    if not isinstance(found, str):
        raise NotUnderstood(f"{name}: a text")
    return found
