"""`gantry.services.frontdoor.backends`: which backend is tried first."""

from __future__ import annotations

from gantry.services.frontdoor.backends import Backends
from gantry.services.frontdoor.routing import Pool

A, B, C = ("10.0.0.1", 1), ("10.0.0.2", 1), ("10.0.0.3", 1)


def order(backends: Backends, now: float = 100.0, *pools: Pool) -> list[tuple[str, int]]:
    return [backend.address for backend in backends.candidates(pools or [Pool.INGEST], now)]


def three() -> Backends:
    backends = Backends(leave_alone=5.0)
    backends.update(Pool.INGEST, [A, B, C])
    return backends


def test_the_least_busy_is_tried_first_and_among_equals_the_one_that_waited_longest() -> None:
    backends = three()
    a, b, c = backends.of(Pool.INGEST)
    a.open, b.open, c.open = 2, 1, 1
    b.last_chosen, c.last_chosen = 20.0, 10.0
    assert order(backends) == [C, B, A]


def test_one_that_failed_is_left_alone_for_a_while_and_is_the_last_resort_meanwhile() -> None:
    backends = three()
    a = backends.of(Pool.INGEST)[0]
    backends.failed(a, 100.0)
    assert order(backends, 104.9) == [B, C, A]
    assert order(backends, 105.1)[0] == A
    backends.failed(a, 106.0)
    backends.connected(a)
    assert order(backends, 107.0)[0] == A


def test_addresses_come_and_go_and_counts_stay() -> None:
    backends = three()
    backends.of(Pool.INGEST)[1].open = 7
    backends.update(Pool.INGEST, [B, ("10.0.0.4", 1)])
    assert order(backends) == [("10.0.0.4", 1), B]
    assert [backend.open for backend in backends.of(Pool.INGEST)] == [7, 0]


def test_several_pools_are_one_choice() -> None:
    backends = three()
    backends.update(Pool.QUERY, [("10.0.1.1", 1)])
    for backend in backends.of(Pool.INGEST):
        backend.open = 1
    assert order(backends, 100.0, Pool.INGEST, Pool.QUERY)[0] == ("10.0.1.1", 1)
    assert order(backends, 100.0, Pool.MIXED) == []


def test_addresses_are_written_as_people_write_them() -> None:
    backends = Backends(1.0)
    backends.update(Pool.MIXED, [("10.0.0.1", 104), ("fd00::1", 104)])
    assert [backend.name for backend in backends.all()] == ["10.0.0.1:104", "[fd00::1]:104"]
