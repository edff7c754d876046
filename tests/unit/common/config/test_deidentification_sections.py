"""Profiles of de-identification, and who may be told what beside them."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from gantry.common.config.deidentification_sections import Cleaned, Retained
from gantry.common.config.settings import Settings
from gantry.common.deidentify.options import CLEANED, RETAINED

PROFILE = {"name": "trial", "key_file": "/run/secrets/trial"}
RULE = {"name": "to the trial", "to": ["TRIAL"], "deidentify": "trial"}


def settings(profile: dict[str, Any] | None = None, routing: dict[str, Any] | None = None, **more: Any) -> Settings:
    profiles = [PROFILE | (profile or {})]
    return Settings.model_validate(
        {"deidentification": {"profiles": profiles}, "routing": routing or {"rules": [RULE]}, **more}
    )


def test_a_profile_has_the_options_of_an_export() -> None:
    assert (get_args(Retained), get_args(Cleaned)) == (RETAINED, CLEANED)


def test_destinations_know_their_profiles() -> None:
    loaded = settings(routing={"rules": [RULE, {"name": "all", "to": ["READING"]}]})
    assert loaded.routing.deidentifies == {"TRIAL": "trial"}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        pytest.param(
            {"profile": {"retain": ["full-dates", "modified-dates"]}},
            "cannot be retained",
            id="dates",
        ),
        pytest.param({"profile": {"retain": ["names"]}}, "retain", id="no option"),
        pytest.param({"profile": {"name": "Trial 1"}}, "name", id="a name with a space"),
        pytest.param({"profile": {"name": "other"}}, "'trial' of `deidentify` is not in", id="no such profile"),
        pytest.param(
            {"routing": {"rules": [RULE | {"to": [], "notify": ["RIS"]}]}}, "names no destinations in `to`", id="no to"
        ),
        pytest.param(
            {"routing": {"rules": [RULE, {"name": "plain", "to": ["TRIAL"]}]}},
            "must all name the same",
            id="as it is",
        ),
        pytest.param(
            {"routing": {"rules": [RULE, {"name": "n", "notify": ["TRIAL"]}]}}, "is in `notify` of a rule", id="told"
        ),
        pytest.param(
            {"routing": {"rules": [RULE], "steps": [{"name": "s", "to": ["TRIAL"]}]}}, "rule of `steps`", id="steps"
        ),
        pytest.param(
            {"routing": {"rules": [RULE], "steps": [{"name": "s", "notify": ["TRIAL"]}]}}, "`steps`", id="step events"
        ),
        pytest.param(
            {"routing": {"rules": [RULE], "prefetch": [{"name": "p", "ask": ["TRIAL"]}]}}, "`prefetch`", id="asked"
        ),
        pytest.param({"routing": {"rules": [RULE], "finish_moves": ["TRIAL"]}}, "`finish_moves`", id="moves"),
        pytest.param(
            {"lifecycle": {"retention": [{"name": "deep", "keep": "1y", "then": "delete", "committed_by": ["TRIAL"]}]}},
            "do not replace the objects",
            id="a copy is no object",
        ),
    ],
)
def test_what_would_identify_somebody_is_refused_in_words(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings(**changed)


def test_two_profiles_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="two profiles have the same name"):
        Settings.model_validate({"deidentification": {"profiles": [PROFILE, PROFILE]}})
