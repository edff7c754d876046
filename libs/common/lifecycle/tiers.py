"""Which object store a study belongs in (pure): computed from rules and dates each time, never stored, as retention is.

For each store the longest of the rules that match decides, so an exception that keeps something near is a rule with a
longer time. A study belongs in the farthest store whose time has come, and in the first one until then. One that no
rule matches stays where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from gantry.common.lifecycle.places import HOT
from gantry.common.lifecycle.retention import RetentionRule, StudyFacts, retention_of


@dataclass(frozen=True, slots=True)
class TierRule:
    """Studies that `rule` is about belong in the store `to` when its time is over; `rule` keeps them nearer until
    then."""

    rule: RetentionRule
    to: str


@dataclass(frozen=True, slots=True)
class Tier:
    """The store that a study belongs in, and the name of the rule that says so."""

    store: str
    rule: str


def tier_of(study: StudyFacts, rules: Iterable[TierRule], stores: Sequence[str], today: date) -> Tier | None:
    """Where a study belongs today. `stores` are the names of those beside the first one, from the nearest to the
    farthest. None where no rule matches."""
    by_store: dict[str, list[RetentionRule]] = {store: [] for store in stores}
    for tier_rule in rules:
        by_store[tier_rule.to].append(tier_rule.rule)
    tier: Tier | None = None
    for store in reversed(stores):
        decides = retention_of(study, by_store[store])
        if decides is None:
            continue
        if decides.is_over(today):
            return Tier(store, decides.rule)
        tier = Tier(HOT, decides.rule)
    return tier
