"""From received to searchable: the indexer's batches beside four senders, all on one simulated machine."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tests.scale.costs import FITTED, ClusterCosts, IndexCosts, StoreCosts
from tests.scale.machine import Machine, Steps
from tests.scale.storing import SEED, ClusterStores, Embedded, EmbeddedStores, Stores, run_senders

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Of `gantry_searchable_seconds`, from which the benchmark reads its quantiles."""

_ACCUMULATES = 4
"""A batch of less than a quarter waits for more (`runtime/consumer`)."""


class Indexer:
    """Takes what was stored in batches, one after the other, and notes how long each object waited."""

    def __init__(self, machine: Machine, costs: IndexCosts, requests: Sequence[float]) -> None:
        self._machine = machine
        self._costs = costs
        self._requests = requests
        self._stored: list[float] = []
        self.waited: list[float] = []

    def note(self) -> None:
        """One object was stored now."""
        self._stored.append(self._machine.env.now)

    def run(self, objects: int) -> Steps:
        """Until so many are searchable. `requests` are the fixed and the growing seconds of each request of a batch."""
        env, costs = self._machine.env, self._costs
        while len(self.waited) < objects:
            begun = env.now
            batch, self._stored = self._stored[: costs.batch], self._stored[costs.batch :]
            if batch:
                fixed, each = self._requests
                for _ in range(costs.requests):
                    yield env.process(self._machine.work((fixed + each * len(batch)) / costs.requests))
                self.waited += [env.now - at for at in batch]
            pause = costs.linger - (env.now - begun) if len(batch) < costs.batch // _ACCUMULATES else 0.0
            yield env.timeout(max(1e-3, pause))


def embedded(senders: int = 4, each: int = 150, seed: int = SEED) -> list[float]:
    """Seconds that each object waited, on files and SQLite (older session)."""
    machine, costs = Machine(seed), StoreCosts()
    run = Embedded(senders, costs.storescu, each, indexing=False, device=FITTED.older_device)
    indexer = Indexer(machine, IndexCosts(), (0.0, costs.index))
    return _waited(machine, EmbeddedStores(machine, costs, run), indexer, senders, each)


def cluster(senders: int = 4, each: int = 150, crowded: float = FITTED.crowded, seed: int = SEED) -> list[float]:
    """Seconds that each object waited, on S3, Kafka and OpenSearch."""
    machine, costs = Machine(seed), IndexCosts()
    requests = (crowded * (costs.lone - costs.each), crowded * costs.each)
    stores = ClusterStores(machine, ClusterCosts(), senders)
    return _waited(machine, stores, Indexer(machine, costs, requests), senders, each)


def _waited(machine: Machine, stores: Stores, indexer: Indexer, senders: int, each: int) -> list[float]:
    def store() -> Steps:
        yield machine.env.process(stores.store())
        indexer.note()

    finished = machine.env.process(indexer.run(senders * each))
    run_senders(machine, store, senders, each)
    machine.env.run(until=finished)
    return indexer.waited


def quantile(waited: Sequence[float], share: float) -> float:
    """As Prometheus says it of a histogram: a straight line between the bounds of the bucket where it lies."""
    wanted = share * len(waited)
    for low, high in pairwise((0.0, *BUCKETS)):
        below, inside = sum(wait <= low for wait in waited), sum(low < wait <= high for wait in waited)
        if inside and below + inside >= wanted:
            return low + (high - low) * (wanted - below) / inside
    return BUCKETS[-1]
