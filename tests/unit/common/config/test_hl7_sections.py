"""Settings of HL7."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gantry.common.config.hl7_sections import Hl7ProfileSettings, Hl7Settings


def test_the_port_is_off_and_only_this_machine_is_admitted_until_somebody_says_otherwise() -> None:
    settings = Hl7Settings()
    assert settings.port is None
    assert [str(network) for network in settings.admitted] == ["127.0.0.0/8", "::1/128"]
    assert settings.profiles == ()
    named = Hl7Settings.model_validate({"admit": ["192.0.2.0/24"]})
    assert [str(network) for network in named.admitted] == ["192.0.2.0/24"]


@pytest.mark.parametrize(
    "profile",
    [
        {"sender": "A^B^C"},
        {"sender": ""},
        {"sender": "A", "accession": ["OBR"]},
        {"sender": "A", "accession": ["OBR-18.1.1.1"]},
        {"sender": "A", "authorities": ["A=B=C"]},
        {"sender": "A", "processing": ["X"]},
        {"sender": "A", "stations": {"CT": "A\\B"}},
        {"sender": "A", "unknown": 1},
    ],
)
def test_a_profile_that_cannot_be_meant_is_refused(profile: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Hl7ProfileSettings.model_validate(profile)


def test_answers_are_not_remembered_longer_than_the_log_has_them() -> None:
    with pytest.raises(ValidationError, match="30 days"):
        Hl7Settings(remembered=31 * 24 * 3600.0)
