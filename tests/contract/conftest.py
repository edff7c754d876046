"""The backends that every contract runs against. A new backend adds an entry here, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from libs.common.adapters.files import open_file_store
from libs.common.ports.blobs import BlobStore

OpenBlobStore = Callable[[], Awaitable[BlobStore]]
"""Opens the same store again each time: what a restart, or another process, sees."""


def _files(folder: Path) -> OpenBlobStore:
    async def open_again() -> BlobStore:
        return await open_file_store(folder / "objects", low_water=0)

    return open_again


BLOB_STORES = {"files": _files}


@pytest.fixture(params=BLOB_STORES)
async def open_blob_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenBlobStore]:
    opened: list[BlobStore] = []
    open_again = BLOB_STORES[request.param](tmp_path)

    async def tracked() -> BlobStore:
        opened.append(await open_again())
        return opened[-1]

    yield tracked
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_blob_store: OpenBlobStore) -> BlobStore:
    return await open_blob_store()
