"""Runs of C-MOVE on one simulated machine: objects are read ahead, staged and sent, several under way at a time."""

from __future__ import annotations

from dataclasses import dataclass

import simpy

from tests.scale.costs import CT, FITTED, MoveCosts
from tests.scale.machine import Machine, Steps
from tests.scale.storing import SEED

_MB = 1e6


@dataclass(frozen=True, slots=True)
class Move:
    """`retrieving` is the role's processor time for an object, `server` that of whatever it is read from, `later` a
    latency before each read; `ahead` is how many objects are read or sent at a time."""

    retrieving: float
    server: float = 0.0
    later: float = 0.0
    ahead: int = 16
    objects: int = 400


def move(run: Move, seed: int = SEED) -> float:
    """Objects per second."""
    machine, costs = Machine(seed), MoveCosts()
    loop, ahead = simpy.Resource(machine.env, 1), simpy.Resource(machine.env, run.ahead)

    def send() -> Steps:
        with ahead.request() as turn:
            yield turn
            yield machine.env.timeout(run.later)
            yield machine.env.process(machine.work(run.server))
            yield machine.env.process(machine.alone(loop, run.retrieving, working=True))
            yield machine.env.process(machine.work(costs.receiver))

    sent = [machine.env.process(send()) for _ in range(run.objects)]
    machine.env.run(until=machine.env.all_of(sent))
    return run.objects / machine.env.now


def megabytes(run: Move, seed: int = SEED) -> float:
    """MB of CT per second."""
    return move(run, seed) * CT / _MB


def from_s3(*, proxy: bool = False, later: bool = False, ahead: int = 16) -> Move:
    """A run against an S3 server on the same cores."""
    costs = MoveCosts()
    server = FITTED.s3_get + (FITTED.proxy if proxy else 0.0)
    return Move(costs.s3, server, costs.later if later else 0.0, ahead)
