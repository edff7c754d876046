"""Subscriptions in FHIR R5 (https://hl7.org/fhir/R5/subscription.html): what somebody wants, how it stands, what is
told, and the topic, which is a resource there. Pure.

What is kept is the same as of R4: a filter of R5 is one of the topic's, written as a search.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote

from gantry.common.errors import NotUnderstood
from gantry.common.subscriptions.endpoints import allowed_endpoint
from gantry.common.subscriptions.filters import MOST_FILTERS, PARAMETERS, RESOURCE
from gantry.common.subscriptions.fold import Noted, Subscription
from gantry.common.subscriptions.model import Content, Release, SubscriptionRequest
from gantry.common.subscriptions.notifications import NotifiedEvent, entries_of
from gantry.common.subscriptions.reading import (
    FHIR_JSON,
    LONGEST_HEARTBEAT,
    LONGEST_REASON,
    LONGEST_TIMEOUT,
    MOST_EVENTS,
    SHORTEST_HEARTBEAT,
    AskedSubscription,
    end_in,
    headers_in,
    status_in,
    text_in,
)
from gantry.common.subscriptions.resources import NotificationType, Resource, Urls, instant

_CHANNELS = "http://terminology.hl7.org/CodeSystem/subscription-channel-type"
_REST_HOOK = "rest-hook"
_RESOURCES = (RESOURCE, f"http://hl7.org/fhir/StructureDefinition/{RESOURCE}")
_LONGEST_VALUE = 512
_FILTERS = {
    "patient": "of one patient",
    "subject": "of one patient",
    "patient.identifier": "of the patient with this identifier",
    "modality": "with a series of one of these modalities",
}


def asked_subscription_r5(content: Any, topic: str, allowed: Iterable[str]) -> AskedSubscription:
    """What somebody wants, as `asked_subscription` has it. Raises `NotUnderstood`."""
    if not isinstance(content, dict) or content.get("resourceType") != "Subscription":
        raise NotUnderstood("a Subscription is wanted")
    if text_in(content, "topic") != topic:
        raise NotUnderstood("topic: the canonical URL of the topic of this archive, which SubscriptionTopic says")
    reason = text_in(content, "reason")
    if len(reason) > LONGEST_REASON or not (reason.isprintable() or not reason):
        raise NotUnderstood(f"reason: one line of at most {LONGEST_REASON} characters")
    channel = content.get("channelType")
    if not isinstance(channel, dict) or channel.get("code") != _REST_HOOK or channel.get("system") != _CHANNELS:
        raise NotUnderstood(f"channelType: {_REST_HOOK} of {_CHANNELS} is all there is")
    if content.get("contentType", FHIR_JSON) != FHIR_JSON:
        raise NotUnderstood(f"contentType: {FHIR_JSON} is all there is")
    wanted = SubscriptionRequest(
        allowed_endpoint(text_in(content, "endpoint"), allowed),
        _content(content),
        tuple(_filters(content)),
        headers_in(_lines(content), "parameter"),
        _number(content, "heartbeatPeriod", SHORTEST_HEARTBEAT, LONGEST_HEARTBEAT),
        _number(content, "timeout", 1, LONGEST_TIMEOUT),
        _number(content, "maxCount", 1, MOST_EVENTS) or 1,
        reason.strip(),
        Release.R5,
    )
    return AskedSubscription(wanted, status_in(content), end_in(content))


def subscription_r5(name: str, known: Subscription, wanted: SubscriptionRequest, urls: Urls) -> Resource:
    """A subscription. Its headers may be secrets, so they are not said again."""
    made = known.created
    assert made is not None
    resource: Resource = {
        "resourceType": "Subscription",
        "id": name,
        "meta": {"lastUpdated": instant(max(known.since, made.at))},
        "status": known.status.value,
        "topic": urls.topic,
        "end": instant(made.ends_at),
        "reason": wanted.reason,
        "filterBy": [entry for text in wanted.filters for entry in _filter_by(text)],
        "channelType": {"system": _CHANNELS, "code": _REST_HOOK},
        "endpoint": wanted.endpoint,
        "heartbeatPeriod": wanted.heartbeat,
        "timeout": wanted.timeout,
        "contentType": FHIR_JSON,
        "content": wanted.content.value,
        "maxCount": wanted.most if wanted.most > 1 else 0,
    }
    return {element: value for element, value in resource.items() if value}


def status_r5(
    name: str,
    known: Subscription,
    kind: NotificationType,
    urls: Urls,
    events: Sequence[tuple[Noted, bool]] = (),
    status: str = "",
) -> Resource:
    """How a subscription stands, and what it is told (SubscriptionStatus), as `status_parameters` has it."""
    resource: Resource = {
        "resourceType": "SubscriptionStatus",
        "status": status or known.status.value,
        "type": kind.value,
        "eventsSinceSubscriptionStart": str(known.number),
        "notificationEvent": [_event(note, urls, named=named) for note, named in events],
        "subscription": {"reference": urls.subscription(name)},
        "topic": urls.topic,
    }
    if known.reason and kind is NotificationType.QUERY_STATUS:
        resource["error"] = [{"text": known.reason}]
    return {element: value for element, value in resource.items() if value}


def notification_r5(
    name: str,
    known: Subscription,
    content: Content,
    kind: NotificationType,
    urls: Urls,
    events: Sequence[NotifiedEvent],
    now: int,
    unique: str,
    status: str = "",
) -> Resource:
    """What is posted to a subscriber, and what `$events` answers, as `notification` has it. Studies in it are given as
    they are, in R4 (`gantry.common.fhir.r5`)."""
    named = content is not Content.EMPTY
    resource = status_r5(name, known, kind, urls, [(event.noted, named and event.seen) for event in events], status)
    return {
        "resourceType": "Bundle",
        "id": unique,
        "type": "subscription-notification",
        "timestamp": instant(now),
        "entry": entries_of(name, resource, unique, events, content, urls),
    }


def topic_r5(urls: Urls) -> Resource:
    """The topic (https://hl7.org/fhir/R5/subscriptiontopic.html)."""
    return {
        "resourceType": "SubscriptionTopic",
        "id": urls.topic.rpartition("/")[2],
        "url": urls.topic,
        "title": "Studies",
        "status": "active",
        "description": "A study is complete and can be found, changed, or is not there any more.",
        "resourceTrigger": [
            {
                "description": "A study is complete, complete once more, corrected, or nothing of it is left",
                "resource": RESOURCE,
                "supportedInteraction": ["create", "update", "delete"],
            }
        ],
        "canFilterBy": [
            {"description": f"Studies {words}", "resource": RESOURCE, "filterParameter": name}
            for name, words in _FILTERS.items()
        ],
        "notificationShape": [{"resource": RESOURCE}],
    }


def _content(content: Mapping[str, Any]) -> Content:
    try:
        return Content(str(content.get("content")))
    except ValueError:
        raise NotUnderstood(f"content: one of {', '.join(Content)}") from None


def _filters(content: Mapping[str, Any]) -> Iterator[str]:
    filters = content.get("filterBy", [])
    if (
        not isinstance(filters, list)
        or len(filters) > MOST_FILTERS
        or not all(isinstance(entry, dict) for entry in filters)
    ):
        raise NotUnderstood(f"filterBy: a list of at most {MOST_FILTERS}")
    for entry in filters:
        name, value = text_in(entry, "filterParameter"), text_in(entry, "value")
        if entry.get("resourceType", RESOURCE) not in _RESOURCES:
            raise NotUnderstood(f"filterBy.resourceType: {RESOURCE} is all there is")
        if name not in PARAMETERS or not 0 < len(value) <= _LONGEST_VALUE:
            raise NotUnderstood(f"filterBy: a value of one of {', '.join(_FILTERS)}")
        if entry.get("comparator", "eq") != "eq" or "modifier" in entry:
            raise NotUnderstood("filterBy: comparator is eq, and there is no modifier")
        yield f"{RESOURCE}?{quote(name, safe=':.')}={quote(value, safe='')}"


def _filter_by(text: str) -> Iterator[Resource]:
    for name, value in parse_qsl(text.partition("?")[2]):
        yield {"resourceType": RESOURCE, "filterParameter": name, "value": value}


def _lines(content: Mapping[str, Any]) -> list[str]:
    parameters = content.get("parameter", [])
    if not isinstance(parameters, list) or not all(isinstance(parameter, dict) for parameter in parameters):
        raise NotUnderstood("parameter: a list of names and values")
    return [f"{text_in(parameter, 'name')}: {text_in(parameter, 'value')}" for parameter in parameters]


def _number(content: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = content.get(name, 0)
    if name in content and (type(value) is not int or not least <= value <= most):
        raise NotUnderstood(f"{name}: from {least} to {most}")
    return int(value)


def _event(note: Noted, urls: Urls, *, named: bool) -> Resource:
    fields: Resource = {"eventNumber": str(note.number), "timestamp": instant(note.at)}
    return {**fields, "focus": {"reference": urls.study(note.study_instance_uid)}} if named else fields
