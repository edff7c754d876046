"""Profiles of the settings."""

from __future__ import annotations

import pytest

from gantry.common.config.hl7_sections import Hl7Settings
from gantry.common.errors import ConfigError
from gantry.services.orders.hl7.profiles import profiles_in


def test_profiles_are_those_of_the_settings_in_their_order() -> None:
    settings = Hl7Settings.model_validate({"profiles": [{"sender": "A"}, {"sender": "B", "charset": "8859/1"}]})
    assert [(profile.sender, profile.charset) for profile in profiles_in(settings)] == [
        ("A", "UNICODE UTF-8"),
        ("B", "8859/1"),
    ]


def test_a_character_set_that_is_not_supported_is_a_mistake_of_the_settings() -> None:
    settings = Hl7Settings.model_validate({"profiles": [{"sender": "A", "charset": "KLINGON"}]})
    with pytest.raises(ConfigError, match=r"hl7\.profiles: profile A"):
        profiles_in(settings)
