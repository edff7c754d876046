"""Rules of object stores as the settings write them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gantry.common.config.lifecycle_sections import TierRuleSettings, TiersSettings
from gantry.common.dicom.query.attributes import STANDARD
from gantry.common.errors import ConfigError
from gantry.common.lifecycle import Period, Since, tier_rules

COLD = {"name": "cold", "url": "file:///cold"}


def test_a_rule_is_what_the_settings_say() -> None:
    (rule, never) = tier_rules(
        [
            TierRuleSettings(name="a", sources=("CT1",), after="6m", since="access", to="cold"),
            TierRuleSettings(name="b", where=("InstitutionName=North*",), after="never", to="cold"),
        ],
        STANDARD,
    )
    assert (rule.to, rule.rule.name, rule.rule.period, rule.rule.since) == ("cold", "a", Period(months=6), Since.ACCESS)
    assert (rule.rule.sources, rule.rule.deletes) == (frozenset(["CT1"]), False)
    assert (never.rule.period, bool(never.rule.studies.conditions)) == (None, True)


def test_a_condition_that_cannot_be_searched_for_is_refused_with_its_rule() -> None:
    with pytest.raises(ConfigError, match="rule a: Modality"):
        tier_rules([TierRuleSettings(name="a", where=("Modality=CT",), after="1y", to="cold")], STANDARD)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"stores": [COLD, COLD]}, "two stores have the same name"),
        ({"stores": [{**COLD, "name": "hot"}]}, "`hot` is the name of"),
        ({"stores": [COLD], "rules": [{"name": "a", "after": "1y", "to": "warm"}]}, "no store is called 'warm'"),
        ({"stores": [COLD], "rules": [{"name": "a", "after": "1y", "to": "cold"}] * 2}, "two rules have the same name"),
        ({"stores": [{**COLD, "availability": "soon"}]}, "availability"),
        ({"stores": [COLD], "rules": [{"name": "a", "after": "forever", "to": "cold"}]}, "after"),
    ],
)
def test_what_cannot_be_is_refused_in_words(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TiersSettings.model_validate(wrong)
