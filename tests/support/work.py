"""How much work a function has with longer and longer input, without a stopwatch's say in what is too long."""

from __future__ import annotations

import time
from collections.abc import Callable

LINEAR = 40
"""Eight times the input: 8 where work is linear, 64 where it is quadratic. Between busy neighbours a linear one
has been seen to grow by 37, where the longer input no longer has the cache for itself."""

_LEAST = 0.0005
"""Seconds. Below it a measurement says nothing about growth."""


def growth(work: Callable[[int], Callable[[], object]], n: int, times: int = 8) -> float:
    """By what the processor time of `of(n)()` grows when `n` becomes `times` as much: about `times` where the work is
    linear, its square where it is quadratic. The best of five runs each, of this thread alone."""
    small, large = work(n), work(n * times)
    return _best(large) / max(_best(small), _LEAST)


def _best(run: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(5):
        begun = time.thread_time()
        run()
        best = min(best, time.thread_time() - begun)
    return best
