"""`gantry.common.ports.foreign.ForeignStore` on a foreign bucket, which is only read.

The account needs `s3:ListBucket` and `s3:GetObject`, and should have no more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from gantry.common.adapters.s3.bucket import S3Bucket
from gantry.common.adapters.s3.control import Control
from gantry.common.adapters.s3.reader import S3Reader, open_reader
from gantry.common.adapters.s3.wire import SignedRequests
from gantry.common.clock import Clock
from gantry.common.errors import Corrupt, NotFound
from gantry.common.ports.foreign import ForeignObject


class ForeignBucket:
    """Opened by `open_foreign_bucket`."""

    def __init__(self, wire: SignedRequests, control: Control) -> None:
        self._wire = wire
        self._control = control

    async def list(self, prefix: str = "") -> AsyncIterator[ForeignObject]:
        await self._control.check()
        async for stat, etag in self._control.list_tagged(prefix):
            yield ForeignObject(stat.key, stat.size, etag)

    async def open(self, key: str, tag: str, offset: int = 0, length: int | None = None) -> S3Reader:
        try:
            return await open_reader(self._wire, key, offset, length, tag)
        except NotFound:
            # Servers differ in their answer for a bucket that is gone: it says nothing about its objects.
            await self._control.check()
            raise

    async def stat(self, key: str, tag: str) -> ForeignObject:
        try:
            size, etag = await self._control.etag(key)
        except NotFound:
            await self._control.check()
            raise
        if etag != tag:
            raise Corrupt("an object in place was changed by its owner")
        return ForeignObject(key, size, etag)

    async def check(self) -> None:
        await self._control.check()

    async def close(self) -> None:
        await self._wire.close()
        await self._control.close()


async def open_foreign_bucket(bucket: S3Bucket, clock: Clock) -> ForeignBucket:
    """Open the bucket, without asking it for anything. Raises `ConfigError` if there are no credentials."""
    control = Control(bucket)
    wire = SignedRequests(bucket, clock, control.credentials)
    foreign = ForeignBucket(wire, control)
    try:
        await control.start()
    except BaseException:
        await foreign.close()
        raise
    return foreign
