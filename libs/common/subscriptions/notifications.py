"""What is posted to a subscriber, and what `$events` answers: a Bundle of type history, whose first entry says how the
subscription stands (backport-subscription-notification-r4). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gantry.common.subscriptions.fold import CREATED, DELETED, Noted, Subscription
from gantry.common.subscriptions.model import Content
from gantry.common.subscriptions.reading import GUIDE
from gantry.common.subscriptions.resources import NotificationType, Resource, Urls, instant, status_parameters


@dataclass(frozen=True, slots=True)
class NotifiedEvent:
    """An event as its subscriber may know it now. `seen`: he sees the study, or saw it and it is gone; else he learns
    the number of the event alone. `resource` is the study, where that is wanted and it is there."""

    noted: Noted
    seen: bool
    resource: Resource | None = None
    gone: bool = False


def notification(
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
    """The Bundle. `unique` is a UUID, the Bundle's id; `now` in microseconds."""
    named = content is not Content.EMPTY
    parameters = status_parameters(
        name, known, kind, urls, [(event.noted, named and event.seen) for event in events], status
    )
    return {
        "resourceType": "Bundle",
        "id": unique,
        "meta": {"profile": [f"{GUIDE}backport-subscription-notification-r4"]},
        "type": "history",
        "timestamp": instant(now),
        "entry": entries_of(name, parameters, unique, events, content, urls),
    }


def entries_of(
    name: str, resource: Resource, unique: str, events: Sequence[NotifiedEvent], content: Content, urls: Urls
) -> list[dict[str, Any]]:
    """What a Bundle has of a subscription: first how it stands, as `resource`, then its studies."""
    first = {
        "fullUrl": f"urn:uuid:{unique}",
        "resource": {**resource, "id": unique},
        "request": {"method": "GET", "url": f"{urls.subscription(name)}/$status"},
        "response": {"status": "200"},
    }
    return [first, *_studies(events, content, urls)]


def _studies(events: Sequence[NotifiedEvent], content: Content, urls: Urls) -> list[dict[str, Any]]:
    """An entry for each study that is named: one that several events are about is there once, as it is now."""
    if content is Content.EMPTY:
        return []
    latest = {event.noted.study_instance_uid: event for event in events if event.seen}
    return [_entry(event, content, urls) for event in latest.values()]


def _entry(event: NotifiedEvent, content: Content, urls: Urls) -> dict[str, Any]:
    uid = event.noted.study_instance_uid
    entry: dict[str, Any] = {"fullUrl": urls.study(uid)}
    if event.gone:
        return {
            **entry,
            "request": {"method": "DELETE", "url": f"ImagingStudy/{uid}"},
            "response": {"status": "204"},
        }
    if content is Content.FULL and event.resource is not None:
        entry["resource"] = event.resource
    status = "201" if event.noted.kind == CREATED else "200"
    entry["request"] = {"method": "PUT", "url": f"ImagingStudy/{uid}"}
    entry["response"] = {"status": status}
    return entry


def is_deletion(noted: Noted) -> bool:
    """Whether an event says that a study is gone."""
    return noted.kind == DELETED
