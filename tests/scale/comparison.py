"""Measured against simulated. `fitted` says that the measured run set one of the simulation's figures; all others are
predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median

from tests.scale import moving, searchable, storing
from tests.scale.costs import FITTED, IndexCosts, MoveCosts, StoreCosts
from tests.scale.machine import Machine

SEEDS = (1, 2, 3)
_MORE_SEEDS = (1, 2, 3, 4, 5)
ALLOWED = 0.20
"""The largest difference, as a share of what was measured."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One run of docs/benchmarks.md and the median of the simulated ones."""

    what: str
    unit: str
    measured: float
    simulated: float
    fitted: str = ""

    @property
    def difference(self) -> float:
        """As a share of what was measured; above zero where the simulation says more."""
        return self.simulated / self.measured - 1


def compared() -> list[Compared]:
    """Every row, in the order of the page."""
    return [*_stored(), *_stored_on_older(), *_cluster(), *_indexed(), *_moved()]


def _middle(run: Callable[[int], float]) -> float:
    return median(run(seed) for seed in SEEDS)


def _stored() -> Iterator[Compared]:
    costs = StoreCosts()
    storescu, lean = costs.storescu, costs.lean
    for senders, sending, tool, measured, fitted in (
        (1, storescu, "storescu", 328, ""),
        (4, storescu, "storescu", 646, "device"),
        (8, storescu, "storescu", 721, ""),
        (1, lean, "lean", 539, ""),
        (4, lean, "lean", 816, ""),
        (8, lean, "lean", 1040, "further"),
    ):
        run = storing.Embedded(senders, sending)
        simulated = _middle(partial(storing.embedded, run))
        yield Compared(f"C-STORE of CT, embedded, {senders} x {tool}", "objects/s", measured, simulated, fitted)


def _stored_on_older() -> Iterator[Compared]:
    for senders, each, measured, fitted in ((1, 150, 320, ""), (4, 75, 502, ""), (16, 25, 540, "older_device")):
        run = storing.Embedded(senders, StoreCosts().storescu, each, indexing=False, device=FITTED.older_device)
        simulated = _middle(partial(storing.embedded, run))
        words = f"C-STORE of CT, ingest alone, files and SQLite, {senders} x storescu (older)"
        yield Compared(words, "objects/s", measured, simulated, fitted)


def _cluster() -> Iterator[Compared]:
    for senders, each, measured in ((1, 150, 93), (4, 75, 181), (16, 25, 227)):
        simulated = _middle(partial(storing.cluster, senders, each))
        yield Compared(f"C-STORE of CT, S3 and Kafka, {senders} x storescu", "objects/s", measured, simulated)


def _indexed() -> Iterator[Compared]:
    batches = indexing_alone()
    yield Compared("indexing on OpenSearch, large studies", "instances/s", 1064, batches, "batch")
    yield Compared("indexing on OpenSearch, studies of one image", "instances/s", 1094, batches)
    for name, run, figures in (
        ("files, SQLite", searchable.embedded, ((0.5, 78, ""), (0.95, 222, ""))),
        ("S3, Kafka, OpenSearch", searchable.cluster, ((0.5, 3180, "crowded"), (0.95, 4818, ""))),
    ):
        # Few batches to a run, and wide buckets: all runs together.
        waited = [seconds for seed in _MORE_SEEDS for seconds in run(seed=seed)]
        for share, measured, fitted in figures:
            simulated = searchable.quantile(waited, share) * 1000
            yield Compared(f"received to searchable, {name}, p{share * 100:.0f}", "ms", measured, simulated, fitted)


def indexing_alone(batches: int = 40, seed: int = 1) -> float:
    """Instances per second of full batches, one after the other, with nothing beside them."""
    machine, costs = Machine(seed), IndexCosts()
    for _ in range(batches * costs.requests):
        machine.env.run(until=machine.env.process(machine.work(costs.full / costs.requests)))
    return batches * costs.batch / machine.env.now


def _moved() -> Iterator[Compared]:
    costs = MoveCosts()
    for words, run, measured in (
        ("page cache", moving.Move(costs.cached), 2257),
        ("disk", moving.Move(costs.disk), 1649),
    ):
        simulated = _middle(partial(moving.move, run))
        yield Compared(f"C-MOVE of CT, from the {words}", "objects/s", measured, simulated)
    for words, run, measured, fitted in (
        ("S3", moving.from_s3(), 241, "s3_get"),
        ("S3 through a proxy", moving.from_s3(proxy=True), 173, "proxy"),
        ("S3, 20 ms later", moving.from_s3(proxy=True, later=True), 193, ""),
        (
            "S3, 20 ms later, no read-ahead",
            moving.from_s3(proxy=True, later=True, ahead=FITTED.outstanding),
            96,
            "outstanding",
        ),
    ):
        simulated = _middle(partial(moving.megabytes, run))
        yield Compared(f"C-MOVE of CT, {words}", "MB/s", measured, simulated, fitted)
