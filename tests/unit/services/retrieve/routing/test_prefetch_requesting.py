"""Which archives are asked for the priors of an order."""

from __future__ import annotations

from dataclasses import replace

from gantry.common.config.routing_sections import PrefetchRuleSettings
from gantry.common.lifecycle import Period
from gantry.common.lifecycle.routes import PREFETCH
from gantry.common.orders import Order
from gantry.services.retrieve.routing.prefetch_requesting import is_stale, prefetch_requests, prior_rules
from gantry.services.retrieve.routing.priors import PriorRule
from tests.unit.services.retrieve.routing.test_priors import STUDY, WANTED

ORDER = Order("default", "A1", {STUDY: ["1.9"]})
NOW = 1_700_000_000_000_000
"""14 November 2023."""


def test_rules_are_those_of_the_settings() -> None:
    settings = PrefetchRuleSettings(
        name="chest", modalities=("CT",), codes=("C1",), ask=("OLD",), prior_modalities=("CR",), within="6m", most=2
    )
    (rule,) = prior_rules([settings, settings][:1])
    sets = frozenset(["CT"]), frozenset(["C1"]), frozenset(["CR"])
    assert rule == PriorRule("chest", ("OLD",), *sets, Period(months=6), 2, False)
    (rule,) = prior_rules([PrefetchRuleSettings(name="x", ask=("OLD",), by="get", body_parts=("chest", "from order"))])
    assert (rule.by, rule.body_parts) == ("get", {"CHEST", "from order"})


def test_each_archive_is_asked_once_by_the_first_rule_that_fits() -> None:
    rules = [
        PriorRule("of MR", ("OLD",), frozenset(["MR"])),
        PriorRule("one", ("OLD", "PACS2")),
        PriorRule("two", ("PACS2", "PACS3")),
    ]
    routes = prefetch_requests(ORDER, WANTED, "t", rules, 7)
    assert [(route.destination, route.rule, route.kind) for route in routes] == [
        ("OLD", "one", PREFETCH),
        ("PACS2", "one", PREFETCH),
        ("PACS3", "two", PREFETCH),
    ]
    assert {
        (route.requestor, route.study_instance_uid, route.first_receipt, route.last_receipt) for route in routes
    } == {("A1", "1.9", "", "")}


def test_an_order_that_comes_again_asks_for_the_same_and_one_of_another_patient_for_something_else() -> None:
    rules = [PriorRule("one", ("OLD",))]
    (first,), (again,) = (prefetch_requests(ORDER, WANTED, "t", rules, at) for at in (7, 9))
    (other,) = prefetch_requests(ORDER, replace(WANTED, patient_id="P2"), "t", rules, 7)
    assert first.route == again.route != other.route
    assert "P1" not in repr(first)


def test_an_order_whose_steps_were_to_begin_long_ago_is_not_waited_for() -> None:
    assert is_stale(replace(WANTED, begins="20231106"), NOW)
    assert not is_stale(replace(WANTED, begins="20231107"), NOW)
    assert not is_stale(replace(WANTED, begins=""), NOW)
