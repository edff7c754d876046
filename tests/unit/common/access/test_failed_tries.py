"""`gantry.common.access.failed_tries`: tries of an address are limited, and those that succeed do not count."""

from gantry.common.access.failed_tries import FailedTries


def test_an_address_has_so_many_tries_within_so_long() -> None:
    tries = FailedTries(3, 60.0)
    assert [tries.begin("a", now) for now in (0.0, 1.0, 2.0, 3.0)] == [True, True, True, False]
    assert tries.begin("b", 3.0)
    assert not tries.begin("a", 59.9)
    assert tries.begin("a", 60.0)
    assert not tries.begin("a", 60.5)


def test_what_succeeds_does_not_count() -> None:
    tries = FailedTries(2, 60.0)
    for now in range(20):
        assert tries.begin("a", float(now))
        tries.succeeded("a", float(now))
    tries.succeeded("nobody", 1.0)


def test_memory_is_bounded() -> None:
    tries = FailedTries(1, 60.0)
    for number in range(10_001):
        assert tries.begin(str(number), 0.0)
    assert tries.begin("0", 1.0)
    assert not tries.begin("10000", 1.0)
