"""Subscriptions as resources of FHIR R4."""

from gantry.common.events import SubscriptionCreated
from gantry.common.subscriptions.fold import Subscription
from gantry.common.subscriptions.model import Content, Status, SubscriptionRequest
from gantry.common.subscriptions.reading import asked_subscription
from gantry.common.subscriptions.resources import NotificationType, Urls, status_parameters, subscription_resource

URLS = Urls.below("https://a.example/", "/fhir/r4", "/dicom-web")
CREATED = SubscriptionCreated("default", "", "s1", "sealed", "ehr.example", "o1", "ehr", 1_800_000_000_000_000, 1)
WANTED = SubscriptionRequest(
    "https://ehr.example/in", Content.FULL, ("ImagingStudy?modality=CT",), ("Authorization: s3cret",), 60, 5, 10, "why"
)


def test_subscription_that_is_read_says_what_was_wanted_and_no_header() -> None:
    known = Subscription(CREATED, Status.ACTIVE)
    resource = subscription_resource("s1", known, WANTED, URLS)
    assert "s3cret" not in str(resource)
    read = asked_subscription(resource, URLS.topic, ["https://ehr.example"])
    assert (read.status, read.ends_at) == (Status.ACTIVE, CREATED.ends_at)
    assert read.wanted == SubscriptionRequest(
        *(getattr(WANTED, name) if name != "headers" else () for name in SubscriptionRequest.__slots__)
    )


def test_bare_subscription_has_no_empty_extensions() -> None:
    bare = SubscriptionRequest("https://ehr.example/in", Content.EMPTY, reason="why")
    resource = subscription_resource("s1", Subscription(CREATED), bare, URLS)
    assert "_criteria" not in resource
    assert "extension" not in resource["channel"]
    assert "error" not in resource


def test_why_it_is_in_error_is_said_to_who_asks_for_its_status_alone() -> None:
    known = Subscription(CREATED, Status.ERROR, "the answer was 503")
    assert subscription_resource("s1", known, WANTED, URLS)["error"] == "the answer was 503"
    asked = status_parameters("s1", known, NotificationType.QUERY_STATUS, URLS)
    told = status_parameters("s1", known, NotificationType.HEARTBEAT, URLS)
    assert ["error" in {one["name"] for one in said["parameter"]} for said in (asked, told)] == [True, False]
