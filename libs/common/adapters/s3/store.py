"""`gantry.common.ports.blobs.BlobStore` in a bucket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from gantry.common.adapters.s3.bucket import S3Bucket
from gantry.common.adapters.s3.control import Control
from gantry.common.adapters.s3.reader import S3Reader, open_reader
from gantry.common.adapters.s3.wire import SignedRequests
from gantry.common.adapters.s3.writer import S3Writer
from gantry.common.clock import Clock
from gantry.common.errors import NotFound
from gantry.common.ids import require_object_key
from gantry.common.ports.blobs import BlobStat, Buffer, Part

_PARTS_AT_ONCE = 32


class S3Store:
    """The object store of the cluster topology. Created by `open_s3_store`.

    An object is visible when its PUT or its multipart upload is complete, and then as durable as the server promises.
    Nothing relies on conditional writes: a key is unique to a receipt.
    """

    def __init__(self, wire: SignedRequests, control: Control, clock: Clock) -> None:
        self._wire = wire
        self._control = control
        self._clock = clock
        self._under_way: set[asyncio.Task[None]] = set()

    async def put(self, key: str, parts: Sequence[Buffer]) -> None:
        require_object_key(key)
        if sum(map(len, parts)) <= self._wire.bucket.part_size:
            await self._put_small(key, parts)
            return
        writer = self.writer(key)
        try:
            for part in parts:
                await writer.write(part)
            await writer.commit()
        except BaseException:
            await writer.abort()
            raise

    def writer(self, key: str) -> S3Writer:
        require_object_key(key)
        return S3Writer(self._wire, self._control, key, lambda parts: self._put_small(key, parts))

    async def open(self, key: str, offset: int = 0, length: int | None = None) -> S3Reader:
        require_object_key(key)
        return await open_reader(self._wire, key, offset, length)

    async def read(self, parts: Sequence[Part]) -> list[bytes]:
        turns = asyncio.Semaphore(_PARTS_AT_ONCE)

        async def read_part(part: Part) -> bytes:
            async with turns:
                reader = await self.open(*part)
                try:
                    buffer = bytearray(max(0, min(part.length, reader.size - part.offset)))
                    return bytes(memoryview(buffer)[: await reader.readinto([memoryview(buffer)])])
                finally:
                    await reader.close()

        tasks = [asyncio.ensure_future(read_part(part)) for part in parts]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def stat(self, key: str) -> BlobStat:
        require_object_key(key)
        return await self._control.stat(key)

    async def delete(self, key: str) -> None:
        require_object_key(key)
        try:
            await self._control.delete(key)
        except NotFound:
            return

    async def bring_back(self, key: str) -> None:
        require_object_key(key)
        await self._control.bring_back(key)

    async def list(self, prefix: str = "") -> AsyncIterator[BlobStat]:
        async for stat in self._control.list(prefix):
            yield stat

    async def check(self) -> None:
        await self._control.check()

    async def close(self) -> None:
        if self._under_way:
            await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._wire.close()
        await self._control.close()

    async def sweep_unfinished(self, older_than: float) -> int:
        swept = 0
        for key, upload, age in await self._control.unfinished(self._clock.now_us()):
            if age > older_than:
                try:
                    await self._control.abandon(key, upload)
                except NotFound:
                    continue  # ended meanwhile
                swept += 1
        return swept

    async def _put_small(self, key: str, parts: Sequence[Buffer]) -> None:
        task = asyncio.ensure_future(self._put(key, parts))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        await task

    async def _put(self, key: str, parts: Sequence[Buffer]) -> None:
        await self._wire.put(key, parts, {}, self._wire.bucket.encryption_headers())


async def open_s3_store(bucket: S3Bucket, clock: Clock) -> S3Store:
    """Open the bucket. Raises `DependencyUnavailable` while the server or the bucket is unavailable, `ConfigError` if
    there are no credentials."""
    control = Control(bucket)
    wire = SignedRequests(bucket, clock, control.credentials)
    store = S3Store(wire, control, clock)
    try:
        await control.start()
        if bucket.create:
            await control.make()
        await store.check()
    except BaseException:
        await store.close()
        raise
    return store
