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
from gantry.common.subscriptions.model import Content, Status, SubscriptionRequest

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

    wanted: SubscriptionRequest
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
    wanted = SubscriptionRequest(
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
        expiry = datetime.fromisoformat(text) if 0 < len(text) <= 40 else None
        if expiry is None or expiry.tzinfo is None:
            raise ValueError
        return int(expiry.timestamp() * 1e6)
    except (ValueError, OverflowError):
        raise NotUnderstood("end: an instant, as 2026-12-24T18:00:00Z") from None


def _content(channel: Mapping[str, Any]) -> Content:
    extensions = _extensions(channel.get("_payload"), CONTENT)
    try:
        return Content(str(extensions[0].get("valueCode"))) if len(extensions) == 1 else Content("")
    except ValueError:
        raise NotUnderstood(
            f"channel.payload: the extension backport-payload-content, which is one of {', '.join(Content)}"
        ) from None


def _filters(content: Mapping[str, Any]) -> tuple[str, ...]:
    texts = [extension.get("valueString") for extension in _extensions(content.get("_criteria"), FILTER)]
    if len(texts) > MOST_FILTERS or not all(isinstance(text, str) for text in texts):
        raise NotUnderstood(f"criteria: at most {MOST_FILTERS} extensions backport-filter-criteria, with a valueString")
    return tuple(map(str, texts))


def headers_in(lines: Any, where: str) -> tuple[str, ...]:
    """Lines that are headers of a post, and may be a subscriber's. Raises `NotUnderstood`, with the name of the element
    `where` they stand."""
    if not isinstance(lines, list) or len(lines) > MOST_HEADERS:
        raise NotUnderstood(f"{where}: a list of at most {MOST_HEADERS}")
    for line in lines:
        if not isinstance(line, str) or len(line) > LONGEST_HEADER or not (line.isascii() and line.isprintable()):
            raise NotUnderstood(f"{where}: lines NAME: VALUE of ASCII, at most {LONGEST_HEADER} characters each")
        name, colon, _ = line.partition(":")
        if not colon or not _NAME.fullmatch(name) or name.lower() in _NOT_YOURS:
            raise NotUnderstood(f"{where}: lines NAME: VALUE, of names that are not of the message itself")
    return tuple(lines)


def _number(channel: Mapping[str, Any], url: str, name: str, kind: str, least: int, most: int) -> int:
    extensions = _extensions(channel, url)
    if not extensions:
        return 0
    value = extensions[0].get(kind)
    if len(extensions) > 1 or type(value) is not int or not least <= value <= most:
        raise NotUnderstood(f"channel: backport-{name} is one {kind} from {least} to {most}")
    return value


def _extensions(element: Any, url: str) -> list[Mapping[str, Any]]:
    extensions = element.get("extension", []) if isinstance(element, dict) else []
    if not isinstance(extensions, list) or not all(isinstance(extension, dict) for extension in extensions):
        raise NotUnderstood("an extension is an object, in a list")
    return [extension for extension in extensions if extension.get("url") == url]


def text_in(content: Mapping[str, Any], name: str) -> str:
    text = content.get(name, "")
    if not isinstance(text, str):
        raise NotUnderstood(f"{name}: a text")
    return text
