"""The import itself, between a source and a target of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gantry.cli.files import DicomFile
from gantry.cli.importing import engine
from gantry.cli.importing.archive import DimseArchive
from gantry.cli.importing.engine import Import, ImportOptions, note_studies
from gantry.cli.importing.job import ImportJob, StudyOutcome
from gantry.cli.importing.model import Instance, Instances, Study, Withheld
from gantry.cli.importing.pace import TransferPace
from gantry.cli.store import StoreResult
from gantry.common.errors import ConnectionFailed
from gantry.common.statuses import OUT_OF_RESOURCES, SUCCESS
from tests.support.objects import data_set, write


class Clock:
    """Time passes while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def now_us(self) -> int:
        return int(self.now * 1e6)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        if seconds:
            self.slept.append(seconds)


class Source:
    """Studies of one instance each. `away` is how often it cannot be reached when it is asked for files."""

    def __init__(self, files: Sequence[DicomFile]) -> None:
        self.files = {f"1.{number}": file for number, file in enumerate(files)}
        self.away = 0
        self.away_listing = 0
        self.counted = 1
        self.mounted = True
        self.between: Callable[[], object] = lambda: None

    async def studies(self) -> AsyncIterator[Study]:
        for number, uid in enumerate(self.files):
            self.between()
            if number and self.away_listing:
                self.away_listing -= 1
                raise ConnectionFailed("nobody there")
            yield Study(uid, {}, self.counted)

    async def instances(self, study: str) -> Instances:
        file = self.files[study]
        return {file.sop_instance_uid: Instance("1.2.3", file.sop_class_uid, file)} if self.mounted else {}

    async def fetch(self, study: str, wanted: Instances, folder: Path) -> AsyncIterator[list[DicomFile | Withheld]]:
        if self.away:
            self.away -= 1
            raise ConnectionFailed("nobody there")
        yield [self.files[study]]

    async def close(self) -> None: ...


class Target:
    """Shows what it stored. `full` is how many objects it has no room for."""

    peer = SimpleNamespace()
    timeout = 1.0

    def __init__(self) -> None:
        self.full = 0
        self.away = False
        self.stored: set[str] = set()
        self.shows = True

    async def study(self, uid: str) -> Study:
        return Study(uid, {})

    async def instances(self, study: str) -> Instances:
        return {uid: Instance("1.2.3") for uid in self.stored} if self.shows else {}

    async def send(
        self, peer: object, files: Sequence[DicomFile], *, done: Callable[[DicomFile, int | None], None], **_: Any
    ) -> StoreResult:
        if self.away:
            raise ConnectionFailed("nobody there")
        sent = StoreResult()
        for file in files:
            status = OUT_OF_RESOURCES if self.full else SUCCESS
            self.full -= 1 if self.full else 0
            if status == SUCCESS:
                self.stored.add(file.sop_instance_uid)
            else:
                sent.failures.append((file.path, "no room"))
            done(file, status)
        return sent


@pytest.fixture
def job(tmp_path: Path) -> Iterator[ImportJob]:
    with closing(ImportJob(tmp_path / "job.db", "here", "there")) as job:
        yield job


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Target:
    target = Target()
    monkeypatch.setattr(engine, "send_files", target.send)
    return target


async def run(
    job: ImportJob, source: Source, target: Target, clock: Clock, patience: float = 600.0
) -> list[StudyOutcome]:
    outcomes: list[StudyOutcome] = []
    await note_studies(job, source, clock, patience)
    options = ImportOptions(parallel=1, patience=patience)
    pace = TransferPace(clock)
    await Import(
        job, source, cast("DimseArchive", target), pace, clock, options, lambda _, outcome: outcomes.append(outcome)
    ).run()
    return outcomes


async def test_a_source_that_goes_away_within_a_study_is_waited_for(
    job: ImportJob, target: Target, tmp_path: Path
) -> None:
    source, clock = Source([write(tmp_path, data_set())]), Clock()
    source.away = 4
    [outcome] = await run(job, source, target, clock)
    assert (outcome.stored, outcome.whole, clock.slept) == (1, True, [1.0, 2.0, 4.0, 8.0])


async def test_what_cannot_be_waited_for_fails_with_its_reason(job: ImportJob, target: Target, tmp_path: Path) -> None:
    source, clock = Source([write(tmp_path, data_set())]), Clock()
    source.away = 100
    outcome, *_ = await run(job, source, target, clock, patience=0.0)
    assert [finding.detail for finding in outcome.findings] == ["the source: nobody there"]


async def test_a_source_that_goes_away_while_it_is_listed_is_listed_again(
    job: ImportJob, target: Target, tmp_path: Path
) -> None:
    source, clock = Source([write(tmp_path, data_set()) for _ in range(3)]), Clock()
    source.away_listing = 2
    assert len(await run(job, source, target, clock)) == 3
    assert clock.slept == [1.0, 2.0]


async def test_a_target_without_room_is_given_time_and_the_source_is_not_emptied_for_nothing(
    job: ImportJob, target: Target, tmp_path: Path
) -> None:
    source, clock = Source([write(tmp_path, data_set()) for _ in range(8)]), Clock()
    target.full = 7
    outcomes = await run(job, source, target, clock)
    assert [outcome.stored for outcome in outcomes] == [0] * 7 + [1] * 8
    assert clock.slept == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 5.0]


async def test_what_the_target_took_and_does_not_show_is_not_counted_as_stored(
    job: ImportJob, target: Target, tmp_path: Path
) -> None:
    target.shows = False
    outcomes = await run(job, Source([write(tmp_path, data_set())]), target, Clock())
    assert {outcome.stored for outcome in outcomes} == {0}
    assert job.totals().stored == 0
    assert "gantry conflicts" in outcomes[0].findings[0].detail


async def test_a_source_that_lists_fewer_instances_than_it_counts_is_told(
    job: ImportJob, target: Target, tmp_path: Path
) -> None:
    source = Source([write(tmp_path, data_set())])
    source.counted = 700
    [outcome] = await run(job, source, target, Clock())
    details = [finding.detail for finding in outcome.findings]
    assert details == ["NumberOfStudyRelatedInstances: the source counts 700, and lists 1"]


async def test_a_study_of_which_the_source_lists_nothing_now_is_not_done(
    job: ImportJob, target: Target, tmp_path: Path
) -> None:
    source, clock = Source([write(tmp_path, data_set())]), Clock()
    source.mounted = False
    outcomes = await run(job, source, target, clock)
    assert {outcome.reason for outcome in outcomes} == {"the source lists none of its instances now"}
    assert job.totals().states == {"failed": 1}
    source.mounted = True
    [outcome] = await run(job, source, target, clock)
    assert (outcome.stored, job.totals().states) == (1, {"done": 1})


async def test_patience_with_a_source_begins_when_it_goes_away_however_long_its_listing_took(
    job: ImportJob, target: Target, tmp_path: Path
) -> None:
    source, clock = Source([write(tmp_path, data_set()) for _ in range(3)]), Clock()
    source.away_listing = 1

    def slowly() -> None:
        clock.now += 900

    source.between = slowly
    assert len(await run(job, source, target, clock, patience=60.0)) == 3


async def test_a_target_that_is_full_for_weeks_is_waited_for_as_long_as_ever(
    job: ImportJob, target: Target, tmp_path: Path
) -> None:
    target.full = 1100
    clock = Clock()
    outcomes = await run(job, Source([write(tmp_path, data_set())] * 1100), target, clock)
    assert max(clock.slept) == 60.0
    assert sum(outcome.stored for outcome in outcomes) == 1


async def test_a_target_that_goes_away_is_named_and_waited_for_once(
    job: ImportJob, target: Target, tmp_path: Path
) -> None:
    target.away = True
    clock = Clock()
    first, *_ = await run(job, Source([write(tmp_path, data_set())]), target, clock, patience=20.0)
    assert first.reason == "the target: nobody there"
    assert clock.slept[:5] == [1.0, 2.0, 4.0, 8.0, 5.0]
