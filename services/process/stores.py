"""The three ports, opened: the only module that maps a URL to a backend."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from gantry.common.access.views import views_of
from gantry.common.adapters.files import DEFAULT_FSYNC_WORKERS, open_file_store
from gantry.common.adapters.sqlite.index.index import open_sqlite_index
from gantry.common.adapters.sqlite.log.log import open_sqlite_log
from gantry.common.adapters.sqlite.orders.index import SqliteOrders
from gantry.common.clock import Clock
from gantry.common.config.secret_files import secret_of
from gantry.common.config.settings import Settings
from gantry.common.config.tls import trusting
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.encryption.data_keys import ROOT as DATA_KEYS
from gantry.common.errors import ConfigError, DependencyUnavailable
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle import HOT
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.ports.orders import OrderIndex
from gantry.common.runtime.encrypted.keys import DataKeys
from gantry.common.runtime.encrypted.store import EncryptedStore
from gantry.common.runtime.in_place.store import ReferringStore
from gantry.common.runtime.packed.store import PackedStore
from gantry.common.runtime.tiered import TieredStore, marked
from gantry.common.runtime.viewed_index import ViewedIndex
from gantry.common.telemetry.logs import get_logger
from gantry.services.process.in_place_stores import InPlaceStores
from gantry.services.process.key_services import key_service
from gantry.services.process.late_stores import Late, LateBlobStore, LateEventLog, LateSearchIndex
from gantry.services.process.searchable import searchable

if TYPE_CHECKING:
    from gantry.common.adapters.kafka import KafkaCluster
    from gantry.common.adapters.opensearch import OpenSearchCluster

T = TypeVar("T", BlobStore, EventLog, SearchIndex)
logger = get_logger("stores")
DESTROYED = "state/destroyed"
"""An object with this key marks an archive that is being destroyed: no process may begin to work on it."""


@dataclass(slots=True)
class Stores:
    """The three ports, opened; `late` are those that are not open yet. `tiers` is `objects` if there is more than one
    store, `in_place` is the store with references to objects in place, `keys` are the data keys of each object store
    that encrypts, by its name."""

    objects: BlobStore
    log: EventLog
    index: SearchIndex
    in_place: ReferringStore
    tiers: TieredStore | None = None
    late: list[Late[Any]] = field(default_factory=list)
    keys: dict[str, DataKeys] = field(default_factory=dict)

    async def close(self) -> None:
        """Close all of them, even if one of them fails."""
        for store in (self.log, self.index, self.objects):
            await _close(store)


async def open_side_index(path: Path, attributes: AttributeTable) -> SearchIndex:
    """A small index in its own file, beside that of the archive."""
    return await open_sqlite_index(path, attributes)


async def open_blobs(settings: Settings, clock: Clock) -> dict[str, BlobStore]:
    """Each object store by its name, with its objects as stored: encrypted ones stay encrypted. Raises `ConfigError`,
    `DependencyUnavailable`."""
    opened: dict[str, BlobStore] = {}
    for name, url in {HOT: settings.objects_url, **{store.name: store.url for store in settings.tiers.stores}}.items():
        opened[name] = await _opener(settings, clock, url, ingests=False)()
    return opened


async def open_hot_blobs(settings: Settings, clock: Clock) -> BlobStore:
    """The object store for new objects, with its objects as stored. Raises `ConfigError`, `DependencyUnavailable`."""
    return await _opener(settings, clock, settings.objects_url, ingests=False)()


async def _objects(
    settings: Settings, clock: Clock, ingests: bool, late: list[Late[Any]] | None
) -> tuple[ReferringStore, TieredStore | None, dict[str, DataKeys]]:
    """The object store, the tiered store if there are `tiers.stores`, and the data keys of each."""
    urls = {HOT: settings.objects_url, **{store.name: store.url for store in settings.tiers.stores}}
    compressing = {store.name for store in settings.tiers.stores if store.compress}
    service = key_service(settings.encryption)
    opened: dict[str, BlobStore] = {}
    keys: dict[str, DataKeys] = {}
    try:
        for name, url in urls.items():
            # Only the store for new objects is prepared.
            make = _opener(settings, clock, url, ingests and name == HOT)
            called = "object store" if name == HOT else f"object store {name}"
            opened[name] = await _opened(Late(called, make, clock), LateBlobStore, late)
            if service is not None:
                keys[name] = DataKeys(opened[name], service, clock)
                opened[name] = EncryptedStore(opened[name], keys[name])
            if name in compressing:
                opened[name] = PackedStore(opened[name])
    except BaseException:
        for store in opened.values():
            await _close(store)
        raise
    hot = ReferringStore(opened.pop(HOT), InPlaceStores(settings, clock))
    return hot, (TieredStore(hot, opened, compressing) if opened else None), keys


async def _require_named(objects: BlobStore, settings: Settings) -> None:
    """Refuse settings that omit a store with objects: these would count as lost. Raises `ConfigError`."""
    try:
        if [stat async for stat in objects.list(DESTROYED)]:
            raise ConfigError("storage.objects", None, "this archive is being destroyed: `gantry destroy` ends it")
        needed = await marked(objects)
        encrypted = not settings.encryption.is_on and [stat.key async for stat in objects.list(DATA_KEYS)]
    except DependencyUnavailable:
        return  # it is late; requests are refused until then
    if encrypted:
        raise ConfigError("encryption", None, "objects are encrypted: name their keys again, in `encryption`")
    missing = sorted(needed.stores - {store.name for store in settings.tiers.stores})
    if missing:
        raise ConfigError(
            "tiers.stores",
            None,
            f"objects are in {', '.join(missing)}: name each of them, or move its objects back first",
        )
    unread = sorted(needed.compressed - {store.name for store in settings.tiers.stores if store.compress})
    if unread:
        raise ConfigError(
            "tiers.stores",
            None,
            f"objects are compressed in {', '.join(unread)}: set `compress: true` again, or move them back first",
        )


def _opener(settings: Settings, clock: Clock, url: str, ingests: bool) -> Callable[[], Awaitable[BlobStore]]:
    parts = {"storage.objects": urlsplit(url)}
    make = _factory(OBJECTS, "storage.objects", parts)
    return lambda: make(settings, clock, ingests)


async def open_stores(
    settings: Settings,
    clock: Clock,
    *,
    wait: bool = False,
    worker: int = 0,
    ingests: bool = False,
    any_index: bool = False,
) -> Stores:
    """Open the stores of the settings. `worker` distinguishes the processes of one supervisor; with `ingests` the
    object store is prepared for many objects at once; with `any_index` the index may be of another release, in order to
    be rebuilt.

    Raises `ConfigError`, and `DependencyUnavailable` if a store is unavailable; with `wait`, that store is `late`
    instead: calls to it are refused until the caller's `keep_trying` has opened it.
    """
    settings = _own_member(settings, worker)
    parts = {
        "storage.objects": urlsplit(settings.objects_url),
        **{f"tiers.stores {store.name}": urlsplit(store.url) for store in settings.tiers.stores},
        "storage.log": urlsplit(settings.log_url),
        "storage.index": urlsplit(settings.index_url),
    }
    await asyncio.to_thread(_make_folders, parts.values())
    late: list[Late[Any]] | None = [] if wait else None
    opened: list[BlobStore | EventLog | SearchIndex] = []
    try:
        in_place, tiers, keys = await _objects(settings, clock, ingests, late)
        objects = tiers or in_place
        opened.append(objects)
        await _require_named(objects, settings)
        make_log = _factory(LOGS, "storage.log", parts)
        log = await _opened(Late("event log", lambda: make_log(settings, clock, objects), clock), LateEventLog, late)
        opened.append(log)
        make_index = _factory(INDEXES, "storage.index", parts)
        index = await _opened(
            Late("index", lambda: _viewed(make_index(settings, clock, any_index), settings, any_index), clock),
            LateSearchIndex,
            late,
        )
    except BaseException:
        for store in reversed(opened):
            await _close(store)
        raise
    return Stores(objects, log, index, in_place, tiers, late or [], keys)


async def _viewed(opening: Awaitable[SearchIndex], settings: Settings, any_index: bool) -> SearchIndex:
    """The index, with the views of rejected instances beside the default; an index that may be of another release is
    not queried."""
    viewed = ViewedIndex(await opening, views_of(settings.lifecycle.views))
    if any_index:
        return viewed
    try:
        await viewed.begin(DEFAULT_PARTITION)
    except BaseException:
        await viewed.close()
        raise
    return viewed


def check_urls(settings: Settings) -> None:
    """Check the URLs of the stores, without opening anything. Raises `ConfigError`."""
    for setting, text, schemes in (
        ("storage.objects", settings.objects_url, list(OBJECTS)),
        *(("tiers.stores", store.url, list(OBJECTS)) for store in settings.tiers.stores),
        *(("storage.in_place", store.url, list(OBJECTS)) for store in settings.storage.in_place),
        ("storage.log", settings.log_url, list(LOGS)),
        ("storage.index", settings.index_url, list(INDEXES)),
    ):
        url = urlsplit(text)
        _require_scheme(url, setting, schemes)
        if url.scheme in ("file", "sqlite"):
            _path(url, setting)
        elif not url.netloc or "@" in url.netloc:
            raise ConfigError(setting, None, f"{_without_password(url)!r}: {url.scheme}://NAME is needed, no password")
        elif url.scheme in ("kafka", "opensearch"):
            _require_ports(url, setting)


def _require_ports(url: SplitResult, setting: str) -> None:
    for server in url.netloc.split(","):
        host, _, port = server.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ConfigError(setting, None, f"{server!r} is not HOST:PORT")


def _without_password(url: SplitResult) -> str:
    return url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()


def _make_folders(urls: Iterable[SplitResult]) -> None:
    """Create the folders of embedded stores, for owner and group only: they hold patient data."""
    for url in urls:
        if url.scheme in ("file", "sqlite") and url.path:
            above = Path(url.path).parent
            with suppress(OSError):  # opening the store reports what is wrong with it
                for folder in (*reversed(above.parents), above):
                    if not folder.exists():
                        folder.mkdir(0o750, exist_ok=True)  # another process may create it now


def _own_member(settings: Settings, worker: int) -> Settings:
    """Settings with a member id of this worker: two processes with one static member id would evict each other."""
    kafka = settings.kafka
    if kafka.instance_id is None:
        return settings
    own = kafka.model_copy(update={"instance_id": f"{kafka.instance_id}-{worker}"})
    return settings.model_copy(update={"kafka": own})


def _factory(
    table: dict[str, Callable[..., Awaitable[T]]], setting: str, urls: dict[str, SplitResult]
) -> Callable[..., Awaitable[T]]:
    """The function that opens the store of a URL. Raises `ConfigError`."""
    url = urls[setting]
    _require_scheme(url, setting, list(table))
    return partial(table[url.scheme], url)


def _require_scheme(url: SplitResult, setting: str, schemes: list[str]) -> None:
    if url.scheme not in schemes:
        raise ConfigError(
            setting, None, f"{url.geturl()!r}: a URL of {', '.join(f'{s}://' for s in schemes)} is needed"
        )


async def _opened(handle: Late[T], refusing: Callable[[Late[T]], T], late: list[Late[Any]] | None) -> T:
    """The store; if it is unavailable, one that refuses calls until it is open, which is added to `late`. Raises
    `DependencyUnavailable` if there is no `late`."""
    store = await handle.first_try()
    if store is not None:
        return store
    if late is None:
        return handle.get()
    late.append(handle)
    return refusing(handle)


async def _close(store: BlobStore | EventLog | SearchIndex) -> None:
    try:
        await store.close()
    except Exception as error:
        logger.error("store did not close", error=error)


def _path(url: SplitResult, setting: str) -> Path:
    if url.netloc or not url.path.startswith("/"):
        raise ConfigError(setting, None, f"{url.geturl()!r} is not of the form {url.scheme}:///path")
    return Path(url.path)


async def _files(url: SplitResult, settings: Settings, clock: Clock, ingests: bool) -> BlobStore:
    return await open_file_store(
        _path(url, "storage.objects"),
        fsync_workers=DEFAULT_FSYNC_WORKERS if ingests else 0,
        low_water=settings.storage.low_water,
    )


async def _s3(url: SplitResult, settings: Settings, clock: Clock, ingests: bool) -> BlobStore:
    from gantry.common.adapters.s3 import S3Bucket, open_s3_store  # its client libraries take 20 MB and half a second

    if not url.netloc:
        raise ConfigError("storage.objects", None, f"{url.geturl()!r} does not name a bucket: s3://BUCKET")
    s3 = settings.s3
    bucket = S3Bucket(
        url.netloc,
        url.path.strip("/"),
        endpoint=s3.endpoint,
        region=s3.region,
        addressing=s3.addressing,
        access_key=s3.access_key,
        secret_key=secret_of(s3.secret_key_file, "s3.secret_key_file"),
        deadline=settings.storage.deadline,
        connections=s3.connections,
        part_size=s3.part_size,
        parts_in_flight=s3.parts_in_flight,
        encryption=s3.encryption,
        kms_key=s3.kms_key,
        create=s3.create_bucket,
        restore_days=settings.tiers.restore_days,
        restore_tier=settings.tiers.restore_tier,
        tls=trusting(s3.ca) if s3.ca is not None else None,
        ca_file=str(s3.ca) if s3.ca is not None else None,
    )
    return await open_s3_store(bucket, clock)


async def _sqlite_log(url: SplitResult, settings: Settings, clock: Clock, objects: BlobStore) -> EventLog:
    return await open_sqlite_log(_path(url, "storage.log"), clock, deadline=settings.storage.deadline)


async def _kafka(url: SplitResult, settings: Settings, clock: Clock, objects: BlobStore) -> EventLog:
    from gantry.common.adapters.kafka import open_kafka_log

    return await open_kafka_log(kafka_cluster(url, settings), clock, objects)


def kafka_cluster(url: SplitResult, settings: Settings) -> KafkaCluster:
    """The brokers of a URL. Raises `ConfigError`."""
    from gantry.common.adapters.kafka import KafkaCluster

    if not url.netloc or "@" in url.netloc:
        raise ConfigError("storage.log", None, "kafka://HOST:PORT,HOST:PORT/PREFIX is needed, without a password")
    kafka = settings.kafka
    return KafkaCluster(
        tuple(url.netloc.split(",")),
        url.path.strip("/") or "gantry",
        replication=kafka.replication,
        min_insync=kafka.min_insync,
        deadline=settings.storage.deadline,
        max_event=kafka.max_event,
        compression=kafka.compression,
        session_timeout=kafka.session_timeout,
        instance_id=kafka.instance_id,
        tls=trusting(kafka.ca) if kafka.tls else None,
        sasl=kafka.sasl,
        username=kafka.username,
        password=secret_of(kafka.password_file, "kafka.password_file"),
    )


async def _sqlite_index(url: SplitResult, settings: Settings, clock: Clock, any_index: bool) -> SearchIndex:
    return await open_sqlite_index(_path(url, "storage.index"), searchable(settings))


OBJECTS: dict[str, Callable[..., Awaitable[BlobStore]]] = {"file": _files, "s3": _s3}
LOGS: dict[str, Callable[..., Awaitable[EventLog]]] = {"sqlite": _sqlite_log, "kafka": _kafka}


async def _opensearch(url: SplitResult, settings: Settings, clock: Clock, any_index: bool) -> SearchIndex:
    from gantry.common.adapters.opensearch import open_opensearch_index

    cluster, keep = opensearch_cluster(url, settings), settings.opensearch.keep_replaced
    return await open_opensearch_index(cluster, clock, keep, searchable(settings), any_version=any_index)


def opensearch_cluster(url: SplitResult, settings: Settings) -> OpenSearchCluster:
    """The nodes of a URL. Raises `ConfigError`."""
    from gantry.common.adapters.opensearch import OpenSearchCluster

    if not url.netloc or "@" in url.netloc:
        reason = "opensearch://HOST:PORT,HOST:PORT/PREFIX is needed, without a password"
        raise ConfigError("storage.index", None, reason)
    opensearch = settings.opensearch
    return OpenSearchCluster(
        tuple(url.netloc.split(",")),
        url.path.strip("/") or "gantry",
        shards=opensearch.shards,
        replicas=opensearch.replicas,
        deadline=settings.storage.deadline,
        connections=opensearch.connections,
        tls=trusting(opensearch.ca) if opensearch.tls else None,
        username=opensearch.username,
        password=secret_of(opensearch.password_file, "opensearch.password_file"),
    )


INDEXES: dict[str, Callable[..., Awaitable[SearchIndex]]] = {"sqlite": _sqlite_index, "opensearch": _opensearch}


def open_orders() -> OrderIndex:
    """An empty projection of orders; the caller fills it from the log."""
    return SqliteOrders()
