"""What is posted to a subscriber."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.events import SubscriptionCreated
from gantry.common.subscriptions.fold import Noted, Subscription
from gantry.common.subscriptions.model import Content, Status
from gantry.common.subscriptions.notifications import NotifiedEvent, notification
from gantry.common.subscriptions.resources import NotificationType, Urls

URLS = Urls("https://a.example/fhir/r4", "https://a.example/dicom-web")
CREATED = SubscriptionCreated("default", "", "s1", "sealed", "ehr.example", "o1", "ehr", 9, 1)
KNOWN = Subscription(CREATED, Status.ACTIVE, number=7)
STUDY = {"resourceType": "ImagingStudy", "id": "1.2"}


def noted(number: int, study: str = "1.2", kind: str = "updated") -> Noted:
    return Noted(number, f"e{number}", study, kind, 1_700_000_000_000_000, "")


def made(content: Content, *events: NotifiedEvent) -> dict[str, Any]:
    return notification("s1", KNOWN, content, NotificationType.EVENTS, URLS, events, 1_700_000_001_000_000, "u-1")


def parts(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    said = bundle["entry"][0]["resource"]["parameter"]
    return [{part["name"]: part for part in one["part"]} for one in said if one["name"] == "notification-event"]


def test_first_entry_says_how_the_subscription_stands() -> None:
    bundle = made(Content.ID_ONLY, NotifiedEvent(noted(7), seen=True))
    assert (bundle["type"], bundle["timestamp"]) == ("history", "2023-11-14T22:13:21Z")
    first = bundle["entry"][0]
    assert first["request"] == {"method": "GET", "url": "https://a.example/fhir/r4/Subscription/s1/$status"}
    said = {one["name"]: one for one in first["resource"]["parameter"]}
    assert said["topic"]["valueCanonical"] == "https://a.example/fhir/r4/SubscriptionTopic/imaging-study"
    assert (said["status"]["valueCode"], said["type"]["valueCode"]) == ("active", "event-notification")
    assert said["events-since-subscription-start"]["valueString"] == "7"


@pytest.mark.parametrize("content", Content)
def test_no_more_is_said_than_is_wanted(content: Content) -> None:
    bundle = made(content, NotifiedEvent(noted(7, kind="created"), seen=True, resource=STUDY))
    (event,) = parts(bundle)
    assert event["event-number"]["valueString"] == "7"
    entries = bundle["entry"][1:]
    if content is Content.EMPTY:
        assert ("focus" in event, entries) == (False, [])
        return
    assert event["focus"]["valueReference"]["reference"] == "https://a.example/fhir/r4/ImagingStudy/1.2"
    assert [entry.get("resource") for entry in entries] == [STUDY if content is Content.FULL else None]
    assert entries[0]["request"] == {"method": "PUT", "url": "ImagingStudy/1.2"}
    assert entries[0]["response"] == {"status": "201"}


def test_study_that_is_gone_has_no_resource() -> None:
    bundle = made(Content.FULL, NotifiedEvent(noted(7, kind="deleted"), seen=True, gone=True))
    assert bundle["entry"][1]["request"]["method"] == "DELETE"
    assert "resource" not in bundle["entry"][1]


@pytest.mark.parametrize("content", Content)
def test_of_a_study_that_is_hidden_by_now_the_number_of_the_event_is_all_that_is_said(content: Content) -> None:
    bundle = made(content, NotifiedEvent(noted(7), seen=False))
    (event,) = parts(bundle)
    assert event.keys() == {"event-number", "timestamp"}
    assert "1.2" not in str(bundle)


def test_study_of_several_events_is_there_once_as_it_is_now() -> None:
    events = (
        NotifiedEvent(noted(5, kind="created"), seen=True, resource=STUDY),
        NotifiedEvent(noted(6, "1.3"), seen=True, resource={**STUDY, "id": "1.3"}),
        NotifiedEvent(noted(7, kind="deleted"), seen=True, gone=True),
    )
    bundle = made(Content.FULL, *events)
    assert len(parts(bundle)) == 3
    assert [(one["request"]["method"], one["fullUrl"][-3:]) for one in bundle["entry"][1:]] == [
        ("DELETE", "1.2"),
        ("PUT", "1.3"),
    ]
