"""What fails in a simulated cluster, and what is seen of it: by searchers a backlog, by senders time and rejections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import simpy

from gantry.cli.day.plan import PlannedStudy, percentiles
from tests.scale.machine import Steps
from tests.scale.pipeline import Cluster, Pipeline, Seen

BEGINS = 1800.0
"""Seconds after which something fails: the cluster is at work by then."""
_REST = 2400.0

Failure = Callable[[Pipeline], Steps]


def nothing(pipeline: Pipeline) -> Steps:
    """For comparison."""
    yield pipeline.env.timeout(0)


def indexer_killed(pipeline: Pipeline, back_after: float = 60.0) -> Steps:
    """SIGKILL: its batch is lost, its partitions wait for the session's time-out and go to others; it comes back."""
    yield pipeline.env.timeout(BEGINS)
    owners, indexers = list(pipeline.owners), pipeline.cluster.indexers
    pipeline.stopped.add(0)
    yield pipeline.env.timeout(pipeline.cluster.session_timeout)
    for number, owner in enumerate(owners):
        if owner == 0:
            pipeline.owners[number] = 1 + number % (indexers - 1)
    yield pipeline.env.timeout(back_after - pipeline.cluster.session_timeout)
    pipeline.stopped.discard(0)
    pipeline.owners[:] = owners


def all_indexers_away(pipeline: Pipeline, seconds: float = 3600.0) -> Steps:
    """As after a release that cannot index: images go on to be stored."""
    yield pipeline.env.timeout(BEGINS)
    pipeline.stopped.update(range(pipeline.cluster.indexers))
    yield pipeline.env.timeout(seconds)
    pipeline.stopped.clear()


def node_lost(pipeline: Pipeline, blocked: float = 30.0, copying: float = 1200.0) -> Steps:
    """A data node of OpenSearch goes. Assumed: nothing is written until it is taken for lost; then the others copy its
    shards and take half as long again for a batch."""
    yield pipeline.env.timeout(BEGINS)
    env, cluster = pipeline.env, pipeline.cluster
    held = [pipeline.nodes.request(priority=0) for _ in range(cluster.nodes)]
    yield env.timeout(blocked)
    for request in held[1:]:
        _free(pipeline, request)
    cluster.slower = 1.5
    yield env.timeout(copying)
    cluster.slower = 1.0
    _free(pipeline, held[0])


def _free(pipeline: Pipeline, request: simpy.resources.resource.PriorityRequest) -> None:
    if request.triggered:
        pipeline.nodes.release(request)
    else:
        request.cancel()


def slow_s3(pipeline: Pipeline, put: float = 2.0, seconds: float = 600.0) -> Steps:
    """S3 takes two seconds for a PUT, for ten minutes."""
    yield pipeline.env.timeout(BEGINS)
    usual, pipeline.cluster.put = pipeline.cluster.put, put
    yield pipeline.env.timeout(seconds)
    pipeline.cluster.put = usual


def broker_restarted(pipeline: Pipeline, elections: float = 5.0, away: float = 60.0) -> Steps:
    """One of three brokers restarts. Assumed: its third of the partitions waits for another leader when it goes, and
    once more when it has come back."""
    yield pipeline.env.timeout(BEGINS)
    for pause in (away, 0.0):
        for partition in pipeline.partitions[::3]:
            partition.led = False
        yield pipeline.env.timeout(elections)
        for partition in pipeline.partitions[::3]:
            partition.led = True
        yield pipeline.env.timeout(pause)


FAILURES: dict[str, tuple[Failure, float]] = {
    "nothing fails": (nothing, 0.0),
    "an indexer is killed, back after 60 s": (indexer_killed, 60.0),
    "no indexer for an hour": (all_indexers_away, 3600.0),
    "an OpenSearch node is lost": (node_lost, 1230.0),
    "S3 takes 2 s for a PUT, for 10 minutes": (slow_s3, 600.0),
    "a Kafka broker restarts": (broker_restarted, 70.0),
}
"""By name: what fails, and after how many seconds it is over."""


@dataclass(frozen=True, slots=True)
class Outage:
    """What was seen from the failure on. `backlog` in images; `caught_up`, `searchable` and `image` in seconds: from
    the failure's end until the backlog is what it had been at most before, the longest wait until searchable, the
    longest mean of an image over a piece of a study; `associations`, the most at a time."""

    backlog: int
    caught_up: float
    searchable: float
    image: float
    associations: int
    rejected: int


def outage(name: str, cluster: Cluster, studies: Sequence[PlannedStudy], seed: int = 1) -> Outage:
    """Play the studies and let happen what `FAILURES` has under this name."""
    failure, lasts = FAILURES[name]
    pipeline = Pipeline(cluster, seed)
    pipeline.env.process(failure(pipeline))
    return _seen(pipeline.run(studies, _REST), BEGINS + lasts)


def _seen(seen: Seen, over: float) -> Outage:
    before = max(number for at, number in seen.backlog if 0 < at < BEGINS)
    again = next((at for at, number in seen.backlog if at >= over and number <= before), seen.backlog[-1][0])
    return Outage(
        max(number for at, number in seen.backlog if at >= BEGINS),
        again - over,
        max(waited for at, waited in seen.searchable if at >= BEGINS),
        max(each for at, each in seen.images if at >= BEGINS),
        max(number for at, number in seen.associations if at >= BEGINS),
        seen.rejected,
    )


def usual(cluster: Cluster, studies: Sequence[PlannedStudy], seed: int = 1) -> tuple[float, float]:
    """Seconds until searchable, median and 99th percentile, while nothing fails."""
    seen = Pipeline(cluster, seed).run(studies, _REST)
    middle, most = percentiles([waited for _, waited in seen.searchable], 50, 99)
    return middle, most
