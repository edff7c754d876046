"""The buckets and folders in place that the settings name: the only module that knows their backends."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

from gantry.common.clock import Clock
from gantry.common.config.secret_files import secret_of
from gantry.common.config.settings import Settings
from gantry.common.config.store_sections import InPlace
from gantry.common.config.tls import trusting
from gantry.common.errors import ConfigError, DependencyUnavailable
from gantry.common.ports.foreign import ForeignStore


class InPlaceStores:
    """`gantry.common.runtime.in_place.store.ForeignStores`: each store is opened on first use."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._named = {store.name: store for store in settings.storage.in_place}
        self._opened: dict[str, ForeignStore] = {}
        self._turn = asyncio.Lock()

    async def get(self, name: str) -> ForeignStore:
        opened = self._opened.get(name)
        if opened is not None:
            return opened
        named = self._named.get(name)
        if named is None:
            raise DependencyUnavailable(f"store in place {name!r}", "storage.in_place does not name it")
        async with self._turn:
            if name not in self._opened:
                try:
                    self._opened[name] = await self._open(named)
                except ConfigError as error:
                    # Only its objects cannot be read; the process continues.
                    raise DependencyUnavailable(f"store in place {name!r}", str(error)) from error
            return self._opened[name]

    async def close(self) -> None:
        async with AsyncExitStack() as closing:
            for store in self._opened.values():
                closing.push_async_callback(store.close)
            self._opened = {}

    async def _open(self, named: InPlace) -> ForeignStore:
        url = urlsplit(named.url)
        if url.scheme == "file":
            from gantry.common.adapters.files.foreign import ForeignFolder

            return ForeignFolder(Path(url.path))
        # Its client libraries take 20 MB and half a second.
        from gantry.common.adapters.s3 import S3Bucket
        from gantry.common.adapters.s3.foreign import open_foreign_bucket

        storage = self._settings.storage
        bucket = S3Bucket(
            url.netloc,
            url.path.strip("/"),
            endpoint=named.endpoint,
            region=named.region,
            addressing=named.addressing,
            access_key=named.access_key,
            secret_key=secret_of(named.secret_key_file, "storage.in_place"),
            deadline=storage.deadline,
            connections=self._settings.s3.connections,
            tls=trusting(named.ca) if named.ca is not None else None,
            ca_file=str(named.ca) if named.ca is not None else None,
        )
        return await open_foreign_bucket(bucket, self._clock)
