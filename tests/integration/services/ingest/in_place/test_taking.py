"""Objects taken from a source that fails in the middle: what it does not give is told, the rest is taken, and what is
away is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gantry.cli.files import DicomFile
from gantry.cli.importing.pace import TransferPace
from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.files.foreign import ForeignFolder
from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.config.lifecycle_sections import CoercionRuleSettings
from gantry.common.dicom.standard.sop_classes import StorageClasses
from gantry.common.errors import Archived, DependencyUnavailable
from gantry.common.events import InstanceStored, decode
from gantry.common.lifecycle.coercion_rules import coercion_rules
from gantry.common.ports.blobs import BlobReader, read_whole
from gantry.common.ports.foreign import ForeignObject, ForeignStore
from gantry.common.ports.log import EventLog
from gantry.common.runtime.coercion import coercion_of_meta
from gantry.common.runtime.in_place.store import ReferringStore
from gantry.common.telemetry.metrics import Metrics
from gantry.services.ingest.commit import IngestSettings, InstanceWriter, Sender
from gantry.services.ingest.in_place.job import InPlaceJob
from gantry.services.ingest.in_place.referring import ReferringTarget
from gantry.services.ingest.in_place.taking import InPlaceOptions, InPlaceRun, InPlaceSource
from tests.support.objects import bytes_of, data_set, study, write

LONG = 5 << 20


class Failing:
    """`ForeignStore` over a folder, with keys that it does not give, and times at which it is away."""

    def __init__(self, folder: ForeignFolder) -> None:
        self._folder = folder
        self.denied: dict[str, Exception] = {}
        self.away = 0
        """So many calls fail from now on."""
        self.at_once = self.most_at_once = 0

    def list(self, prefix: str = "") -> AsyncIterator[ForeignObject]:
        return self._folder.list(prefix)

    async def open(self, key: str, tag: str, offset: int = 0, length: int | None = None) -> BlobReader:
        self._fail()
        if key in self.denied:
            raise self.denied[key]
        return await self._folder.open(key, tag, offset, length)

    async def stat(self, key: str, tag: str) -> ForeignObject:
        return await self._folder.stat(key, tag)

    async def check(self) -> None:
        self._fail()
        await self._folder.check()

    async def close(self) -> None:
        await self._folder.close()

    def _fail(self) -> None:
        if self.away:
            self.away -= 1
            raise DependencyUnavailable("object store", "no connection")


class Named:
    def __init__(self, store: ForeignStore) -> None:
        self._store = store

    async def get(self, name: str) -> ForeignStore:
        return self._store

    async def close(self) -> None:
        await self._store.close()


class Bench:
    """One archive without services, and one source."""

    def __init__(self, folder: Path, source: Failing, objects: ReferringStore, log: EventLog, job: InPlaceJob) -> None:
        self.theirs = folder / "old"
        self.source = source
        self.objects = objects
        self.log = log
        self.job = job
        self.told: dict[str, tuple[str, str]] = {}

    def put(self, files: Sequence[DicomFile]) -> None:
        for number, file in enumerate(files):
            (self.theirs / f"{number}.dcm").write_bytes(file.path.read_bytes())

    async def list(self) -> None:
        """As each run does first."""
        self.job.close()
        self.job = InPlaceJob(self.theirs.parent / "job.db", "old", "here")
        self.job.see([stat async for stat in self.source.list()])

    async def take(self, coercion: Sequence[CoercionRuleSettings] = (), **options: float) -> dict[str, tuple[str, str]]:
        self.told = {}
        target, clock = ReferringTarget(self.objects), SystemClock()
        index = await open_sqlite_index(self.theirs.parent / "index.db")
        with ThreadPoolExecutor(2) as workers:
            writer = InstanceWriter(
                target, self.log, clock, workers, Metrics(), IngestSettings(), coercion=coercion_rules(coercion)
            )
            taking = InPlaceRun(
                self.job, InPlaceSource("old", self.source), target, writer, self.objects, index, StorageClasses(()),
                Sender("trace", "IN_PLACE", "GANTRY", ""), TransferPace(clock), clock, InPlaceOptions(**options),  # type: ignore[arg-type]
                lambda entry, state, reason: self.told.update({entry.key: (state.value, reason)}),
            )  # fmt: skip
            await taking.run()
        await index.close()
        return self.told

    async def stored(self) -> list[InstanceStored]:
        history = [decode(record.payload) async for record in self.log.replay("instances")]
        return [event for event in history if isinstance(event, InstanceStored)]


@asynccontextmanager
async def _bench(folder: Path) -> AsyncIterator[Bench]:
    (folder / "old").mkdir()
    source = Failing(ForeignFolder(folder / "old"))
    objects = ReferringStore(await open_file_store(folder / "objects", low_water=0), Named(source))
    log = await open_sqlite_log(folder / "log.db", SystemClock())
    job = InPlaceJob(folder / "job.db", "old", "here")
    bench = Bench(folder, source, objects, log, job)
    try:
        yield bench
    finally:
        bench.job.close()
        await log.close()
        await objects.close()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with _bench(tmp_path) as bench:
        yield bench


async def test_what_the_source_does_not_give_is_told_and_the_rest_is_taken(bench: Bench, tmp_path: Path) -> None:
    bench.put(study(tmp_path / "files", 5))
    await bench.list()
    (bench.theirs / "0.dcm").unlink()
    (bench.theirs / "1.dcm").write_bytes(b"changed")
    bench.source.denied = {"2.dcm": DependencyUnavailable("object store", "access denied"), "3.dcm": Archived()}
    states = await bench.take(patience=5.0)
    assert {key: state for key, (state, _) in states.items()} == {
        "0.dcm": "failed", "1.dcm": "failed", "2.dcm": "failed", "3.dcm": "failed", "4.dcm": "taken",
    }  # fmt: skip
    words = ("not there any more", "was changed", "access denied", "archive of its store")
    assert all(word in states[f"{number}.dcm"][1] for number, word in enumerate(words))
    bench.source.denied = {}
    await bench.list()
    states = await bench.take()
    assert {key: state for key, (state, _) in states.items()} == {
        "1.dcm": "not DICOM", "2.dcm": "taken", "3.dcm": "taken",
    }  # fmt: skip
    assert len(await bench.stored()) == 3


async def test_a_source_that_is_away_is_waited_for_and_not_for_ever(bench: Bench, tmp_path: Path) -> None:
    bench.put(study(tmp_path / "files", 1))
    await bench.list()
    bench.source.away = 2
    assert (await bench.take(patience=5.0))["0.dcm"][0] == "taken"
    bench.job.reset_objects()
    bench.source.away = 1000
    with pytest.raises(ExceptionGroup) as failed:
        await bench.take(patience=0.5)
    assert failed.group_contains(DependencyUnavailable, match="no connection")
    assert bench.job.count_left() == 1, "it is tried again by the next run"


async def test_a_long_object_is_taken_in_bounded_memory_and_given_back_bit_for_bit(
    bench: Bench, tmp_path: Path
) -> None:
    long = write(tmp_path / "long", data_set(PixelData=bytes(range(256)) * (LONG // 256)))
    bench.put([long])
    await bench.list()
    assert (await bench.take())["0.dcm"] == ("taken", "")
    (event,) = await bench.stored()
    content = await read_whole(bench.objects, event.object_key)
    assert len(content) == event.object_size
    assert content[event.data_set_offset :] == bytes_of(long)


async def test_nothing_of_what_is_refused_stays(bench: Bench, tmp_path: Path) -> None:
    long = write(tmp_path / "long", data_set(PixelData=bytes(LONG)))
    for number, cut in enumerate((100, LONG // 2, LONG - 1)):
        (bench.theirs / f"{number}.dcm").write_bytes(long.path.read_bytes()[:-cut])
    await bench.list()
    assert {state for state, _ in (await bench.take()).values()} <= {"refused", "different", "duplicate"}
    assert [stat.key async for stat in bench.objects.list()] == []
    assert await bench.stored() == []


async def test_what_a_rule_coerces_is_in_place_too_and_says_so_in_our_file_meta_information(
    bench: Bench, tmp_path: Path
) -> None:
    (file,) = files = study(tmp_path / "files", 1, patient="P1")
    bench.put(files)
    await bench.list()
    rule = CoercionRuleSettings.model_validate(
        {"name": "site", "calling": ["IN_PLACE"], "set": {"InstitutionName": "NORTH"}}
    )
    assert (await bench.take([rule]))["0.dcm"] == ("taken", "")
    (event,) = await bench.stored()
    assert event.coercion
    content = await read_whole(bench.objects, event.object_key)
    assert coercion_of_meta(content, "x").rstrip(b"\0") == event.coercion.rstrip(b"\0")
    assert content[event.data_set_offset :] == bytes_of(file)


async def test_a_dry_run_reads_beginnings_and_takes_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.put(study(tmp_path / "files", 2))
    await bench.list()
    assert set((await bench.take(dry_run=True)).values()) == {("missing", "")}
    assert ([stat.key async for stat in bench.objects.list()], await bench.stored()) == ([], [])
    assert set((await bench.take()).values()) == {("taken", "")}


async def test_an_import_that_is_broken_off_leaves_no_half_object(bench: Bench, tmp_path: Path) -> None:
    bench.put([write(tmp_path / "long", data_set(PixelData=bytes(LONG)))])
    await bench.list()
    taking = asyncio.create_task(bench.take())
    await asyncio.sleep(0.01)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert (await bench.take())["0.dcm"][0] == "taken"
    assert len({event.receipt for event in await bench.stored()}) == 1
