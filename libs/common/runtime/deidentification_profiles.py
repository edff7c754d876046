"""The profiles of the settings, and the destinations that get objects by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gantry.common.config.deidentification_sections import DeidentificationProfileSettings
from gantry.common.deidentify.objects import Deidentifier
from gantry.common.deidentify.options import profile_of
from gantry.common.deidentify.patients import pseudonyms_in
from gantry.common.deidentify.pseudonyms import Pseudonyms
from gantry.common.errors import ConfigError, DependencyUnavailable, NotDeidentified

_WHERE = "deidentification.profiles"


@dataclass(frozen=True, slots=True)
class Profiles:
    """`by_destination` are names of profiles by AE title, from the current rules."""

    known: Mapping[str, Deidentifier] = field(default_factory=dict)
    by_destination: Mapping[str, str] = field(default_factory=dict)

    def of(self, destination: str, recorded: str = "") -> tuple[str, Deidentifier] | None:
        """The profile by which a destination gets objects: by the current rules, else the `recorded` one of a route
        requested under earlier rules; None if they are sent as they are. Raises `DependencyUnavailable` if that profile
        is no longer in the settings: a missing profile never lets identified objects pass."""
        name = self.by_destination.get(destination, recorded)
        if not name:
            return None
        if name not in self.known:
            raise DependencyUnavailable("de-identification", f"there is no profile {name} in {_WHERE} any more")
        return name, self.known[name]


def read_profiles(settings: Sequence[DeidentificationProfileSettings], by_destination: Mapping[str, str]) -> Profiles:
    """The profiles with their keys. Raises `ConfigError`, which never contains a key."""
    return Profiles({profile.name: _deidentifier(profile) for profile in settings}, by_destination)


def _deidentifier(settings: DeidentificationProfileSettings) -> Deidentifier:
    key = _content(settings.key_file).strip()
    try:
        profile = profile_of((*settings.retain, *settings.clean), pixels_checked=settings.pixels_checked)
        patients = None if settings.patients is None else pseudonyms_in(_content(settings.patients).decode("utf-8-sig"))
        return Deidentifier(profile, Pseudonyms(key, patients))
    except (NotDeidentified, UnicodeDecodeError) as error:
        raise ConfigError(_WHERE, None, f"profile {settings.name}: {error}") from None


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(_WHERE, None, f"{file} cannot be read: {error.strerror}") from error
