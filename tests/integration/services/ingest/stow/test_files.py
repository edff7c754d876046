"""Files as they arrive, on real stores: cut anywhere, kept once complete, told what became of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.dicom.encoding.part10 import file_meta, parse_meta
from gantry.common.dicom.standard.sop_classes import StorageClasses
from gantry.common.events import InstanceStored, decode
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.common.ports.log import EventLog
from gantry.common.telemetry.metrics import Metrics
from gantry.services.ingest.commit import IngestSettings, InstanceWriter, Sender
from gantry.services.ingest.stow.files import IncomingFile, IncomingFiles, Settling
from tests.support.dicom import EXPLICIT
from tests.support.objects import CT, data_set, file_bytes

SENDER = Sender("00-" + "1" * 32 + "-" + "2" * 16 + "-01", "ward", "", "127.0.0.1")


@asynccontextmanager
async def keeping(folder: Path, **settings: float) -> AsyncIterator[tuple[InstanceWriter, BlobStore, EventLog]]:
    clock = SystemClock()
    store, log = await open_file_store(folder / "objects"), await open_sqlite_log(folder / "log.db", clock)
    with ThreadPoolExecutor(2) as workers:
        yield InstanceWriter(store, log, clock, workers, Metrics(), IngestSettings(**settings)), store, log  # type: ignore[arg-type]
    await store.close()
    await log.close()


async def told(log: EventLog) -> list[InstanceStored]:
    events = [decode(record.payload) async for record in log.replay("instances")]
    return [event for event in events if isinstance(event, InstanceStored)]


async def keys(store: BlobStore) -> list[str]:
    return [blob.key async for blob in store.list()]


@pytest.mark.parametrize("size", [1, 7, 131, 133, 400, 100_000])
async def test_a_file_cut_anywhere_is_kept_bit_for_bit(size: int, tmp_path: Path) -> None:
    made = data_set(size=16)
    content = file_bytes(made)
    async with keeping(tmp_path) as (writer, store, log):
        file = IncomingFile(writer, SENDER, {CT})
        for at in range(0, len(content), size):
            await file.feed(content[at : at + size])
        outcome = await file.settle()
        assert (outcome.failure, outcome.sop_instance_uid) == (0, made.SOPInstanceUID)
        [event] = await told(log)
        assert (event.calling_ae_title, event.trace) == ("ward", SENDER.trace)
        reader = await store.open(event.object_key, event.data_set_offset)
        buffer = bytearray(event.data_set_length)
        await reader.readinto([memoryview(buffer)])
        await reader.close()
        assert content.endswith(buffer)
        assert len(buffer) < len(content)


async def test_a_file_that_is_forgotten_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    content = file_bytes(data_set(size=1500))
    async with keeping(tmp_path) as (writer, store, log):
        files = IncomingFiles(writer, SENDER, {CT}, "", "application/dicom", settling := Settling())
        files.begin({})
        for at in range(0, len(content) - 10, 65536):
            await files.feed(content[at : at + 65536])
        await files.close()
        await settling.cancel()
        assert await keys(store) == []
        assert await told(log) == []


async def test_an_object_past_the_limit_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    async with keeping(tmp_path, max_object_size=1 << 20) as (writer, store, log):
        file = IncomingFile(writer, SENDER, {CT})
        await file.feed(file_bytes(data_set(size=1500)))
        assert (await file.settle()).failure == 0xA700
        assert await keys(store) == []
        assert await told(log) == []


async def test_outcomes_are_in_the_order_of_the_parts(tmp_path: Path) -> None:
    made = [data_set(size=300 if n % 5 == 0 else 4) for n in range(30)]
    async with keeping(tmp_path) as (writer, _, log):
        files = IncomingFiles(writer, SENDER, {CT}, "", "application/dicom", settling := Settling())
        for dataset in made:
            files.begin({})
            await files.feed(file_bytes(dataset))
            await files.end()
        outcomes = await settling.outcomes()
        assert [outcome.sop_instance_uid for outcome in outcomes] == [dataset.SOPInstanceUID for dataset in made]
        assert len(await told(log)) == 30


def with_meta(made: Dataset, sop_class: str, sop_instance: str) -> bytes:
    """A file whose file meta information names something else than its data set."""
    content = file_bytes(made)
    offset = parse_meta(content).data_set_offset
    return file_meta(sop_class, sop_instance, EXPLICIT) + content[offset:]


@pytest.mark.parametrize("size", [4, 1500])
@pytest.mark.parametrize(("sop_class", "sop_instance"), [(CT, "1.2.3.4"), ("1.2.840.10008.5.1.4.1.1.4", ""), ("", "")])
async def test_the_data_set_says_what_it_is_where_its_file_says_something_else(
    size: int, sop_class: str, sop_instance: str, tmp_path: Path
) -> None:
    """As by C-STORE, where the file meta information never travels. The file that is kept says what is true."""
    made = data_set(size=size)
    async with keeping(tmp_path) as (writer, store, log):
        file = IncomingFile(writer, SENDER, {CT})
        await file.feed(with_meta(made, sop_class, sop_instance))
        outcome = await file.settle()
        assert (outcome.failure, outcome.warning) == (0, 0xB007)
        assert (outcome.sop_class_uid, outcome.sop_instance_uid) == (CT, made.SOPInstanceUID)
        [event] = await told(log)
        meta = parse_meta(await read_whole(store, event.object_key))
        assert (meta.sop_class_uid, meta.sop_instance_uid) == (CT, made.SOPInstanceUID)
        assert meta.data_set_offset == event.data_set_offset


async def test_a_data_set_of_a_class_that_is_not_served_is_refused_whatever_its_file_says(tmp_path: Path) -> None:
    made = data_set(size=4)
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.201.6"
    async with keeping(tmp_path) as (writer, store, log):
        file = IncomingFile(writer, SENDER, StorageClasses())
        await file.feed(with_meta(made, CT, made.SOPInstanceUID))
        assert (await file.settle()).failure == 0x0122
        assert await keys(store) == []
        assert await told(log) == []
