"""What earlier releases sealed of orders: names move into objects, and can be erased from there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from gantry.common.adapters.files import FileStore, open_file_store
from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.adapters.sqlite.orders.index import SqliteOrders
from gantry.common.clock import ManualClock
from gantry.common.events import Event, decode, encode, topic_of
from gantry.common.events.segments import SealedRecord, seal
from gantry.common.ids import ORDER_VALUES, Receipt
from gantry.common.orders import is_apart
from gantry.common.ports.log import Record
from gantry.common.runtime.consumer import Delivery
from gantry.common.runtime.order_follower import Follower
from gantry.common.runtime.order_values import read_values
from gantry.common.runtime.sealed_events import segments
from gantry.common.telemetry.metrics import Metrics
from gantry.services.maintenance.resealing import Resealing
from gantry.services.maintenance.sealing import Archiver, segment_key
from tests.support.orders import attributes, cancelled, changed, created, erased, placed, set_

OLD = [placed(), changed(attributes(PatientName="Doe^Joan")), cancelled("S1"), created(), set_()]


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[FileStore]:
    opened = await open_file_store(tmp_path / "objects", low_water=0)
    yield opened
    await opened.close()


async def old_segment(objects: FileStore, clock: ManualClock, events: Sequence[Event], name: str = ".seg") -> str:
    """As an earlier release sealed it; `.bare.seg`: which had no headers in it."""
    clock.advance(1)
    records = [SealedRecord(topic_of(event)[0].name, topic_of(event)[1], 5, encode(event)) for event in events]
    key = segment_key("default", Receipt.at(clock.now_us())).removesuffix(".seg") + name
    await objects.put(key, [seal(records)])
    return key


async def sealed(objects: FileStore, clock: ManualClock) -> list[bytes]:
    now_ms = clock.now_us() // 1000
    return [record.payload async for segment in segments(objects, "default", 0, now_ms) for record in segment.records]


async def values(objects: FileStore) -> list[str]:
    return [stat.key async for stat in objects.list(f"{ORDER_VALUES}/")]


@pytest.mark.parametrize("name", [".seg", ".bare.seg"])
async def test_names_move_from_sealed_orders_into_objects(objects: FileStore, name: str) -> None:
    clock = ManualClock()
    await old_segment(objects, clock, OLD, name)
    done = await Resealing(objects, clock, "default").run()
    assert (done.segments, done.resealed, done.records) == (1, 1, 5)
    payloads = await sealed(objects, clock)
    assert not any(mark in payload for mark in (b"Doe", b"P1") for payload in payloads)
    events = [decode(payload) for payload in payloads]
    assert [is_apart(event) for event in events] == [True, True, False, True, True]
    read = await read_values(objects, events)
    assert [getattr(event, "attributes", None) for event in read] == [
        getattr(event, "attributes", None) for event in OLD
    ]
    assert (await Resealing(objects, clock, "default").run()).resealed == 0


async def test_an_archiver_seals_no_names_of_what_an_earlier_release_left_on_the_log(objects: FileStore) -> None:
    clock = ManualClock()
    deliveries = [Delivery(Record("orders", 0, n, "A1", encode(event), 5), event) for n, event in enumerate(OLD[:3])]
    archiver = Archiver(objects, clock, Metrics())
    await archiver(deliveries)
    await archiver(deliveries)
    payloads = await sealed(objects, clock)
    assert len(payloads) == 6
    assert not any(b"Doe" in payload for payload in payloads)
    # The same event is the same object, however often it is sealed.
    assert len(await values(objects)) == 2


async def test_an_order_that_is_erased_takes_what_was_moved_of_it(objects: FileStore, tmp_path: Path) -> None:
    clock = ManualClock()
    await old_segment(objects, clock, OLD)
    await Resealing(objects, clock, "default").run()
    assert len(await values(objects)) == 4
    log = await open_sqlite_log(tmp_path / "log.db", clock)
    await log.append(*OLD, erased("1.2.840.5", known="c3"))
    orders = SqliteOrders()
    follower = Follower(objects, log, orders, clock, Metrics())
    for topic in ("procedure-steps", "orders"):
        await follower._apply([record async for record in log.replay(topic)])
    assert await values(objects) == []
    await orders.close()
    await log.close()
