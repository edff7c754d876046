"""Verification on real embedded stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from blake3 import blake3

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query
from gantry.common.errors import GantryError
from gantry.common.events import ObjectLost, decode
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import InstanceEntry, InstanceKey, SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.losses import Losses, losses_of
from gantry.common.telemetry.metrics import Metrics
from gantry.services.maintenance.verify import Verified, Verifier
from tests.support.entries import entry


@dataclass
class JumpingClock(SystemClock):
    """Every look at it is `step` seconds later; sleeping takes no time, and is noted."""

    step: float = 0.0
    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        self.now += self.step
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Room:
    objects: BlobStore
    log: EventLog
    index: SearchIndex
    folder: Path
    metrics: Metrics = field(default_factory=Metrics)

    def verifier(self, clock: SystemClock | None = None, rate: float = 0.0) -> Verifier:
        clock = clock or SystemClock()
        losses = Losses(self.log, clock, self.metrics, "verify")
        return Verifier(self.objects, self.index, losses, clock, self.metrics, "default", rate=rate)

    async def keep(self, studies: int, each: int = 4, size: int = 1000) -> list[InstanceEntry]:
        entries = []
        for number in range(studies * each):
            data = bytes([number]) * size
            study = f"1.{number // each}"
            row = replace(
                entry(number, f"9.{number}", study, f"{study}.1", digest=f"blake3:{blake3(data).hexdigest()}"),
                data_set_length=size,
            )
            await self.objects.put(row.object_key, [bytes(300), data])
            entries.append(row)
        await self.index.apply(entries)
        return entries

    async def lost(self) -> list[ObjectLost]:
        events = [decode(record.payload) async for record in self.log.replay("instances")]
        return [event for event in events if isinstance(event, ObjectLost)]

    def path(self, entry: InstanceEntry) -> Path:
        return self.folder / "objects" / entry.object_key


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    clock = SystemClock()
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    log = await open_sqlite_log(tmp_path / "log.db", clock)
    index = await open_sqlite_index(tmp_path / "index.db")
    yield Room(objects, log, index, tmp_path)
    for store in (index, log, objects):
        await store.close()


async def test_every_object_is_read_and_what_is_lost_becomes_a_fact(room: Room) -> None:
    entries = await room.keep(3)
    good = await room.verifier().verify()
    assert (good.studies, good.objects, good.bytes, good.missing, good.damaged) == (3, 12, 12_000, 0, 0)
    assert room.metrics.objects_verified._value.get() == 12
    gone, flipped, short = entries[1], entries[5], entries[9]
    room.path(gone).unlink()
    content = bytearray(room.path(flipped).read_bytes())
    content[-1] ^= 1
    room.path(flipped).write_bytes(content)
    room.path(short).write_bytes(room.path(short).read_bytes()[:-1])
    report = await room.verifier().verify()
    assert (report.objects, report.missing, report.damaged) == (12, 1, 2)
    reasons = {finding["object_key"]: finding["reason"] for finding in report.found}
    assert reasons == {gone.object_key: "missing", flipped.object_key: "damaged", short.object_key: "damaged"}
    assert {event.receipt for event in await room.lost()} == {gone.receipt, flipped.receipt, short.receipt}
    # The state tells it to whoever asks later.
    latest = await room.verifier().passes.latest()
    assert latest is not None
    assert (latest.missing, latest.damaged, latest.place) == (1, 2, [])
    assert latest.finished_at >= latest.begun_at > 0


async def test_other_bytes_that_are_kept_aside_are_read_too(room: Room) -> None:
    (current,) = await room.keep(1, each=1)
    asides = []
    for number, offset in ((1, 300), (2, 300), (3, -1), (4, 300)):
        data = bytes([100 + number]) * 1000
        row = replace(
            entry(number, "9.0", "1.0", "1.0.1", digest=f"blake3:{blake3(data).hexdigest()}"),
            data_set_length=1000,
            data_set_offset=offset,
        )
        head = bytes(300) if offset >= 0 else file_meta("1.2.840.10008.5.1.4.1.1.2", "9.0", "1.2.840.10008.1.2.1")
        await room.objects.put(row.object_key, [head, data])
        asides.append(row)
    again = replace(entry(5, "9.0", "1.0", "1.0.1", digest=current.digest), data_set_length=1000)  # redundant: not read
    await room.index.apply([*asides, again])
    good = await room.verifier().verify()
    assert (good.objects, good.bytes, good.missing, good.damaged) == (5, 5000, 0, 0)
    gone, flipped, old, _ = asides
    room.path(gone).unlink()
    for row in (flipped, old):
        content = bytearray(room.path(row).read_bytes())
        content[-1] ^= 1
        room.path(row).write_bytes(content)
    report = await room.verifier().verify()
    reasons = {finding["object_key"]: finding["reason"] for finding in report.found}
    assert reasons == {gone.object_key: "missing", flipped.object_key: "damaged", old.object_key: "damaged"}
    events = await room.lost()
    assert {event.receipt for event in events} == {gone.receipt, flipped.receipt, old.receipt}
    await room.index.lose(await losses_of(room.index, events))
    known = await room.index.receipts("default", InstanceKey("1.0", "1.0.1", "9.0"))
    assert {receipt.id for receipt in known if receipt.lost} == {gone.receipt, flipped.receipt, old.receipt}
    after = await room.verifier().verify()
    assert (after.objects, after.missing, after.damaged) == (2, 0, 0), "known losses are not found again"
    (location,) = [location async for page in room.index.locate(Query("default", Level.STUDY)) for location in page]
    assert location.object_key == current.object_key, "what is shown did not change"


async def test_a_pass_that_was_broken_off_goes_on_where_it_was(room: Room) -> None:
    entries = await room.keep(6, each=2)
    room.path(entries[0]).unlink()

    def break_off(state: Verified) -> None:
        if state.studies == 4:
            raise GantryError("broken off")

    with pytest.raises(GantryError, match="broken off"):
        await room.verifier(JumpingClock(step=31.0)).verify(progress=break_off)
    before = await room.verifier().passes.latest()
    assert before is not None
    assert (before.studies, before.finished_at) == (3, 0)
    again = room.verifier()
    read = room.metrics.objects_verified._value.get()
    done = await again.verify(before)
    assert (done.studies, done.objects, done.missing) == (6, 12, 1)
    assert room.metrics.objects_verified._value.get() - read == 6
    assert len([key async for key in room.objects.list(room.verifier().passes.root)]) == 1


async def test_it_reads_no_faster_than_it_may(room: Room) -> None:
    await room.keep(2, each=2, size=100_000)
    clock = JumpingClock()
    await room.verifier(clock, rate=50_000.0).verify()
    assert sum(clock.slept) == pytest.approx(400_000 / 50_000, rel=0.05)


async def test_of_several_processes_one_verifies(room: Room) -> None:
    await room.keep(1)
    first, other = room.verifier().passes, room.verifier().passes
    now = SystemClock().now_us()
    assert not other.is_due(Verified(saved_at=now, by=first.by), every=60.0)
    assert first.is_due(Verified(saved_at=now, by=first.by), every=60.0)
    assert other.is_due(Verified(saved_at=now - 301_000_000, by=first.by), every=60.0)
    assert not other.is_due(Verified(finished_at=now - 59_000_000), every=60.0)
    assert other.is_due(Verified(finished_at=now - 61_000_000), every=60.0)
