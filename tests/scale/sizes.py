"""How large an archive is and what it needs: arithmetic on what was measured, and on assumptions that are named."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from gantry.cli.day.plan import HOURLY, MIX
from tests.scale.costs import MS

_DAY = 24 * 3600.0
_GB, _TB, _KB, _MIB = 1e9, 1e12, 1e3, 2.0**20


@dataclass(frozen=True, slots=True)
class Archive:
    """So many instances, kept for so many years, as many each day."""

    name: str
    instances: float
    years: float

    @property
    def images_a_study(self) -> float:
        """Of the mix of `gantry bench`."""
        return sum(study.share * _mean(study.series) * _mean(study.images) for study in MIX)

    @property
    def bytes_an_image(self) -> float:
        """Pixel data, not compressed."""
        whole = sum(study.share * _mean(study.series) * _mean(study.images) * study.image_bytes for study in MIX)
        return whole / self.images_a_study

    @property
    def studies(self) -> float:
        return self.instances / self.images_a_study

    @property
    def studies_a_day(self) -> float:
        return self.studies / (self.years * 365)

    @property
    def images_a_day(self) -> float:
        return self.instances / (self.years * 365)

    @property
    def busiest(self) -> float:
        """Images per second in the busiest hour."""
        return self.images_a_day * max(HOURLY) / sum(HOURLY) / 3600


ARCHIVES = (
    Archive("1 M", 1e6, 7),
    Archive("100 M", 1e8, 7),
    Archive("1 B", 1e9, 7),
    Archive("1 B a year", 1e9, 1),
)


@dataclass(frozen=True, slots=True)
class Assumed:
    """What a reader may see otherwise. `burst` is how much more than the busiest hour's mean there is to be room for,
    `used` how busy a process may be. `index_bytes` and `event_bytes` of an image are from docs/deploy.md; a shard has
    `shard` images (50 GB) and a data node `node` bytes of index."""

    burst: float = 3.0
    used: float = 0.5
    receive: float = 2.5 * MS
    indexing: float = 719.0
    retrieving: float = 1.0 * MS
    looks: float = 3.0
    searches: float = 10.0
    searching: float = 20 * MS
    index_bytes: float = 2.5 * _KB
    event_bytes: float = 5 * _KB
    fact_bytes: float = 350.0
    shard: float = 2e7
    node: float = 0.5 * _TB
    copies: int = 2
    days_of_log: float = 7.0
    brokers: int = 3
    rebuilding: float = 1614.0
    verifying: float = 20 * _MIB
    process_bytes: float = 0.25 * _GB


@dataclass(frozen=True, slots=True)
class Needs:
    """What an archive needs. Bytes, seconds and numbers; `network` in bits per second."""

    ingest: int
    indexers: int
    query: int
    retrieve: int
    partitions: int
    shards: int
    shard_bytes: float
    index_bytes: float
    nodes: int
    objects_bytes: float
    facts_bytes: float
    log_bytes: float
    puts: float
    network: float
    memory: float
    rebuild: float
    verify: float

    @property
    def processes(self) -> int:
        """With two each of door, commitment and orders."""
        return self.ingest + self.indexers + self.query + self.retrieve + 6


def needs(archive: Archive, assumed: Assumed = Assumed()) -> Needs:
    """Replicas of each role for the busiest hour with its bursts, never fewer than two, and what the stores hold."""
    peak = archive.busiest * assumed.burst
    each = peak / archive.images_a_study
    ingest = _replicas(peak * assumed.receive, assumed)
    indexers = _replicas(peak / assumed.indexing, assumed)
    query = _replicas(each * assumed.searches * assumed.searching, assumed)
    retrieve = _replicas(peak * assumed.looks * assumed.retrieving, assumed)
    index = archive.instances * assumed.index_bytes
    shards = max(1, ceil(archive.instances / assumed.shard))
    objects = archive.instances * archive.bytes_an_image
    return Needs(
        ingest=ingest,
        indexers=indexers,
        query=query,
        retrieve=retrieve,
        partitions=24 if indexers <= 12 else 2 * indexers,
        shards=shards,
        shard_bytes=index / shards,
        index_bytes=index * assumed.copies,
        nodes=max(3, ceil(index * assumed.copies / assumed.node)),
        objects_bytes=objects,
        facts_bytes=archive.instances * assumed.fact_bytes,
        log_bytes=archive.images_a_day * assumed.days_of_log * assumed.event_bytes * assumed.brokers,
        puts=peak,
        # In from modalities, on to S3, out of S3 and on to workstations.
        network=8 * peak * archive.bytes_an_image * 2 * (1 + assumed.looks),
        memory=(ingest + indexers + query + retrieve + 6) * assumed.process_bytes,
        rebuild=archive.instances / assumed.rebuilding,
        verify=objects / assumed.verifying,
    )


def _replicas(busy: float, assumed: Assumed) -> int:
    return max(2, ceil(busy / assumed.used))


def _mean(bounds: tuple[int, int]) -> float:
    return sum(bounds) / 2
