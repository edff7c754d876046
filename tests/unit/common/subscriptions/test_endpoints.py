"""Where a subscription may lead to."""

import pytest

from gantry.common.errors import NotUnderstood
from gantry.common.subscriptions.endpoints import LONGEST, allowed_endpoint

ALLOWED = ("https://ehr.example/fhir/", "https://ris.example:8443", "http://127.0.0.1:8099/told")


@pytest.mark.parametrize(
    "url",
    [
        "https://ehr.example/fhir/",
        "https://ehr.example/fhir/in?site=north&x=1",
        "https://EHR.example:443/fhir/in",
        "https://ris.example:8443/anything",
        "http://127.0.0.1:8099/told",
        "http://127.0.0.1:8099/told/b",
    ],
)
def test_address_below_one_of_the_settings_is_taken(url: str) -> None:
    assert allowed_endpoint(url, ALLOWED) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://ehr.example/fhirx",
        "https://ehr.example/",
        "http://ehr.example/fhir/",
        "https://ehr.example:444/fhir/",
        "https://ehr.example.evil.example/fhir/",
        "https://evil.example/fhir/?https://ehr.example/fhir/",
        "https://ehr.example@evil.example/fhir/",
        "https://me:secret@ehr.example/fhir/",
        "https://ehr.example\\@evil.example/fhir/",
        "https://ehr.example/fhir/../admin",
        "https://ehr.example/fhir/%2e%2e/admin",
        "https://ehr.example/fhir/..;/admin",
        "https://ehr.example/fhir/..%3b/admin",
        "https://ehr.example/fhir/x/..;v=1/..;/admin",
        "https://ehr.example/fhir/..%2fadmin",
        "https://ehr.example/fhir/..%5cadmin",
        "https://ehr.example/fhir/#in",
        "https://ehr.example/fhir/\r\nX: y",
        "https://ehr.example/fhir/ x",
        "https://ehr.example/fhir/é",
        "https://ehr.example:99999/fhir/",
        "https://[ehr.example/fhir/",
        "http://127.0.0.1:8098/told",
        "http://127.0.0.1/told",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "https://ehr.example/fhir/" + "x" * LONGEST,
    ],
)
def test_every_other_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(NotUnderstood) as refused:
        allowed_endpoint(url, ALLOWED)
    assert "evil" not in str(refused.value)


def test_without_addresses_in_the_settings_there_is_none() -> None:
    with pytest.raises(NotUnderstood):
        allowed_endpoint("https://ehr.example/fhir/", ())
