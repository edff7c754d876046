"""Measures how the work of a function grows with its input, without an absolute time limit."""

from __future__ import annotations

import time
from collections.abc import Callable

LINEAR = 40
"""The limit for eight times the input: linear work grows by 8, quadratic work by 64. On a busy machine linear work has
grown by 37, when the longer input had to share the cache."""

_LEAST = 0.0005
"""In seconds. A shorter measurement says nothing about growth."""


def growth(work: Callable[[int], Callable[[], object]], n: int, times: int = 8) -> float:
    """The factor by which the processor time of `of(n)()` grows when `n` is multiplied by `times`: about `times` for
    linear work, its square for quadratic work. The best of five runs each, for this thread only."""
    small, large = work(n), work(n * times)
    return _best(large) / max(_best(small), _LEAST)


def _best(run: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(5):
        begun = time.thread_time()
        run()
        best = min(best, time.thread_time() - begun)
    return best
