"""By which profile a destination gets objects, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.common.config.deidentification_sections import DeidentificationProfileSettings
from gantry.common.deidentify.options import Option
from gantry.common.errors import ConfigError, DependencyUnavailable
from gantry.common.runtime.deidentification_profiles import read_profiles

KEY = b"a key of the tests, long enough"


def profile(folder: Path, key: bytes = KEY, patients: str | None = None) -> DeidentificationProfileSettings:
    (folder / "key").write_bytes(key + b"\n")
    file = None
    if patients is not None:
        (file := folder / "patients.csv").write_text(patients)
    return DeidentificationProfileSettings(
        name="trial", key_file=folder / "key", retain=("modified-dates",), clean=("descriptors",), patients=file
    )


def test_a_profile_has_its_key_options_and_patients(tmp_path: Path) -> None:
    profiles = read_profiles([profile(tmp_path, patients="4711,S-1\n")], {"TRIAL": "trial"})
    deidentification_profile = profiles.of("TRIAL")
    assert deidentification_profile is not None
    name, deidentifier = deidentification_profile
    assert (name, deidentifier.pseudonyms.key, deidentifier.pseudonyms.patients) == ("trial", KEY, {"4711": "S-1"})
    assert deidentifier.profile.options == {Option.MODIFIED_DATES, Option.DESCRIPTORS}


def test_nothing_goes_as_it_is_that_was_requested_de_identified_whatever_the_rules_say_now(tmp_path: Path) -> None:
    profiles = read_profiles([profile(tmp_path)], {"TRIAL": "trial"})
    assert profiles.of("READING") is None
    assert profiles.of("READING", "trial") is not None
    assert profiles.of("TRIAL", "of earlier") is not None
    with pytest.raises(DependencyUnavailable, match="no profile of-earlier"):
        profiles.of("READING", "of-earlier")


@pytest.mark.parametrize(
    ("key", "patients", "words"),
    [
        pytest.param(b"tiny", None, "the key is too short: 4 bytes", id="a short key"),
        pytest.param(KEY, "4711\n", "line 1 is not one Patient ID", id="patients"),
    ],
)
def test_what_is_wrong_with_a_profile_is_said_without_its_key(
    tmp_path: Path, key: bytes, patients: str | None, words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        read_profiles([profile(tmp_path, key, patients)], {})
    assert key.decode() not in str(refused.value)


def test_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = profile(tmp_path)
    (tmp_path / "key").unlink()
    with pytest.raises(ConfigError, match="key cannot be read: No such file"):
        read_profiles([settings], {})
