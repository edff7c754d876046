"""A cluster at the scale of studies: associations, ingest, the log's partitions, indexers, OpenSearch.

Images travel in pieces of a study: an ingest core, S3 and the broker take each image's seconds one after the other, as
on one association. A study's pieces go to one partition, in order. Every figure of `Cluster` is measured on this
project's two cores or assumed, as docs/scale.md says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import simpy

from gantry.cli.day.plan import PlannedStudy
from tests.scale.costs import MS, IndexCosts
from tests.scale.machine import Steps

_PIECE = 25
_RETRY = 30.0
"""Seconds after which a modality that was rejected tries again."""
_LOOKS_AGAIN = 1.0
"""Seconds after which an indexer sees that partitions came to it, or that it is back."""


@dataclass(slots=True)
class Cluster:
    """What the roles have, and how the stores answer; failures change it while it runs. Times are in seconds:
    `receive` is processor time of an image, `put` and `append` are what S3 and the broker take, `line` what the image's
    way to us does. Each data node of OpenSearch does one batch at a time as fast as the one that was measured."""

    ingest: int = 2
    indexers: int = 2
    nodes: int = 3
    partitions: int = 24
    associations: int = 1500
    session_timeout: float = 10.0
    receive: float = 2.5 * MS
    put: float = 20 * MS
    append: float = 5 * MS
    line: float = 10 * MS
    slower: float = 1.0
    indexing: IndexCosts = field(default_factory=IndexCosts)


@dataclass(slots=True)
class Seen:
    """What senders and searchers saw. `backlog` and `associations` are samples: (seconds, number)."""

    searchable: list[tuple[float, float]] = field(default_factory=list)
    images: list[tuple[float, float]] = field(default_factory=list)
    rejected: int = 0
    stored: int = 0
    indexed: int = 0
    backlog: list[tuple[float, int]] = field(default_factory=list)
    associations: list[tuple[float, int]] = field(default_factory=list)


@dataclass(slots=True)
class Partition:
    """Pieces that are not indexed: when they were stored, and their images. `led`: a broker takes appends."""

    pieces: deque[tuple[float, int]] = field(default_factory=deque)
    led: bool = True


class Pipeline:
    """One run. Failures reach in through `cluster`, `partitions`, `owners` and `stopped`."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.env = simpy.Environment()
        self.cluster = cluster
        self.seen = Seen()
        self.partitions = [Partition() for _ in range(cluster.partitions)]
        self.owners = [number % cluster.indexers for number in range(cluster.partitions)]
        self.stopped: set[int] = set()
        self.cores = simpy.Resource(self.env, cluster.ingest)
        self.nodes = simpy.PriorityResource(self.env, cluster.nodes)
        self._random = Random(seed)
        self._open = 0
        self._news = self.env.event()

    def run(self, studies: Sequence[PlannedStudy], rest: float) -> Seen:
        """Play the studies, whose times count from the first one's hour, and `rest` seconds more."""
        begin = studies[0].at
        for study in studies:
            self.env.process(self._send(study, study.at - begin))
        for indexer in range(self.cluster.indexers):
            self.env.process(self._index(indexer))
        self.env.process(self._sample())
        self.env.run(until=studies[-1].at - begin + rest)
        return self.seen

    def varied(self, mean: float) -> float:
        """A duration of this mean."""
        return self._random.expovariate(1 / mean) if mean else 0.0

    def _send(self, study: PlannedStudy, at: float) -> Steps:
        env, cluster = self.env, self.cluster
        yield env.timeout(at)
        while self._open >= cluster.ingest * cluster.associations:
            self.seen.rejected += 1
            yield env.timeout(self.varied(_RETRY))
        self._open += 1
        partition = self.partitions[self._random.randrange(cluster.partitions)]
        left = study.images
        while left > 0:
            images = min(left, _PIECE)
            yield env.process(self._store(partition, images))
            left -= images
        self._open -= 1

    def _store(self, partition: Partition, images: int) -> Steps:
        env, cluster, begun = self.env, self.cluster, self.env.now
        with self.cores.request() as core:
            yield core
            yield env.timeout(images * cluster.receive)
        put = sum(self.varied(cluster.put + cluster.append) for _ in range(images))
        yield env.timeout(put + images * cluster.line)
        while not partition.led:
            yield env.timeout(0.5)
        partition.pieces.append((env.now, images))
        self._news.succeed()
        self._news = env.event()
        self.seen.stored += images
        self.seen.images.append((env.now, (env.now - begun) / images))

    def _index(self, indexer: int) -> Steps:
        env, costs = self.env, self.cluster.indexing
        while True:
            begun, batch = env.now, [] if indexer in self.stopped else self._poll(indexer)
            images = sum(images for _, _, images in batch)
            if batch:
                with self.nodes.request(priority=1) as node:
                    yield node
                    yield env.timeout(self.varied(costs.seconds(images) * self.cluster.slower))
                if indexer not in self.stopped:
                    self._commit(batch)
            pause = costs.linger - (env.now - begun) if images < costs.batch // 4 else 0.0
            # A lone event is applied at once; whoever has just worked waits for more.
            yield env.timeout(max(0.0, pause)) if batch else self._news | env.timeout(_LOOKS_AGAIN)

    def _poll(self, indexer: int) -> list[tuple[Partition, float, int]]:
        batch, left = [], self.cluster.indexing.batch
        # Each time another partition first: none waits for all others.
        first = self._random.randrange(len(self.partitions))
        for number in [*range(first, len(self.partitions)), *range(first)]:
            if self.owners[number] == indexer:
                partition = self.partitions[number]
                for at, images in partition.pieces:
                    if images > left:
                        break
                    batch.append((partition, at, images))
                    left -= images
        return batch

    def _commit(self, batch: Sequence[tuple[Partition, float, int]]) -> None:
        for partition, at, images in batch:
            # Another indexer has indexed it, after this one was taken for dead: once in effect.
            if partition.pieces and partition.pieces[0] == (at, images):
                partition.pieces.popleft()
                self.seen.indexed += images
                self.seen.searchable.append((self.env.now, self.env.now - at))

    def _sample(self, every: float = 5.0) -> Steps:
        while True:
            self.seen.backlog.append((self.env.now, self.seen.stored - self.seen.indexed))
            self.seen.associations.append((self.env.now, self._open))
            yield self.env.timeout(every)
