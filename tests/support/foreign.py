"""A bucket or folder of somebody else, for archives that serve its objects in place."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiobotocore.session import get_session

from gantry.common.adapters.s3 import S3Bucket
from tests.support.archive import RunningArchive
from tests.support.buckets import make_bucket


class Foreign:
    """A folder in the embedded topology, a bucket in a cluster, beside the archive's own objects."""

    def __init__(self, archive: RunningArchive, name: str = "old") -> None:
        self.name = name
        self.folder = archive.folder / name
        self.bucket: S3Bucket | None = None
        if archive.environment.get("GANTRY_STORAGE__OBJECTS") is None:
            self.folder.mkdir()
            self.setting = f"{{name: {name}, url: 'file://{self.folder}'}}"
            return
        secret = archive.environment["GANTRY_S3__SECRET_KEY_FILE"]
        bucket = self.bucket = S3Bucket(
            f"foreign-{uuid4().hex[:12]}",
            endpoint=archive.environment["GANTRY_S3__ENDPOINT"],
            access_key=archive.environment["GANTRY_S3__ACCESS_KEY"],
            secret_key=Path(secret).read_text(),
        )
        _elsewhere(lambda: make_bucket(bucket))
        self.setting = (
            f"{{name: {name}, url: 's3://{bucket.name}', endpoint: '{bucket.endpoint}', "
            f"access_key: {bucket.access_key}, secret_key_file: {secret}}}"
        )

    def put(self, key: str, content: bytes) -> None:
        if self.bucket is None:
            path = self.folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        else:
            self._call("put_object", Key=key, Body=content)

    def remove(self, key: str) -> None:
        if self.bucket is None:
            (self.folder / key).unlink()
        else:
            self._call("delete_object", Key=key)

    def put_all(self, keys: Sequence[str], content: bytes) -> None:
        """Store the same bytes under many keys."""
        if self.bucket is None:
            for key in keys:
                self.put(key, content)
            return

        async def put(client: Any, bucket: str) -> None:
            for start in range(0, len(keys), 50):
                puts = [client.put_object(Bucket=bucket, Key=key, Body=content) for key in keys[start : start + 50]]
                await asyncio.gather(*puts)

        self._with_client(put)

    def remove_store(self) -> None:
        """Remove the empty folder or bucket itself."""
        if self.bucket is None:
            self.folder.rmdir()
        else:
            self._call("delete_bucket")

    def content(self) -> dict[str, str]:
        """The digests of all objects, by key."""
        if self.bucket is None:
            files = [path for path in self.folder.rglob("*") if path.is_file()]
            return {str(path.relative_to(self.folder)): _digest(path.read_bytes()) for path in files}
        listed = self._call("list_objects_v2").get("Contents", [])
        return {row["Key"]: _digest(self._body(row["Key"])) for row in listed}

    def _body(self, key: str) -> bytes:
        async def read(client: Any, bucket: str) -> bytes:
            answer = await client.get_object(Bucket=bucket, Key=key)
            return bytes(await answer["Body"].read())

        return bytes(self._with_client(read))

    def _call(self, method: str, **arguments: object) -> Any:
        async def call(client: Any, bucket: str) -> Any:
            return await getattr(client, method)(Bucket=bucket, **arguments)

        return self._with_client(call)

    def _with_client(self, work: Callable[[Any, str], Awaitable[Any]]) -> Any:
        bucket = self.bucket
        assert bucket is not None

        async def go() -> Any:
            async with get_session().create_client(
                "s3",
                region_name=bucket.region,
                endpoint_url=bucket.endpoint,
                aws_access_key_id=bucket.access_key,
                aws_secret_access_key=bucket.secret_key,
            ) as client:
                return await work(client, bucket.name)

        return _elsewhere(go)


def _elsewhere(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run work in a thread with its own event loop, since the caller's is running."""

    async def go() -> Any:
        return await work()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(go())).result()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
