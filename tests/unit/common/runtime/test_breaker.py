"""When an archive that failed is asked again."""

from __future__ import annotations

from gantry.common.runtime.breaker import FIRST_SECONDS, LONGEST_SECONDS, Breaker, Breakers


def test_an_archive_that_failed_is_left_alone_for_a_time_and_then_asked_by_one() -> None:
    breaker = Breaker()
    assert breaker.may_ask(100.0)
    breaker.failed(100.0)

    assert not breaker.may_ask(100.0 + FIRST_SECONDS - 0.1)
    assert breaker.may_ask(100.0 + FIRST_SECONDS)
    assert not breaker.may_ask(100.0 + FIRST_SECONDS)  # one tries, the others wait for what it learns


def test_the_time_doubles_with_each_try_that_failed_up_to_the_longest() -> None:
    breaker, now, waits = Breaker(), 0.0, list[float]()
    for _ in range(9):
        breaker.failed(now)
        begun = now
        while not breaker.may_ask(now):
            now += 1.0
        waits.append(now - begun)
    assert waits[:3] == [FIRST_SECONDS, 2 * FIRST_SECONDS, 4 * FIRST_SECONDS]
    assert waits[-1] == LONGEST_SECONDS


def test_queries_that_fail_at_the_same_time_count_once() -> None:
    breaker = Breaker()
    for _ in range(20):
        breaker.failed(5.0)
    assert breaker.may_ask(5.0 + FIRST_SECONDS)


def test_an_answer_makes_it_like_new() -> None:
    breaker = Breaker()
    breaker.failed(0.0)
    breaker.answered()
    assert breaker.may_ask(0.0)
    breaker.failed(50.0)
    assert breaker.may_ask(50.0 + FIRST_SECONDS)


def test_who_asks_for_the_breaker_of_an_archive_gets_the_same_one() -> None:
    breakers = Breakers()
    breakers.of("OLD").failed(0.0)
    assert not breakers.of("OLD").may_ask(1.0)
    assert breakers.of("NORTH").may_ask(1.0)
