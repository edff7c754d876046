"""Settings of de-identification: the profiles that rules of routing name (docs/deidentification.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from gantry.common.config.values import Section, setting

Retained = Literal[
    "uids", "device", "institution", "patient-characteristics", "full-dates", "modified-dates", "safe-private"
]
Cleaned = Literal["descriptors", "structured-content", "graphics"]


class DeidentificationProfileSettings(Section):
    """One way to de-identify: the basic profile of PS3.15 Annex E with options"""

    name: str = Field(description="Its name in rules, lists and records", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    key_file: Path = Field(
        description="File with the key that pseudonyms are made with, 16 bytes or more; the same for all processes"
    )
    retain: tuple[Retained, ...] = Field(default=(), description="Options that retain something, as in `gantry export`")
    clean: tuple[Cleaned, ...] = Field(default=(), description="Options that retain something cleaned, as there")
    pixels_checked: bool = Field(
        default=False, description="Somebody vouches for the burned-in text of all images that such a rule sends"
    )
    patients: Path | None = Field(
        default=None, description="A CSV file of Patient ID and pseudonym; patients that are not in it are not sent"
    )

    @model_validator(mode="after")
    def _dates_go_one_way(self) -> Self:
        if "full-dates" in self.retain and "modified-dates" in self.retain:
            raise ValueError("dates cannot be retained and modified: choose full-dates or modified-dates")
        return self


class DeidentificationSettings(Section):
    """De-identification of what is sent on ([de-identification](deidentification.md))"""

    profiles: tuple[DeidentificationProfileSettings, ...] = setting(
        (),
        "list",
        "Profiles for `deidentify` of a routing rule: "
        "`{name: trial, key_file: /run/secrets/trial, retain: [modified-dates], clean: [descriptors]}`",
    )

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [profile.name for profile in self.profiles]
        if len(set(names)) < len(names):
            raise ValueError("two profiles have the same name")
        return self
