"""Wiring of the ingest role."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from gantry.common.clock import Clock
from gantry.common.dicom.standard.sop_classes import StorageClasses
from gantry.common.net import Association, Service
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import EventLog
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import Ability
from gantry.common.web.routes import Resource
from gantry.common.web.server import Handler
from gantry.services.ingest.c_store import StorageService
from gantry.services.ingest.commit import IngestSettings, InstanceWriter
from gantry.services.ingest.stow.handler import StoreInstances


def build(
    store: BlobStore,
    log: EventLog,
    clock: Clock,
    metrics: Metrics,
    may_store: Callable[[Association], bool] = lambda _: True,
    settings: IngestSettings | None = None,
    private_sop_classes: Sequence[str] = (),
    stall: float = 60.0,
    public_url: str | None = None,
) -> tuple[list[Service], dict[Resource, Handler]]:
    """What this role serves over DIMSE and over HTTP. Any transfer syntax is accepted; an HTTP body may stall for
    `stall` seconds; `public_url` is the URL by which senders reach this server, if it is known."""
    workers = ThreadPoolExecutor(2, thread_name_prefix="ingest")
    writer = InstanceWriter(store, log, clock, workers, metrics, settings)
    classes = StorageClasses(private_sop_classes)
    storage = StorageService({uid: Ability() for uid in classes}, writer, may_store)
    return [storage], {Resource.STORE: StoreInstances(writer, classes, stall, public_url)}
