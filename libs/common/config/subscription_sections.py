"""Settings of subscriptions over FHIR (docs/fhir.md#subscriptions)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from gantry.common.config.access_sections import is_safe_url
from gantry.common.config.values import Count, Seconds, Section, setting


def _endpoint(value: str) -> str:
    url = urlsplit(value)
    if not is_safe_url(value) or url.username is not None or url.query or url.fragment or not value.isascii():
        raise ValueError(
            f"{value!r} is not the beginning of an https URL (on this machine: http) without user, query and fragment"
        )
    return value


class SubscriptionSettings(Section):
    """Subscriptions over FHIR ([subscriptions](fhir.md#subscriptions)); they need `http.url` and `completion.quiet`"""

    endpoints: tuple[Annotated[str, AfterValidator(_endpoint)], ...] = setting(
        (),
        "list",
        "Prefixes of the URLs that may be notified, as `https://ehr.example/fhir/`: https, or this machine; "
        "without any there are no subscriptions",
    )
    key_file: Path | None = setting(
        None,
        "file",
        "Secrets of 32 characters or more, one a line, the same for all processes: the first seals the content of a "
        "subscription (endpoint, headers, filters), each opens it",
    )
    most: Annotated[int, Field(ge=1, le=1000)] = setting(100, "", "Subscriptions at most, all together")
    most_per_caller: Count = setting(10, "", "Of one caller")
    longest_days: Annotated[float, Field(gt=0, le=3660)] = setting(
        366.0, "days", "A subscription ends after so long at the latest"
    )
    timeout: Annotated[float, Field(gt=0, le=60)] = setting(
        10.0, "s", "For an answer, unless the subscription says less"
    )
    retry_first: Seconds = setting(1.0, "s", "Before the first retry; doubles")
    retry_longest: Seconds = setting(300.0, "s", "Longest between retries")
    error_after: Seconds = setting(60.0, "s", "When tries have failed for so long, a subscription is in `error`")
    give_up: Annotated[float, Field(gt=0, le=30)] = setting(5.0, "days", "After so long in `error` it is `off`")

    @property
    def is_on(self) -> bool:
        """Whether subscriptions are possible."""
        return bool(self.endpoints)
