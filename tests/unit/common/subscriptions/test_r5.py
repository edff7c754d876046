"""Subscriptions as R5 has them: the same is kept as of R4."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.errors import NotUnderstood
from gantry.common.events import SubscriptionCreated
from gantry.common.fhir.capabilities import capability_statement
from gantry.common.fhir.r5 import as_r5
from gantry.common.subscriptions.fold import Noted, Subscription
from gantry.common.subscriptions.model import Content, Release, Status, SubscriptionRequest
from gantry.common.subscriptions.notifications import NotifiedEvent
from gantry.common.subscriptions.r5 import asked_subscription_r5, notification_r5, status_r5, subscription_r5, topic_r5
from gantry.common.subscriptions.resources import NotificationType, Urls
from tests.support.subscriber import subscription_r5 as wanted_r5

URLS = Urls.below("https://a.example", "/fhir/r4", "/dicom-web", "/fhir/r5").of(Release.R5)
TOPIC = "https://a.example/fhir/r5/SubscriptionTopic/imaging-study"
ALLOWED = ["https://ehr.example/"]
WHOLE = wanted_r5(
    TOPIC,
    "https://ehr.example/told",
    reason="images",
    end="2030-01-01T00:00:00Z",
    filterBy=[
        {"resourceType": "ImagingStudy", "filterParameter": "patient", "value": "Patient/G 1&2"},
        {"filterParameter": "modality", "comparator": "eq", "value": "CT,MR"},
    ],
    parameter=[{"name": "Authorization", "value": "Bearer x"}],
    heartbeatPeriod=60,
    timeout=5,
    maxCount=3,
)
KNOWN = Subscription(SubscriptionCreated("default", "", "s1", "", "ehr.example", "o", "ehr", 2_000_000, 1_000_000))


def asked(**changed: Any) -> SubscriptionRequest:
    content = {name: value for name, value in {**WHOLE, **changed}.items() if value is not None}
    return asked_subscription_r5(content, TOPIC, ALLOWED).wanted


def test_what_is_wanted_is_kept_and_said_again_without_headers() -> None:
    wanted = asked()
    assert wanted == SubscriptionRequest(
        *("https://ehr.example/told", Content.ID_ONLY),
        ("ImagingStudy?patient=Patient%2FG%201%262", "ImagingStudy?modality=CT%2CMR"),
        ("Authorization: Bearer x",),
        *(60, 5, 3, "images", Release.R5),
    )
    said = subscription_r5("s1", KNOWN, wanted, URLS)
    assert said["filterBy"] == [
        {"resourceType": "ImagingStudy", "filterParameter": "patient", "value": "Patient/G 1&2"},
        {"resourceType": "ImagingStudy", "filterParameter": "modality", "value": "CT,MR"},
    ]
    assert "parameter" not in said
    again = asked_subscription_r5(said, TOPIC, ALLOWED)
    assert (again.wanted, again.status) == (asked(parameter=None), Status.REQUESTED)
    least = asked(**dict.fromkeys(("filterBy", "parameter", "heartbeatPeriod", "timeout", "maxCount", "reason", "end")))
    assert (least.filters, least.most, least.reason) == ((), 1, "")
    assert {"reason", "filterBy", "maxCount", "timeout"}.isdisjoint(subscription_r5("s1", KNOWN, least, URLS))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"resourceType": "Basic"}, "a Subscription"),
        ({"topic": "https://a.example/fhir/r4/SubscriptionTopic/imaging-study"}, "topic"),
        ({"reason": "a\nb"}, "reason"),
        ({"channelType": {"code": "rest-hook"}}, "channelType"),
        ({"channelType": "rest-hook"}, "channelType"),
        ({"contentType": "application/fhir+xml"}, "contentType"),
        ({"content": "all"}, "content"),
        ({"content": None}, "content"),
        ({"endpoint": "https://other.example/"}, "endpoint"),
        ({"status": "here"}, "status"),
        ({"end": "tomorrow"}, "end"),
        ({"filterBy": {}}, "filterBy"),
        ({"filterBy": [{"filterParameter": "modality", "value": "CT"}] * 11}, "filterBy"),
        ({"filterBy": [{"filterParameter": "started", "value": "2020"}]}, "filterBy"),
        ({"filterBy": [{"filterParameter": "modality"}]}, "filterBy"),
        ({"filterBy": [{"filterParameter": "modality", "value": "CT", "modifier": "not"}]}, "filterBy"),
        ({"filterBy": [{"resourceType": "Patient", "filterParameter": "modality", "value": "CT"}]}, "filterBy"),
        ({"parameter": [{"name": "Host", "value": "x"}]}, "parameter"),
        ({"parameter": ["x"]}, "parameter"),
        ({"heartbeatPeriod": 1}, "heartbeatPeriod"),
        ({"timeout": True}, "timeout"),
        ({"maxCount": 101}, "maxCount"),
    ],
)
def test_what_cannot_be_subscribed_to_is_refused_in_words(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(NotUnderstood, match=words):
        asked(**changed)


def test_notification_has_its_status_first_and_an_entry_for_each_study() -> None:
    events = [
        NotifiedEvent(Noted(number, f"e{number}", uid, kind, 3_000_000, ""), seen=seen, gone=gone)
        for number, uid, kind, seen, gone in (
            *((4, "1.2", "created", True, False), (5, "1.3", "updated", False, False)),
            *((6, "1.4", "deleted", True, True), (7, "1.2", "updated", True, False)),
        )
    ]
    kind = NotificationType.EVENTS
    bundle = notification_r5("s1", KNOWN, Content.ID_ONLY, kind, URLS, events, 5_000_000, "u")
    assert (bundle["type"], bundle["timestamp"]) == ("subscription-notification", "1970-01-01T00:00:05Z")
    status, *studies = bundle["entry"]
    said = status["resource"]
    assert (said["resourceType"], said["topic"]) == ("SubscriptionStatus", TOPIC)
    assert [one["eventNumber"] for one in said["notificationEvent"]] == ["4", "5", "6", "7"]
    assert ["focus" in one for one in said["notificationEvent"]] == [True, False, True, True]
    assert [(one["fullUrl"].rpartition("/")[2], one["request"]["method"]) for one in studies] == [
        ("1.2", "PUT"),
        ("1.4", "DELETE"),
    ]
    empty = notification_r5("s1", KNOWN, Content.EMPTY, kind, URLS, events, 5_000_000, "u")
    assert len(empty["entry"]) == 1
    assert as_r5(empty) == empty


def test_status_says_why_a_subscription_is_in_error_to_who_asks() -> None:
    KNOWN.reason = "no answer"
    asks, tells = (
        status_r5("s1", KNOWN, kind, URLS) for kind in (NotificationType.QUERY_STATUS, NotificationType.EVENTS)
    )
    KNOWN.reason = ""
    assert (asks["error"], "error" in tells) == ([{"text": "no answer"}], False)


def test_topic_and_capabilities_say_what_can_be_subscribed_to() -> None:
    topic = topic_r5(URLS)
    assert (topic["url"], topic["id"]) == (TOPIC, "imaging-study")
    statement = as_r5(capability_statement("1", "2026-01-01", "https://a.example/fhir/r5", TOPIC))
    types = {one["type"]: one for one in statement["rest"][0]["resource"]}
    assert {"Subscription", "SubscriptionTopic"} <= types.keys()
    assert "extension" not in types["Subscription"]
    assert "instantiates" not in statement
    without = as_r5(capability_statement("1", "2026-01-01", "https://a.example/fhir/r5"))
    assert {"Subscription", "SubscriptionTopic"}.isdisjoint(one["type"] for one in without["rest"][0]["resource"])
