"""Runs of C-STORE on one simulated machine: senders in a closed loop, one object at a time each, as `storescu` is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import simpy

from tests.scale.costs import FITTED, ClusterCosts, StoreCosts
from tests.scale.machine import GroupCommit, Machine, Steps

SEED = 1


class Stores(Protocol):
    """What takes one object after the other from each of its senders."""

    def store(self) -> Steps:
        """From the first byte to the response."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Senders against files and SQLite. `sending` is a sender's processor time for an object; `indexing`, whether the
    indexer works beside them; `device`, how long the disk has an object for itself."""

    senders: int
    sending: float
    each: int = 150
    indexing: bool = True
    device: float = FITTED.device


class EmbeddedStores:
    """Files, whose flushes are shared, and the log on SQLite, whose commits are."""

    def __init__(self, machine: Machine, costs: StoreCosts, run: Embedded) -> None:
        self._machine = machine
        self._costs = costs
        self._run = run
        self._loop = simpy.Resource(machine.env, 1)
        self._disk = simpy.Resource(machine.env, 1)
        self._durable = GroupCommit(machine, costs.durable, costs.flush - costs.durable, FITTED.further)
        self._log = GroupCommit(machine, costs.append, costs.commit - costs.append)
        self._indexer = simpy.Resource(machine.env, 1)

    def store(self) -> Steps:
        machine, costs = self._machine, self._costs
        # The object goes to the disk while it arrives; it is durable after both.
        written = machine.env.process(machine.alone(self._disk, self._run.device, working=False))
        yield machine.env.process(machine.work(self._run.sending))
        yield machine.env.process(machine.alone(self._loop, costs.receive, working=True))
        yield written
        yield self._durable.commit()
        yield self._log.commit()
        if self._run.indexing:
            machine.env.process(machine.alone(self._indexer, costs.index, working=True))


class ClusterStores:
    """The ingest role on S3 and Kafka, all of them and the senders on the same cores."""

    def __init__(self, machine: Machine, costs: ClusterCosts, senders: int) -> None:
        self._machine = machine
        self._costs = costs
        self._receive = costs.receive(senders)
        self._loop = simpy.Resource(machine.env, 1)

    def store(self) -> Steps:
        machine, costs = self._machine, self._costs
        yield machine.env.process(machine.work(StoreCosts().storescu))
        yield machine.env.process(machine.alone(self._loop, self._receive, working=True))
        yield machine.env.process(machine.work(costs.servers))
        yield machine.wait(max(0.0, costs.alone - costs.servers))


def embedded(run: Embedded, seed: int = SEED) -> float:
    """Objects per second on files and SQLite."""
    machine = Machine(seed)
    return run_senders(machine, EmbeddedStores(machine, StoreCosts(), run).store, run.senders, run.each)


def cluster(senders: int, each: int, seed: int = SEED) -> float:
    """Objects per second of the ingest role on S3 and Kafka."""
    machine = Machine(seed)
    return run_senders(machine, ClusterStores(machine, ClusterCosts(), senders).store, senders, each)


def run_senders(machine: Machine, store: Callable[[], Steps], senders: int, each: int) -> float:
    """Objects per second of all senders together, until the last one has ended."""

    def sender() -> Steps:
        for _ in range(each):
            yield machine.env.process(store())

    begun = machine.env.now
    at_work = [machine.env.process(sender()) for _ in range(senders)]
    machine.env.run(until=machine.env.all_of(at_work))
    return senders * each / (machine.env.now - begun)
