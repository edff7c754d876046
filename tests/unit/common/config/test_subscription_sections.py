"""Settings of subscriptions over FHIR."""

from typing import Any

import pytest
from pydantic import ValidationError

from gantry.common.config.settings import Settings
from gantry.common.config.subscription_sections import SubscriptionSettings

ON: dict[str, Any] = {
    "subscriptions": {"endpoints": ["https://ehr.example/fhir/"], "key_file": "/k"},
    "http": {"url": "https://archive.example"},
}


def test_without_endpoints_there_are_none() -> None:
    assert not Settings().subscriptions.is_on
    assert Settings.model_validate(ON).subscriptions.is_on


@pytest.mark.parametrize(
    "change",
    [
        {"http": {}},
        {"subscriptions": {"endpoints": ["https://ehr.example/"]}},
        {"completion": {"quiet": 0}},
    ],
)
def test_what_they_need_is_said(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"needs http.url, subscriptions.key_file and completion.quiet"):
        Settings.model_validate({**ON, **change})


@pytest.mark.parametrize(
    "url", ["https://ehr.example", "http://127.0.0.1:8099/in", "http://localhost/", "https://[::1]/"]
)
def test_https_and_this_machine_may_be_told(url: str) -> None:
    assert SubscriptionSettings.model_validate({"endpoints": [url]}).endpoints == (url,)


@pytest.mark.parametrize(
    "url",
    [
        "http://ehr.example/",
        "ftp://ehr.example/",
        "https://me@ehr.example/",
        "https://ehr.example/?x=1",
        "https://ehr.example/#x",
        "https:///in",
        "https://ehr.exämple/",
        "*",
    ],
)
def test_what_is_no_beginning_of_such_a_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="not the beginning of an https URL"):
        SubscriptionSettings.model_validate({"endpoints": [url]})
