"""Two regions: how far the second one is behind (RPO), and how long until it is the archive (RTO).

The bucket's replication and the log's mirror share one line; both are first in, first out, and begin some seconds after
an image was stored. The lines and seconds are assumed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import simpy

from gantry.cli.day.plan import PlannedStudy, percentiles
from tests.scale.machine import Steps

_EVENT = 5e3


@dataclass(frozen=True, slots=True)
class Line:
    """Bits per second between two regions, and the seconds after which a replication begins, on average."""

    bits: float
    begins: float = 15.0


@dataclass(frozen=True, slots=True)
class Behind:
    """Seconds by which what the second region has is behind, at any moment of the day: usually, at the 99th percentile,
    at most; and the images that are there only in the first one then."""

    middle: float
    late: float
    most: float
    images: int


def behind(studies: Sequence[PlannedStudy], line: Line, seed: int = 1) -> Behind:
    """Send a day's studies through the line. A loss at any second of the day loses what was not through."""
    env, random = simpy.Environment(), Random(seed)
    wire = simpy.Resource(env, 1)
    through: list[tuple[float, float, int]] = []

    def replicate(study: PlannedStudy) -> Steps:
        yield env.timeout(study.at)
        yield env.timeout(random.expovariate(1 / line.begins))
        with wire.request() as turn:
            yield turn
            yield env.timeout(study.images * (study.modality.image_bytes + _EVENT) * 8 / line.bits)
        through.append((study.at, env.now, study.images))

    for study in studies:
        env.process(replicate(study))
    env.run()
    return _at_any_moment(through)


def _at_any_moment(through: Sequence[tuple[float, float, int]], every: float = 60.0) -> Behind:
    ages, images = [], []
    coming, missing = deque(sorted(through)), list[tuple[float, float, int]]()
    for number in range(int(24 * 3600 / every)):
        now = number * every
        while coming and coming[0][0] <= now:
            missing.append(coming.popleft())
        missing = [study for study in missing if study[1] > now]
        ages.append(max((now - at for at, _, _ in missing), default=0.0))
        images.append(sum(count for _, _, count in missing))
    middle, late = percentiles(ages, 50, 99)
    return Behind(middle, late, max(ages), max(images))
