"""What archives need, what studies cost, and how far a second region is behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gantry.cli.day.plan import day
from gantry.common.events.topics import TOPICS
from tests.scale.prices import Prices, cost, cost_of_one_machine
from tests.scale.regions import Line, behind
from tests.scale.searchable import quantile
from tests.scale.sizes import ARCHIVES, Assumed, needs


def test_no_role_has_less_than_two_processes_and_load_adds_more() -> None:
    large = replace(ARCHIVES[-1], instances=1e11)
    assert all(needs(archive).ingest >= 2 for archive in ARCHIVES)
    assert needs(large).ingest > 10
    assert needs(large).indexers > 10


def test_a_shard_is_never_larger_than_assumed() -> None:
    assumed = Assumed()
    for archive in ARCHIVES:
        assert needs(archive).shard_bytes <= assumed.shard * assumed.index_bytes


def test_partitions_are_those_that_are_made() -> None:
    (instances,) = {topic for topic in TOPICS.values() if topic.name == "instances"}
    assert {needs(archive).partitions for archive in ARCHIVES} == {instances.partitions}


def test_a_dearer_bucket_costs_each_study_what_its_bytes_do() -> None:
    archive = ARCHIVES[2]
    need = needs(archive)
    cheap, dear = cost(archive, need, Prices(bucket=0.01)), cost(archive, need, Prices(bucket=0.02))
    assert dear.objects == pytest.approx(2 * cheap.objects)
    assert dear.whole - cheap.whole == pytest.approx(cheap.objects)


def test_one_machine_is_cheaper_for_a_million() -> None:
    need = needs(ARCHIVES[0])
    assert cost_of_one_machine(ARCHIVES[0], need).whole < cost(ARCHIVES[0], need).whole


def test_a_slow_line_is_further_behind_and_a_slower_one_more() -> None:
    studies = day(300, 1)
    fast, slow = behind(studies, Line(1e10)), behind(studies, Line(3e6))
    assert fast.most < 300
    assert slow.most > 10 * fast.most
    assert slow.images > fast.images


def test_a_quantile_lies_where_prometheus_draws_it() -> None:
    assert quantile([0.2] * 100, 0.5) == pytest.approx(0.175)
