"""Wiring of the ingest role."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from pynetdicom import sop_class

from libs.common.clock import Clock
from libs.common.net import Association, Service
from libs.common.ports.blobs import BlobStore
from libs.common.ports.log import EventLog
from libs.common.ul import Ability
from services.ingest.handlers import IngestSettings, StorageService

STORAGE_SOP_CLASSES: tuple[str, ...] = tuple(sop_class._STORAGE_CLASSES.values())


def build(
    store: BlobStore,
    log: EventLog,
    clock: Clock,
    may_store: Callable[[Association], bool] = lambda _: True,
    settings: IngestSettings | None = None,
    private_sop_classes: Sequence[str] = (),
) -> list[Service]:
    """The services of this role. Any transfer syntax is taken, as the sender proposes it first."""
    workers = ThreadPoolExecutor(2, thread_name_prefix="ingest")
    storage = {uid: Ability() for uid in (*STORAGE_SOP_CLASSES, *private_sop_classes)}
    return [StorageService(storage, store, log, clock, workers, may_store, settings)]
