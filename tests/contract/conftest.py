"""The backends that every contract runs against. A new backend adds an entry here, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
from blake3 import blake3

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.kafka import KafkaCluster, open_kafka_log
from gantry.common.adapters.key_file import KeyFile, line_of
from gantry.common.adapters.opensearch import OpenSearchCluster, open_opensearch_index
from gantry.common.adapters.s3 import S3Bucket, open_s3_store
from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.clock import ManualClock, SystemClock
from gantry.common.errors import DependencyUnavailable
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.foreign import ForeignStore
from gantry.common.ports.index import SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.encrypted.keys import DataKeys
from gantry.common.runtime.encrypted.store import EncryptedStore
from gantry.common.runtime.in_place.store import ReferringStore
from gantry.common.runtime.packed.store import PackedStore
from gantry.common.runtime.tiered import TieredStore
from tests.support.buckets import make_bucket
from tests.support.servers import remove_indices, required
from tests.support.topology import remove_topics

OpenBlobStore = Callable[[], Awaitable[BlobStore]]
"""Opens the same store again each time: what a restart, or another process, sees."""


def _files(folder: Path) -> OpenBlobStore:
    async def open_again() -> BlobStore:
        return await open_file_store(folder / "objects", low_water=0)

    return open_again


def _files_by_threads(folder: Path) -> OpenBlobStore:
    """As where there is no memory to share with processes."""

    async def open_again() -> BlobStore:
        return await open_file_store(folder / "objects", fsync_workers=0, low_water=0)

    return open_again


def _tiered(folder: Path) -> OpenBlobStore:
    """As where the settings name a second store."""

    async def open_again() -> BlobStore:
        hot, cold = [await open_file_store(folder / name, low_water=0) for name in ("objects", "cold")]
        return TieredStore(hot, {"cold": cold})

    return open_again


def _packed(folder: Path) -> OpenBlobStore:
    """As where the settings name a compressed store."""

    async def open_again() -> BlobStore:
        return PackedStore(await open_file_store(folder / "objects", low_water=0))

    return open_again


def _encrypted(folder: Path) -> OpenBlobStore:
    """As where the settings name a key."""
    keys = folder / "keys"
    if not keys.exists():
        keys.write_text(line_of("first"))

    async def open_again() -> BlobStore:
        inner = await open_file_store(folder / "objects", low_water=0)
        return EncryptedStore(inner, DataKeys(inner, KeyFile(keys), SystemClock()))

    return open_again


class _Nobody:
    """`ForeignStores` of an archive that has nothing in place."""

    async def get(self, name: str) -> ForeignStore:
        raise DependencyUnavailable(name, "it is not in the settings")

    async def close(self) -> None:
        return


def _referring(folder: Path) -> OpenBlobStore:
    """As every archive has it, around whatever the settings name."""

    async def open_again() -> BlobStore:
        return ReferringStore(await open_file_store(folder / "objects", low_water=0), _Nobody())

    return open_again


def _s3(folder: Path) -> OpenBlobStore:
    endpoint, access_key, secret_key = required("s3").address.split()
    prefix = uuid4().hex
    made = False

    async def open_again() -> BlobStore:
        nonlocal made
        bucket = S3Bucket(
            "contract", prefix, endpoint=endpoint, access_key=access_key, secret_key=secret_key, part_size=5 << 20
        )
        if not made:
            await make_bucket(bucket)
            made = True
        return await open_s3_store(bucket, SystemClock())

    return open_again


OpenEventLog = Callable[[], Awaitable[EventLog]]
"""Opens the same log again each time: what a restart, or another process, sees."""


def _sqlite(folder: Path, clock: ManualClock) -> OpenEventLog:
    async def open_again() -> EventLog:
        return await open_sqlite_log(folder / "log.db", clock)

    return open_again


def _kafka(folder: Path, clock: ManualClock) -> OpenEventLog:
    server, prefix = required("kafka"), _prefix(folder)

    async def open_again() -> EventLog:
        cluster = KafkaCluster((server.address,), prefix, replication=1, min_insync=1, session_timeout=6.0)
        return await open_kafka_log(cluster, clock, await open_file_store(folder / "claims", low_water=0))

    return open_again


OpenSearchIndex = Callable[[Path], Awaitable[SearchIndex]]
"""Opens the index that belongs to a folder."""


async def _sqlite_index(folder: Path) -> SearchIndex:
    return await open_sqlite_index(folder / "index.db")


def _prefix(folder: Path) -> str:
    """A folder's name is unique to the test, in whatever process that runs."""
    return f"t{blake3(str(folder).encode()).hexdigest(length=6)}"


async def _opensearch_index(folder: Path) -> SearchIndex:
    address = urlsplit(required("opensearch").address)
    cluster = OpenSearchCluster((address.netloc,), _prefix(folder), replicas=0)
    return await open_opensearch_index(cluster, SystemClock(), linger=0.0)


def _close_indices(folder: Path) -> None:
    address = required("opensearch").address
    urlopen(Request(f"{address}/{_prefix(folder)}-*/_close", method="POST")).close()


def _overwrite(folder: Path) -> None:
    for file in folder.glob("index.db*"):
        file.write_bytes(b"junk" * 100)


BREAK_INDEX: dict[str, Callable[[Path], None]] = {"sqlite": _overwrite, "opensearch": _close_indices}
"""Makes an open index unable to answer."""
SEARCH_INDEXES: dict[str, OpenSearchIndex] = {"sqlite": _sqlite_index, "opensearch": _opensearch_index}
EVENT_LOGS = {"sqlite": _sqlite, "kafka": _kafka}
BLOB_STORES = {
    "files": _files,
    "files by threads": _files_by_threads,
    "s3": _s3,
    "tiered": _tiered,
    "packed": _packed,
    "encrypted": _encrypted,
    "referring": _referring,
}


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


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=EVENT_LOGS)
async def open_event_log(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[OpenEventLog]:
    opened: list[EventLog] = []
    open_again = EVENT_LOGS[request.param](tmp_path, clock)

    async def tracked() -> EventLog:
        opened.append(await open_again())
        return opened[-1]

    yield tracked
    for log in opened:
        await log.close()
    if request.param == "kafka":
        await remove_topics(required("kafka").address, _prefix(tmp_path))


@pytest.fixture
async def log(open_event_log: OpenEventLog) -> EventLog:
    return await open_event_log()


@pytest.fixture(params=SEARCH_INDEXES)
def index_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def open_search_index(index_backend: str, tmp_path: Path) -> Iterator[OpenSearchIndex]:
    yield SEARCH_INDEXES[index_backend]
    if index_backend == "opensearch":
        remove_indices(_prefix(tmp_path))


@pytest.fixture
async def index(open_search_index: OpenSearchIndex, tmp_path: Path) -> AsyncIterator[SearchIndex]:
    opened = await open_search_index(tmp_path)
    yield opened
    await opened.close()
