"""A simulated cluster loses nothing, keeps up with arrivals, and catches up after failures."""

from __future__ import annotations

import pytest

from gantry.cli.day.plan import MIX, PlannedStudy, Series, day
from tests.scale.outages import FAILURES, Outage, outage
from tests.scale.pipeline import Cluster, Pipeline

_STUDIES = day(400, 1, hours=(8.0, 9.0))
_STEADY = [PlannedStudy(number * 1.0, MIX[0], (Series(10),), 0, ()) for number in range(3600)]
"""A study of ten images each second, for an hour."""


@pytest.fixture(scope="module")
def seen() -> dict[str, Outage]:
    return {name: outage(name, Cluster(), _STEADY) for name in FAILURES if "node" not in name}


def test_every_image_that_was_stored_is_indexed_once() -> None:
    images = sum(study.images for study in _STUDIES)
    seen = Pipeline(Cluster(), 1).run(_STUDIES, 600)
    assert (seen.stored, seen.indexed) == (images, images)


def test_without_indexers_images_are_stored_and_the_backlog_goes_when_they_are_back(seen: dict[str, Outage]) -> None:
    usual, without = seen["nothing fails"], seen["no indexer for an hour"]
    assert without.backlog > 20 * usual.backlog
    assert 3550 <= without.searchable <= 3700
    assert 0 < without.caught_up < 300
    assert without.rejected == 0


def test_partitions_of_a_killed_indexer_wait_for_the_time_out(seen: dict[str, Outage]) -> None:
    waited = seen["an indexer is killed, back after 60 s"].searchable
    assert seen["nothing fails"].searchable < 7 <= waited < 20


def test_a_slow_s3_is_seen_by_senders_and_not_by_searchers(seen: dict[str, Outage]) -> None:
    usual, slow = seen["nothing fails"], seen["S3 takes 2 s for a PUT, for 10 minutes"]
    assert slow.image > 10 * usual.image
    assert slow.associations > 2 * usual.associations
    assert slow.searchable < usual.searchable + 5


def test_senders_beyond_the_limit_are_rejected_and_come_again() -> None:
    studies = [PlannedStudy(0.0, study.modality, study.series, 0, ()) for study in _STUDIES[:20]]
    seen = Pipeline(Cluster(ingest=1, associations=5), 1).run(studies, 3600)
    assert seen.rejected > 0
    assert max(number for _, number in seen.associations) <= 5
    assert seen.indexed == sum(study.images for study in studies)
