"""A Subscription of FHIR R4 as it came."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from gantry.common.errors import NotUnderstood
from gantry.common.subscriptions.model import Content, Status, SubscriptionRequest
from gantry.common.subscriptions.reading import AskedSubscription, asked_subscription

TOPIC = "https://archive.example/fhir/r4/SubscriptionTopic/imaging-study"
GUIDE = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
WHOLE: dict[str, Any] = {
    "resourceType": "Subscription",
    "status": "requested",
    "end": "2026-12-24T18:00:00+01:00",
    "reason": " images for the record ",
    "criteria": TOPIC,
    "_criteria": {
        "extension": [{"url": f"{GUIDE}backport-filter-criteria", "valueString": "ImagingStudy?modality=CT"}]
    },
    "channel": {
        "extension": [
            {"url": f"{GUIDE}backport-heartbeat-period", "valueUnsignedInt": 60},
            {"url": f"{GUIDE}backport-timeout", "valueUnsignedInt": 5},
            {"url": f"{GUIDE}backport-max-count", "valuePositiveInt": 20},
            {"url": "http://example.com/other", "valueString": "x"},
        ],
        "type": "rest-hook",
        "endpoint": "https://ehr.example/in",
        "payload": "application/fhir+json",
        "_payload": {"extension": [{"url": f"{GUIDE}backport-payload-content", "valueCode": "id-only"}]},
        "header": ["Authorization: Bearer s3cret"],
    },
}


def read(content: Any) -> AskedSubscription:
    return asked_subscription(content, TOPIC, ["https://ehr.example"])


def changed(*path: str | int, to: Any = None) -> dict[str, Any]:
    """The subscription with something else at a path; without it where `to` is None."""
    made = deepcopy(WHOLE)
    place: Any = made
    for step in path[:-1]:
        place = place[step]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return made


def test_everything_that_it_says_is_read() -> None:
    wanted = SubscriptionRequest(
        "https://ehr.example/in",
        Content.ID_ONLY,
        ("ImagingStudy?modality=CT",),
        ("Authorization: Bearer s3cret",),
        60,
        5,
        20,
        "images for the record",
    )
    assert read(WHOLE) == AskedSubscription(wanted, Status.REQUESTED, 1_798_131_600_000_000)


def test_what_may_be_left_out_has_a_meaning() -> None:
    bare = changed("end")
    del bare["_criteria"], bare["channel"]["extension"], bare["channel"]["header"]
    asked = read(bare)
    assert (asked.ends_at, asked.wanted.filters, asked.wanted.headers) == (0, (), ())
    assert (asked.wanted.heartbeat, asked.wanted.timeout, asked.wanted.most) == (0, 0, 1)


EXTENSIONS = ("channel", "extension")
WRONG: dict[str, Any] = {
    "no object": [1],
    "another resource": changed("resourceType", to="Patient"),
    "status": changed("status", to="entered-in-error"),
    "no status": changed("status"),
    "status of a strange type": changed("status", to={"x": 1}),
    "another topic": changed("criteria", to="ImagingStudy?modality=CT"),
    "no topic": changed("criteria"),
    "topic of a strange type": changed("criteria", to=[TOPIC]),
    "no reason": changed("reason"),
    "long reason": changed("reason", to="x" * 201),
    "reason of two lines": changed("reason", to="a\nb"),
    "end without a zone": changed("end", to="2026-12-24T18:00:00"),
    "end that is none": changed("end", to="Christmas"),
    "no channel": changed("channel"),
    "another channel": changed("channel", "type", to="websocket"),
    "no endpoint": changed("channel", "endpoint"),
    "endpoint elsewhere": changed("channel", "endpoint", to="https://evil.example/in"),
    "payload in XML": changed("channel", "payload", to="application/fhir+xml"),
    "no content": changed("channel", "_payload"),
    "another content": changed("channel", "_payload", "extension", 0, "valueCode", to="everything"),
    "extensions that are none": changed("channel", "_payload", "extension", to="x"),
    "an extension that is none": changed("channel", "_payload", "extension", 0, to="x"),
    "short heartbeat": changed(*EXTENSIONS, 0, "valueUnsignedInt", to=9),
    "long heartbeat": changed(*EXTENSIONS, 0, "valueUnsignedInt", to=86_401),
    "heartbeat of another type": changed(*EXTENSIONS, 0, "valueUnsignedInt", to="60"),
    "heartbeat that is a flag": changed(*EXTENSIONS, 0, "valueUnsignedInt", to=True),
    "two heartbeats": changed("channel", "extension", 1, to=WHOLE["channel"]["extension"][0]),
    "long timeout": changed(*EXTENSIONS, 1, "valueUnsignedInt", to=61),
    "many events": changed(*EXTENSIONS, 2, "valuePositiveInt", to=101),
    "filter of another type": changed("_criteria", "extension", 0, "valueString", to=5),
    "many filters": changed("_criteria", "extension", to=WHOLE["_criteria"]["extension"] * 11),
    "headers that are none": changed("channel", "header", to="x"),
    "header without a colon": changed("channel", "header", 0, to="Authorization"),
    "header with a line break": changed("channel", "header", 0, to="A: b\r\nHost: c"),
    "header of the message": changed("channel", "header", 0, to="Host: evil.example"),
    "header with a space in its name": changed("channel", "header", 0, to="A b: c"),
    "long header": changed("channel", "header", 0, to="A: " + "b" * 1024),
    "many headers": changed("channel", "header", to=["A: b"] * 11),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_refused_and_nothing_of_it_repeated(what: str) -> None:
    with pytest.raises(NotUnderstood) as refused:
        read(WRONG[what])
    assert not any(word in str(refused.value) for word in ("s3cret", "evil", "Christmas"))
