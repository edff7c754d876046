"""Settings of what becomes of a study."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gantry.common.config.lifecycle_sections import TiersSettings

COLD = {"name": "cold", "url": "file:///cold"}
RULE = {"name": "old", "to": "cold", "after": "2y"}


@pytest.mark.parametrize(
    ("stores", "rules", "reason"),
    [
        ([COLD, COLD], [], "two stores have the same name"),
        ([{**COLD, "name": "hot"}], [], "`hot` is the name of"),
        ([COLD], [RULE, RULE], "two rules have the same name"),
        ([COLD], [{**RULE, "to": "tape"}], "no store is called 'tape'"),
    ],
)
def test_stores_and_rules_that_do_not_fit_together_are_refused(stores: Any, rules: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TiersSettings(stores=stores, rules=rules)


def test_a_rule_names_a_store_that_is_there() -> None:
    tiers = TiersSettings(stores=(COLD,), rules=(RULE,))  # type: ignore[arg-type]
    assert [rule.to for rule in tiers.rules] == ["cold"]
