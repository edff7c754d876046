"""Two simulated cores: what works at once, what waits, and what a flush is shared by."""

from __future__ import annotations

import pytest

from tests.scale.machine import GroupCommit, Machine


def _together(machine: Machine, *works: float) -> float:
    at_work = [machine.env.process(machine.work(mean)) for mean in works]
    machine.env.run(until=machine.env.all_of(at_work))
    return machine.env.now


def test_a_core_more_shortens_what_many_do() -> None:
    single_core, two_cores = (_together(Machine(1, cores), *[0.01] * 200) for cores in (1, 2))
    assert single_core == pytest.approx(2.0, rel=0.2)
    assert two_cores == pytest.approx(single_core / 2, rel=0.05)


def test_the_same_seed_gives_the_same_time_and_another_one_another() -> None:
    first, again, other = (_together(Machine(seed), *[0.01] * 20) for seed in (1, 1, 2))
    assert first == again != other


def test_who_comes_during_a_flush_shares_the_next_one() -> None:
    machine = Machine(1)
    machine.varied = lambda mean: mean  # type: ignore[method-assign]
    group = GroupCommit(machine, 0.0, 1.0)
    first = group.commit()
    machine.env.run(until=0.5)
    later = [group.commit() for _ in range(10)]
    machine.env.run(until=first)
    assert machine.env.now == 1.0
    machine.env.run(until=machine.env.all_of(later))
    assert machine.env.now == 2.0
