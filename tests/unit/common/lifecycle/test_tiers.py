"""Which object store a study belongs in: the farthest whose time has come, by the longest rule of each."""

from __future__ import annotations

from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.lifecycle import HOT, Since, Tier, TierRule, tier_of
from tests.unit.common.lifecycle.test_retention import rule, study

STORES = ("cold", "deep")
TODAY = date(2026, 11, 27)


def to(store: str, name: str, years: int | None, *where: str, **fields: Any) -> TierRule:
    return TierRule(rule(name, years, *where, **fields), store)


def tier(*rules: TierRule, today: date = TODAY, **fields: Any) -> Tier | None:
    return tier_of(study(**fields), rules, STORES, today)


def test_a_study_moves_on_the_day_its_time_is_over_and_not_before() -> None:
    tier_rule = to("cold", "old", 2)
    assert tier(tier_rule, today=date(2022, 3, 1)) == Tier("cold", "old")
    assert tier(tier_rule, today=date(2022, 2, 28)) == Tier(HOT, "old")


def test_the_farthest_store_whose_time_has_come_has_it() -> None:
    rules = to("cold", "c", 2), to("deep", "d", 5)
    assert tier(*rules) == Tier("deep", "d")
    assert tier(*rules, today=date(2023, 1, 1)) == Tier("cold", "c")
    assert tier(*rules, today=date(2021, 1, 1)) == Tier(HOT, "c")
    assert tier(*reversed(rules)) == Tier("deep", "d")


def test_an_exception_is_a_longer_rule_to_the_same_store() -> None:
    every, mammography = to("cold", "all", 1), to("cold", "ct", None, "ModalitiesInStudy=CT")
    assert tier(every, mammography) == Tier(HOT, "ct")
    assert tier(every, mammography, attributes={0x00080061: ["MR"]}) == Tier("cold", "all")
    # It keeps nothing from another store.
    assert tier(every, mammography, to("deep", "d", 3)) == Tier("deep", "d")


def test_what_no_rule_matches_stays_where_it_is() -> None:
    assert tier() is None
    assert tier(to("cold", "mr", 1, "ModalitiesInStudy=MR")) is None
    assert tier(to("cold", "s", 1, sources=frozenset(["CT9"])), senders=frozenset(["CT1"])) is None


def test_an_access_keeps_a_study_near_and_brings_it_back() -> None:
    tier_rule = to("cold", "unread", 1, since=Since.ACCESS)
    assert tier(tier_rule) == Tier("cold", "unread")
    assert tier(tier_rule, accessed=date(2026, 5, 1)) == Tier(HOT, "unread")


@given(st.lists(st.tuples(st.sampled_from(STORES), st.one_of(st.none(), st.integers(1, 9))), max_size=6), st.data())
def test_the_order_of_rules_does_not_matter(periods: list[tuple[str, int | None]], data: st.DataObject) -> None:
    rules = [to(store, f"{store}{years}", years) for store, years in periods]
    decided = tier(*rules)
    other = tier(*data.draw(st.permutations(rules)))
    assert (decided and decided.store) == (other and other.store)
    assert (decided is None) == (not rules)
