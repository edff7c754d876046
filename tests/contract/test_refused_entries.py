"""A document that OpenSearch will never take is dead-lettered and said, never dropped; everything else is indexed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.dicom.query.attributes import STANDARD
from gantry.common.errors import EntryRefused
from gantry.common.events import DeadLetter, decode
from gantry.common.telemetry.metrics import Metrics
from gantry.services.indexer.app import build_consumer
from gantry.services.indexer.rebuild import Rebuild
from tests.contract.conftest import SEARCH_INDEXES
from tests.support.entries import entry
from tests.support.facts import stored
from tests.support.following import indexed
from tests.support.servers import remove_indices

# No UID that ingest takes is as long as that; an id of OpenSearch has at most 512 bytes.
IMPOSSIBLE = "1." * 300 + "1"


@pytest.fixture
async def index(tmp_path: Path) -> object:
    opened = await SEARCH_INDEXES["opensearch"](tmp_path)
    yield opened
    await opened.close()
    remove_indices(opened._cluster.prefix)  # type: ignore[attr-defined]


async def test_the_index_says_which_entry_it_refuses(index: object) -> None:
    with pytest.raises(EntryRefused) as refused:
        await index.apply([entry(1), entry(2, IMPOSSIBLE), entry(3, "1.9.3")])  # type: ignore[attr-defined]
    assert refused.value.position == 1
    assert IMPOSSIBLE not in str(refused.value)


async def test_it_goes_to_the_dead_letters_and_the_others_are_indexed(index: object, tmp_path: Path) -> None:
    clock, metrics = SystemClock(), Metrics()
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    log = await open_sqlite_log(tmp_path / "log.db", clock)
    header = b"\x10\x00\x20\x00LO\x02\x00P1"
    events = [replace(stored(n), header=header) for n in range(1, 6)]
    events[2] = replace(events[2], sop_instance_uid=IMPOSSIBLE)
    await log.append(*events)
    loop = build_consumer(objects, log, index, clock, metrics, STANDARD)  # type: ignore[arg-type]
    running = asyncio.create_task(loop.run())
    async with asyncio.timeout(60):
        while not await indexed(log):
            await asyncio.sleep(0.05)
    loop.stop()
    await running
    (letter,) = [decode(record.payload) async for record in log.replay("dead-letters")]
    assert isinstance(letter, DeadLetter)
    assert "index refuses an entry" in letter.reason
    assert decode(letter.payload) == replace(events[2], header=None)
    assert (await index.count("default"))["instances"] == 4  # type: ignore[attr-defined]
    # And a rebuild counts it.
    assert await Rebuild(objects, index)(events) == 1  # type: ignore[arg-type]
    assert (await index.count("default"))["instances"] == 4  # type: ignore[attr-defined]
    await log.close()
    await objects.close()
