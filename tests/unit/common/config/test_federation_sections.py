"""Settings of queries that span other archives."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gantry.common.config.federation_sections import FederationSettings


def test_no_archive_is_asked_unless_the_settings_name_one() -> None:
    assert FederationSettings().archives == ()


def test_an_archive_has_a_deadline_without_being_given_one() -> None:
    (archive,) = FederationSettings.model_validate({"archives": [{"ae_title": "OLD"}]}).archives
    assert (archive.ae_title, archive.deadline) == ("OLD", 5.0)


@pytest.mark.parametrize(
    "archives",
    [
        [{"ae_title": "OLD"}, {"ae_title": "OLD", "deadline": 1}],
        [{"ae_title": "OLD", "deadline": 0}],
        [{"ae_title": "OLD", "deadline": 61}],
        [{"ae_title": "OLD", "dead_line": 6}],
        [{"ae_title": f"A{n}"} for n in range(17)],
    ],
    ids=["twice", "no time", "too long", "unknown key", "too many"],
)
def test_what_makes_no_sense_is_refused(archives: list[dict[str, object]]) -> None:
    with pytest.raises(ValidationError):
        FederationSettings.model_validate({"archives": archives})
