"""Reading ahead from a real S3 server that is far away (`gantry.common.ports.blobs`: what `open` promises)."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from blake3 import blake3

from gantry.common.adapters.s3 import S3Bucket, open_s3_store
from gantry.common.adapters.s3.store import S3Store
from gantry.common.clock import SystemClock
from gantry.common.ports.blobs import OPEN_AHEAD
from gantry.common.ports.index import Location
from gantry.services.retrieve.dimse.suboperations import SubOperations
from gantry.services.retrieve.opening import Openings
from gantry.services.retrieve.pixels.converter import Converter
from gantry.services.retrieve.pixels.frame_finder import FrameFinder
from gantry.services.retrieve.reading import Objects
from tests.integration.common.net.conftest import eventually
from tests.integration.services.retrieve.dimse.test_suboperations import sent
from tests.support.buckets import make_bucket
from tests.support.delay import Delay
from tests.support.receiver import EXPLICIT, Receiver
from tests.support.servers import required
from tests.support.wire import CT

FarStore = Callable[[float], Awaitable[tuple[S3Store, Delay]]]


@pytest.fixture
async def far() -> AsyncIterator[FarStore]:
    """A store behind a proxy that adds so many seconds to every call."""
    endpoint, access_key, secret_key = required("s3").address.split()
    host, _, port = endpoint.removeprefix("http://").rpartition(":")
    async with AsyncExitStack() as stack:

        async def open_far(seconds: float) -> tuple[S3Store, Delay]:
            proxy = Delay(host, int(port), seconds)
            bucket = S3Bucket(
                "contract",
                uuid4().hex,
                endpoint=f"http://127.0.0.1:{await proxy.start()}",
                access_key=access_key,
                secret_key=secret_key,
                deadline=3.0,
            )
            await make_bucket(bucket)
            store = await open_s3_store(bucket, SystemClock())
            stack.callback(proxy.cut)
            stack.push_async_callback(store.close)
            return store, proxy

        yield open_far


async def test_an_object_that_was_opened_is_here_before_anybody_asks_for_it(far: FarStore) -> None:
    store, proxy = await far(0.0)
    data = random.Random(1).randbytes(OPEN_AHEAD)
    await store.put("a/b", [data])
    before = proxy.returned
    reader = await store.open("a/b")
    await eventually(lambda: proxy.returned - before > len(data))
    proxy.cut()  # what has not come now never will
    buffer = bytearray(len(data))
    assert await reader.readinto([memoryview(buffer)]) == len(data)
    assert buffer == data
    await reader.close()


async def test_one_association_has_many_requests_under_way_and_gets_every_object(far: FarStore) -> None:
    store, proxy = await far(0.3)
    objects = [random.Random(n).randbytes(10_000) for n in range(24)]
    for number, data in enumerate(objects):
        await store.put(f"o/{number}", [data])
    locations = [
        Location(
            "1.2", "1.2.3", f"1.2.3.{n}", CT, EXPLICIT, f"o/{n}", 0, len(data), f"blake3:{blake3(data).hexdigest()}"
        )
        for n, data in enumerate(objects)
    ]
    proxy.most_at_once = 0
    destination = Receiver()
    destination.port = await destination.server.start("127.0.0.1", 0)
    reading = Objects(store)
    openings = Openings(reading, Converter(), FrameFinder(reading))
    operations = SubOperations(openings, per_association=8 << 20)
    async with destination.called(operations) as transfer:
        assert set((await sent(transfer, locations)).values()) == {0}
    await destination.server.drain(1.0)
    assert dict(destination.service.received) == {
        location.sop_instance_uid: data for location, data in zip(locations, objects, strict=True)
    }
    assert proxy.most_at_once >= 8
    assert operations.budget.taken == 0
