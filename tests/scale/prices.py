"""What a study costs, by prices that are assumed and belong to no provider."""

from __future__ import annotations

from dataclasses import dataclass

from tests.scale.sizes import Archive, Assumed, Needs

_HOURS = 730.0
_GB = 1e9


@dataclass(frozen=True, slots=True)
class Prices:
    """In any currency: of a gigabyte for a month in the bucket and on disks, of a thousand requests, of a core and a
    gigabyte of memory for an hour, of a gigabyte sent to another region."""

    bucket: float = 0.02
    disk: float = 0.10
    thousand_puts: float = 0.005
    thousand_gets: float = 0.0005
    core: float = 0.04
    memory: float = 0.005
    sent: float = 0.02


@dataclass(frozen=True, slots=True)
class Machines:
    """Cores and gigabytes of memory: of a process, of one machine that has everything, of a broker, of a data node."""

    process: tuple[float, float] = (1.0, 1.0)
    alone: tuple[float, float] = (2.0, 4.0)
    broker: tuple[float, float] = (2.0, 8.0)
    node: tuple[float, float] = (8.0, 32.0)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one study over all its years."""

    objects: float
    requests: float
    index: float
    machines: float

    @property
    def whole(self) -> float:
        return self.objects + self.requests + self.index + self.machines


def cost_of_one_machine(
    archive: Archive, needs: Needs, prices: Prices = Prices(), machines: Machines = Machines()
) -> Cost:
    """Embedded stores: objects and index on its disks, no bucket, no servers."""
    months = archive.years * 12
    held = (needs.objects_bytes + needs.facts_bytes) / archive.studies / _GB
    cores, memory = machines.alone
    running = (cores * prices.core + memory * prices.memory) * _HOURS * months / archive.studies
    # One copy of the index, where a cluster has two.
    return Cost(
        held * prices.disk * months, 0.0, needs.index_bytes / 2 / archive.studies / _GB * prices.disk * months, running
    )


def cost(archive: Archive, needs: Needs, prices: Prices = Prices(), machines: Machines = Machines()) -> Cost:
    """Stores are paid for as long as a study is kept; machines by all studies that are there, month by month."""
    months = archive.years * 12
    images = archive.images_a_study
    storage = (needs.objects_bytes + needs.facts_bytes) / archive.studies / _GB * prices.bucket * months
    assumed = Assumed()
    gets = images * (assumed.looks + 1)
    requests = images * prices.thousand_puts / 1000 + gets * prices.thousand_gets / 1000
    disks = (needs.index_bytes + needs.log_bytes) / archive.studies / _GB * prices.disk * months
    running = sum(
        count * (cores * prices.core + memory * prices.memory)
        for count, (cores, memory) in (
            (needs.processes, machines.process),
            (assumed.brokers, machines.broker),
            (needs.nodes, machines.node),
        )
    )
    return Cost(storage, requests, disks, running * _HOURS * months / archive.studies)
