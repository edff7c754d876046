"""Objects on their way into real stores that have a quota."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.dicom.standard.sop_classes import KEY_OBJECT_SELECTION
from gantry.common.errors import MismatchedDataSet, NotAuthorised, QuotaReached
from gantry.common.events import InstanceStored
from gantry.common.ids import new_uid
from gantry.common.ports.blobs import BlobStore
from gantry.common.runtime.quota.counts import write_count
from gantry.common.runtime.quota.sums import StoredCount
from gantry.common.runtime.quota.watching import Quota
from gantry.common.telemetry.metrics import Metrics
from gantry.services.ingest.commit import Announced, InstanceSink, InstanceWriter, Sender
from tests.support.dicom import EXPLICIT, to_bytes
from tests.support.objects import CT, data_set

SENDER = Sender("00-" + "1" * 32 + "-" + "2" * 16 + "-01", "MODALITY", "GANTRY", "127.0.0.1")
REJECTING = Sender(SENDER.trace, "WORKSTATION", "GANTRY", "127.0.0.1", {"113001"})


@dataclass
class Room:
    objects: BlobStore
    writer: InstanceWriter
    quota: Quota
    metrics: Metrics

    async def keys(self) -> list[str]:
        return [stat.key async for stat in self.objects.list("objects/")]

    def receive(self, data: bytes, instance: str, sop_class: str = CT, sender: Sender = SENDER) -> InstanceSink:
        """All bytes have arrived, as C-STORE hands them on."""
        sink = self.writer.receive(sender, Announced(sop_class, instance, EXPLICIT))
        return self.feed(sink, data)

    @staticmethod
    def feed(sink: InstanceSink, data: bytes) -> InstanceSink:
        sink.write([memoryview(data)])
        assert sink.length == len(data)
        return sink

    async def store(self, size: int, **more: object) -> int:
        """Store one; its bytes."""
        data, instance = made(size)
        await self.writer.commit(self.receive(data, instance, **more))  # type: ignore[arg-type]
        return len(data)


def made(size: int, **more: object) -> tuple[bytes, str]:
    ds = data_set(size=size, **more)
    return to_bytes(ds, EXPLICIT), str(ds.SOPInstanceUID)


@dataclass
class Notes:
    """Decides on rejection notes: whether they hide something."""

    hides: bool = True

    async def check(self, event: InstanceStored, *, may_reject: Container[str]) -> bool:
        return self.hides

    async def settle(self) -> None: ...


@asynccontextmanager
async def room(folder: Path, limit: int, settled: int = 0, *, hides: bool = True) -> AsyncIterator[Room]:
    clock, metrics = SystemClock(), Metrics()
    store = await open_file_store(folder / "objects", low_water=0)
    log = await open_sqlite_log(folder / "log.db", clock)
    await write_count(store, StoredCount(clock.now_us(), clock.now_us(), settled))
    quota = Quota(store, clock, metrics, "default", limit, 3600.0)
    await quota.start()
    with ThreadPoolExecutor(2) as workers:
        writer = InstanceWriter(store, log, clock, workers, metrics, rejections=Notes(hides), quota=quota)
        yield Room(store, writer, quota, metrics)
    await store.close()
    await log.close()


@pytest.mark.parametrize("size", [16, 1400], ids=["small", "streamed"])
async def test_what_does_not_fit_is_refused_and_nothing_of_it_is_left(tmp_path: Path, size: int) -> None:
    length = len(made(size)[0])
    async with room(tmp_path, limit=length * 2 + length // 2) as archive:
        await archive.store(size)
        await archive.store(size)
        with pytest.raises(QuotaReached, match="archive is full: its quota of bytes is used up"):
            await archive.store(size)
        assert len(await archive.keys()) == 2
        assert archive.metrics.quota_refusals._value.get() == 1
        before = archive.quota.stand().used
        await archive.quota.look()
        # As it lies there: with the file meta information.
        assert before <= archive.quota.stand().used <= before + 2000


@pytest.mark.parametrize("size", [16, 1400], ids=["small", "streamed"])
async def test_at_the_quota_an_object_is_read_to_its_end_and_refused(tmp_path: Path, size: int) -> None:
    async with room(tmp_path, limit=1000, settled=1000) as archive:
        data, instance = made(size)
        sink = archive.receive(data, instance)
        assert sink.failed
        with pytest.raises(QuotaReached):
            await archive.writer.commit(sink)
        assert await archive.keys() == []


async def test_objects_that_come_together_do_not_go_beyond_it(tmp_path: Path) -> None:
    length = len(made(64)[0])
    async with room(tmp_path, limit=length * 5 + 100) as archive:
        outcomes = await asyncio.gather(*(archive.store(64) for _ in range(12)), return_exceptions=True)
        assert len([outcome for outcome in outcomes if isinstance(outcome, int)]) == 5
        assert len([outcome for outcome in outcomes if isinstance(outcome, QuotaReached)]) == 7
        assert len(await archive.keys()) == 5


async def test_what_is_refused_for_another_reason_takes_no_room(tmp_path: Path) -> None:
    data, instance = made(64)
    async with room(tmp_path, limit=len(data) + 100) as archive:
        for _ in range(3):
            with pytest.raises(MismatchedDataSet):
                await archive.writer.commit(archive.receive(data, new_uid()))
        assert archive.quota.stand().used == 0
        sink = archive.writer.receive(SENDER, Announced(CT, instance, EXPLICIT), NotAuthorised("may not"))
        with pytest.raises(NotAuthorised):
            await archive.writer.commit(archive.feed(sink, data))
        await archive.writer.commit(archive.receive(data, instance))
        assert archive.quota.stand().used == len(data)
        # At the quota, too, the reason is its own.
        sink = archive.writer.receive(SENDER, Announced(CT, instance, EXPLICIT), NotAuthorised("may not"))
        with pytest.raises(NotAuthorised):
            await archive.writer.commit(archive.feed(sink, data))
        assert archive.metrics.quota_refusals._value.get() == 0


@pytest.mark.parametrize("settled", [1000, 999], ids=["full", "hardly room"])
async def test_a_rejection_note_is_stored_beyond_it(tmp_path: Path, settled: int) -> None:
    async with room(tmp_path, limit=1000, settled=settled) as archive:
        data, instance = made(16, SOPClassUID=KEY_OBJECT_SELECTION)
        await archive.writer.commit(archive.receive(data, instance, KEY_OBJECT_SELECTION, REJECTING))
        assert archive.quota.stand().used == settled + len(data)
        # From who may not reject it is an object as any other.
        with pytest.raises(QuotaReached):
            await archive.writer.commit(archive.receive(data, instance, KEY_OBJECT_SELECTION, SENDER))


async def test_a_key_object_selection_that_rejects_nothing_makes_no_room_and_is_refused(tmp_path: Path) -> None:
    async with room(tmp_path, limit=1000, settled=1000, hides=False) as archive:
        data, instance = made(16, SOPClassUID=KEY_OBJECT_SELECTION)
        with pytest.raises(QuotaReached):
            await archive.writer.commit(archive.receive(data, instance, KEY_OBJECT_SELECTION, REJECTING))
        assert await archive.keys() == []
        assert archive.metrics.quota_refusals._value.get() == 1


async def test_what_is_only_announced_as_a_note_is_not(tmp_path: Path) -> None:
    """A file of a request over HTTP is of the class that its data set names, whatever its meta information says."""
    async with room(tmp_path, limit=1000, settled=1000) as archive:
        data, instance = made(16)
        announced = Announced(KEY_OBJECT_SELECTION, instance, EXPLICIT, classes={CT, KEY_OBJECT_SELECTION})
        sink = archive.feed(archive.writer.receive(REJECTING, announced), data)
        with pytest.raises(QuotaReached):
            await archive.writer.commit(sink)
        assert await archive.keys() == []
