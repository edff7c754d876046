"""Two cores that everybody shares, and what groups its waits: the resources of a simulated machine."""

from __future__ import annotations

from collections.abc import Generator
from random import Random
from typing import Any

import simpy

Steps = Generator[simpy.Event, Any, None]

_SLICE = 1e-3
"""Seconds after which a core goes to the next one who waits for it."""


class Machine:
    """Cores, on a simulated clock. Durations vary about their means; the same seed gives the same ones."""

    def __init__(self, seed: int, cores: int = 2) -> None:
        self.env = simpy.Environment()
        self._cores = simpy.Resource(self.env, cores)
        self._random = Random(seed)

    def varied(self, mean: float) -> float:
        """A duration of this mean, in seconds, exponentially distributed: machines that others share vary as much."""
        return self._random.expovariate(1 / mean) if mean > 0 else 0.0

    def work(self, mean: float) -> Steps:
        """Processor time: in slices, each after those who wait already."""
        left = self.varied(mean)
        while left > 0:
            with self._cores.request() as core:
                yield core
                yield self.env.timeout(min(left, _SLICE))
            left -= _SLICE

    def wait(self, mean: float) -> simpy.Event:
        """Time that costs no processor."""
        return self.env.timeout(self.varied(mean))

    def alone(self, resource: simpy.Resource, mean: float, *, working: bool) -> Steps:
        """Work, or a wait, of what only one can do at a time."""
        with resource.request() as turn:
            yield turn
            if working:
                yield self.env.process(self.work(mean))
            else:
                yield self.wait(mean)


class GroupCommit:
    """Whoever comes during a flush shares the next one, as in `adapters/files/group_commit`. An object takes
    `processor` seconds, a flush waits for `wait`, and for `further` with each object after its first."""

    def __init__(self, machine: Machine, processor: float, wait: float, further: float = 0.0) -> None:
        self._machine = machine
        self._processor = processor
        self._wait = wait
        self._further = further
        self._waiting: list[simpy.Event] = []
        self._flushing = False

    def commit(self) -> simpy.Event:
        """What succeeds when a flush that began later than now has ended."""
        done = self._machine.env.event()
        self._waiting.append(done)
        if not self._flushing:
            self._flushing = True
            self._machine.env.process(self._flush())
        return done

    def _flush(self) -> Steps:
        while self._waiting:
            group, self._waiting = self._waiting, []
            yield self._machine.env.process(self._machine.work(self._processor * len(group)))
            yield self._machine.wait(self._wait + self._further * (len(group) - 1))
            for done in group:
                done.succeed()
        self._flushing = False
