"""The profiles that the settings name (pure)."""

from __future__ import annotations

from gantry.common.config.hl7_sections import Hl7Settings
from gantry.common.errors import ConfigError, NotUnderstood
from gantry.common.hl7.profiles import SenderProfile, profile_of


def profiles_in(settings: Hl7Settings) -> list[SenderProfile]:
    """The profiles that are configured. Raises `ConfigError`."""
    try:
        return [profile_of(profile) for profile in settings.profiles]
    except NotUnderstood as error:
        raise ConfigError("hl7.profiles", None, str(error)) from error
