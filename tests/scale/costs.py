"""Seconds that single steps take, each with its place in docs/benchmarks.md. Nothing here is fitted to a whole run, but
for `Fitted`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

MS = 1e-3
CT = 525_000
"""Bytes of the CT slice of the benchmarks."""


@dataclass(frozen=True, slots=True)
class StoreCosts:
    """Storing one CT on embedded stores ("What holds it back", "Who sends"): processor time, and waits of its own for
    the disk (`flush`) and for the log's commit (`commit`), of which `durable` and `append` are processor time."""

    storescu: float = 0.95 * MS
    lean: float = 0.19 * MS
    receive: float = 0.62 * MS
    durable: float = 0.32 * MS
    append: float = 0.18 * MS
    index: float = 0.27 * MS
    flush: float = 0.6 * MS
    commit: float = 0.6 * MS


@dataclass(frozen=True, slots=True)
class ClusterCosts:
    """Storing one CT on S3 and Kafka ("The cluster"). `servers` is the processor time of S3 server, broker and bare
    generator for one object: 16 workers had 330 of them a second out of two cores. `alone` is how long one worker waits
    for both (158 a second). `receive` is the ingest role's own: 2.93 ms for one sender, 2.50 for 4, 2.12 for 16."""

    servers: float = 2 / 330
    alone: float = 1 / 158

    def receive(self, senders: int) -> float:
        """The ingest role's processor time for an object; between the measured numbers of senders, a straight line."""
        points = ((1, 2.93), (4, 2.50), (16, 2.12))
        for (low, high_cost), (high, low_cost) in pairwise(points):
            if senders <= high:
                share = (max(senders, low) - low) / (high - low)
                return (high_cost + (low_cost - high_cost) * share) * MS
        return points[-1][1] * MS


@dataclass(frozen=True, slots=True)
class IndexCosts:
    """Indexing on OpenSearch: a lone image is searchable after `lone` (0.12 s), a batch of 500 of large studies takes
    500 / 1,064 s; `requests` in a batch. In between, a straight line."""

    lone: float = 0.12
    batch: int = 500
    full: float = 500 / 1064
    requests: int = 12
    linger: float = 0.1

    @property
    def each(self) -> float:
        """Seconds by which a batch is longer for one instance more."""
        return (self.full - self.lone) / (self.batch - 1)

    def seconds(self, instances: int) -> float:
        """A batch of so many, with nothing beside it."""
        return self.lone + self.each * (instances - 1)


@dataclass(frozen=True, slots=True)
class MoveCosts:
    """Sending one CT out: the retrieve role's processor time from the page cache, from the disk and from S3 ("C-MOVE",
    "The cluster"), and the receiver's, which is the bare engine (0.33 ms)."""

    cached: float = 0.42 * MS
    disk: float = 0.52 * MS
    s3: float = 0.95 * MS
    receiver: float = 0.33 * MS
    later: float = 20 * MS


@dataclass(frozen=True, slots=True)
class Fitted:
    """What no table says, found by fitting the runs that `comparison` marks as used for it. `device` is how long the
    disk has a CT for itself, in the older tables longer; `further` by how much a flush is longer with each object
    after its first. `crowded` is how much more a batch takes of the cores while all roles and servers of a cluster
    start and work on two of them. An S3 server takes `s3_get` for a CT, the proxy with the latency `proxy`; a
    destination and our client have `outstanding` objects under way."""

    device: float = 0.6 * MS
    older_device: float = 1.75 * MS
    further: float = 0.5 * MS
    crowded: float = 4.75
    s3_get: float = 2.6 * MS
    proxy: float = 1.7 * MS
    outstanding: int = 5


FITTED = Fitted()
