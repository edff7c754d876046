"""Subscriptions, and how they stand, as resources of FHIR R4 (backport-subscription-status-r4). Pure.

How a subscription stands is a resource of its own from R4B on; in R4 it is Parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from gantry.common.subscriptions.fold import Noted, Subscription
from gantry.common.subscriptions.model import TOPIC, Release, SubscriptionRequest
from gantry.common.subscriptions.reading import CONTENT, FHIR_JSON, FILTER, GUIDE, HEARTBEAT, MOST, TIMEOUT

Resource = dict[str, Any]


class NotificationType(StrEnum):
    """http://hl7.org/fhir/uv/subscriptions-backport/CodeSystem/backport-notification-type-code-system"""

    HANDSHAKE = "handshake"
    HEARTBEAT = "heartbeat"
    EVENTS = "event-notification"
    QUERY_STATUS = "query-status"
    QUERY_EVENTS = "query-event"


@dataclass(frozen=True, slots=True)
class Urls:
    """Where this archive is for others: the base of FHIR, and that of DICOMweb."""

    fhir: str
    dicomweb: str
    fhir_r5: str = ""

    @classmethod
    def below(cls, public_url: str | None, fhir: str, dicomweb: str, fhir_r5: str = "") -> Urls:
        """Paths below the URL by which clients call us."""
        url = (public_url or "").rstrip("/")
        return cls(url + fhir, url + dicomweb, url + fhir_r5)

    def of(self, release: Release) -> Urls:
        """Those of a release of FHIR."""
        return self if release is Release.R4 else replace(self, fhir=self.fhir_r5)

    @property
    def topic(self) -> str:
        """The canonical URL of the topic."""
        return f"{self.fhir}/{TOPIC}"

    def subscription(self, name: str) -> str:
        """Where a subscription is."""
        return f"{self.fhir}/Subscription/{name}"

    def study(self, uid: str) -> str:
        """Where an ImagingStudy is."""
        return f"{self.fhir}/ImagingStudy/{uid}"


def subscription_resource(name: str, known: Subscription, wanted: SubscriptionRequest, urls: Urls) -> Resource:
    """A subscription. Its headers may be secrets, so they are not said again."""
    made = known.created
    assert made is not None
    channel: Resource = {
        "type": "rest-hook",
        "endpoint": wanted.endpoint,
        "payload": FHIR_JSON,
        "_payload": {"extension": [{"url": CONTENT, "valueCode": wanted.content.value}]},
    }
    extensions: list[Resource] = []
    if wanted.heartbeat:
        extensions.append({"url": HEARTBEAT, "valueUnsignedInt": wanted.heartbeat})
    if wanted.timeout:
        extensions.append({"url": TIMEOUT, "valueUnsignedInt": wanted.timeout})
    if wanted.most > 1:
        extensions.append({"url": MOST, "valuePositiveInt": wanted.most})
    if extensions:
        channel["extension"] = extensions
    resource: Resource = {
        "resourceType": "Subscription",
        "id": name,
        "meta": {"profile": [f"{GUIDE}backport-subscription"], "lastUpdated": instant(max(known.since, made.at))},
        "status": known.status.value,
        "end": instant(made.ends_at),
        "reason": wanted.reason,
        "criteria": urls.topic,
        "channel": channel,
    }
    if wanted.filters:
        resource["_criteria"] = {"extension": [{"url": FILTER, "valueString": text} for text in wanted.filters]}
    if known.reason:
        resource["error"] = known.reason
    return resource


def status_parameters(
    name: str,
    known: Subscription,
    kind: NotificationType,
    urls: Urls,
    events: Sequence[tuple[Noted, bool]] = (),
    status: str = "",
) -> Resource:
    """How a subscription stands, and what it is told: events, each with whether its study is named. `status` in place
    of that which it has."""
    parameters: list[Resource] = [
        {"name": "subscription", "valueReference": {"reference": urls.subscription(name)}},
        {"name": "topic", "valueCanonical": urls.topic},
        {"name": "status", "valueCode": status or known.status.value},
        {"name": "type", "valueCode": kind.value},
        {"name": "events-since-subscription-start", "valueString": str(known.number)},
    ]
    parameters += [_event(note, urls, named=named) for note, named in events]
    if known.reason and kind is NotificationType.QUERY_STATUS:
        parameters.append({"name": "error", "valueCodeableConcept": {"text": known.reason}})
    return {
        "resourceType": "Parameters",
        "meta": {"profile": [f"{GUIDE}backport-subscription-status-r4"]},
        "parameter": parameters,
    }


def _event(note: Noted, urls: Urls, *, named: bool) -> Resource:
    part: list[Mapping[str, Any]] = [
        {"name": "event-number", "valueString": str(note.number)},
        {"name": "timestamp", "valueInstant": instant(note.at)},
    ]
    if named:
        part.append({"name": "focus", "valueReference": {"reference": urls.study(note.study_instance_uid)}})
    return {"name": "notification-event", "part": part}


def instant(at_us: int) -> str:
    """RFC 3339, to the second."""
    return f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"
