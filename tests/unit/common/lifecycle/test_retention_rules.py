"""Retention rules as the settings write them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gantry.common.config.lifecycle_sections import RetentionSettings
from gantry.common.dicom.query.attributes import STANDARD
from gantry.common.errors import ConfigError
from gantry.common.lifecycle import Period, Since, retention_rules
from gantry.common.lifecycle.retention_rules import period_of


def test_a_rule_is_what_the_settings_say() -> None:
    (rule,) = retention_rules(
        [RetentionSettings(name="a", sources=("CT1",), keep="6m", since="access", younger_than=18, then="delete")],
        STANDARD,
    )
    assert (rule.name, rule.period, rule.since, rule.sources) == (
        "a",
        Period(months=6),
        Since.ACCESS,
        frozenset(["CT1"]),
    )
    assert (rule.younger_than, rule.deletes) == (18, True)


def test_periods_are_years_months_days_or_for_ever() -> None:
    assert [period_of(text) for text in ("10y", "6m", "30d", "forever")] == [
        Period(years=10),
        Period(months=6),
        Period(days=30),
        None,
    ]


@pytest.mark.parametrize("keep", ["", "0y", "10", "y", "10w", "-1d", "10y6m", "99999y"])
def test_other_periods_are_refused(keep: str) -> None:
    with pytest.raises(ValidationError):
        RetentionSettings(name="a", keep=keep)


def test_names_are_there_once_and_conditions_can_be_asked() -> None:
    settings = RetentionSettings(name="a", keep="1y")
    with pytest.raises(ConfigError, match="two rules are called a"):
        retention_rules([settings, settings], STANDARD)
    with pytest.raises(ConfigError, match="rule b: Modality"):
        retention_rules([RetentionSettings(name="b", keep="1y", where=("Modality=CT",))], STANDARD)
