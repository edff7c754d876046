"""The promise, in its order: receive, store, publish, answer.

PS3.4 B.2.3: Success is sent only when the object's bytes are durable in the object store and its event is acknowledged
by the log. A crash before that leaves at most an object that no event names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from prometheus_client import Counter, Histogram

from libs.common.clock import Clock
from libs.common.dicom.part10 import file_meta
from libs.common.dicom.scan import Scan
from libs.common.dimse import CommandField
from libs.common.errors import DependencyUnavailable, GantryError, NotAuthorised, RefusedDataSet
from libs.common.events import InstanceStored
from libs.common.ids import DEFAULT_PARTITION, Receipt
from libs.common.net import Association, Request
from libs.common.net.service import SUCCESS
from libs.common.ports.blobs import BlobStore
from libs.common.ports.log import EventLog
from libs.common.runtime.failpoints import FailPoint, reach
from libs.common.telemetry.metrics import Metrics
from libs.common.ul import Abilities
from services.ingest.checks import check_agreement, refuse_command
from services.ingest.receiving import Chunks, ObjectSink, Receipted

_SLOWEST = 20e6
"""Bytes per second that a store must reach for a large object."""


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """`max_object_size` in bytes, `deadline` in seconds for store and log together."""

    max_object_size: int = 16 << 30
    deadline: float = 30.0


class InstanceSink(ObjectSink):
    """The data set of one C-STORE request, with what is known of it from the start."""

    def __init__(
        self,
        request: Request,
        receipt: Receipt,
        stored_at: int,
        store: BlobStore,
        workers: Executor,
        chunks: Chunks,
        settings: IngestSettings,
        refused: RefusedDataSet | None,
    ) -> None:
        command, context = request.command, request.context
        self.receipt = receipt
        self.stored_at = stored_at
        self.partition = DEFAULT_PARTITION
        self.key = receipt.object_key(self.partition)
        self._names = command.sop_class_uid, command.sop_instance_uid
        calling = request.association.calling_ae_title
        head = b"" if refused else file_meta(*self._names, context.transfer_syntax, calling)
        super().__init__(
            store,
            workers,
            chunks,
            self.key,
            head,
            context.transfer_syntax,
            max_size=settings.max_object_size,
            refused=refused,
        )

    def check(self, scan: Scan) -> None:
        check_agreement(scan, *self._names)


class StorageService:
    """C-STORE (PS3.4 Annex B)."""

    def __init__(
        self,
        abilities: Abilities,
        store: BlobStore,
        log: EventLog,
        clock: Clock,
        workers: Executor,
        may_store: Callable[[Association], bool],
        metrics: Metrics,
        settings: IngestSettings | None = None,
    ) -> None:
        self.abilities = abilities
        self._store = store
        self._log = log
        self._clock = clock
        self._workers = workers
        self._chunks = Chunks()
        self._may_store = may_store
        self._metrics = metrics
        self._by_status: dict[int, tuple[Counter, Histogram]] = {}
        self._settings = settings or IngestSettings()

    def receive(self, request: Request) -> InstanceSink:
        now = self._clock.now_us()
        refused = (
            refuse_command(request.command, request.context)
            if self._may_store(request.association)
            else NotAuthorised("this peer may not store")
        )
        receipt = Receipt.at(now)
        return InstanceSink(request, receipt, now, self._store, self._workers, self._chunks, self._settings, refused)

    async def perform(self, request: Request) -> None:
        sink = request.sink
        if request.command.field != CommandField.C_STORE_RQ or not isinstance(sink, InstanceSink):
            await request.fail(0x0211, "only C-STORE is served in this context")
            return
        try:
            await self._keep(request, sink)
        except GantryError as error:
            self._count(sink, error.dicom_status)
            raise
        await reach(FailPoint.BEFORE_ANSWER)
        await request.respond(SUCCESS)
        self._count(sink, SUCCESS)

    async def _keep(self, request: Request, sink: InstanceSink) -> None:
        """Return when the object is durable and its event acknowledged by the log."""
        begun = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._settings.deadline + sink.length / _SLOWEST):
                receipted = await sink.finish()
                put = self._clock.monotonic()
                await reach(FailPoint.AFTER_BLOB_PUT)
                event = stored(request, sink, receipted)
                await reach(FailPoint.BEFORE_PUBLISH)
                await self._log.append(event)
                await reach(FailPoint.AFTER_PUBLISH)
        except TimeoutError:
            raise DependencyUnavailable("object store or event log", "deadline passed") from None
        self._metrics.blob_put_seconds.observe(put - begun)
        self._metrics.event_append_seconds.observe(self._clock.monotonic() - put)

    def _count(self, sink: InstanceSink, status: int) -> None:
        count, seconds = self._counters(status)
        count.inc()
        seconds.observe((self._clock.now_us() - sink.stored_at) / 1e6)
        if status == SUCCESS:
            self._metrics.object_bytes_received.inc(sink.length)

    def _counters(self, status: int) -> tuple[Counter, Histogram]:
        """Looking a label up costs more than counting: once per status is enough."""
        known = self._by_status.get(status)
        if known is None:
            words = f"{status:04X}"
            received, seconds = self._metrics.objects_received, self._metrics.object_receive_seconds
            known = self._by_status[status] = received.labels(words), seconds.labels(words)
        return known


def stored(request: Request, sink: InstanceSink, receipted: Receipted) -> InstanceStored:
    """The event of an object that is durable."""
    scan, association = receipted.scan, request.association
    return InstanceStored(
        partition=sink.partition,
        trace=association.trace,
        receipt=sink.receipt.id,
        stored_at=sink.stored_at,
        study_instance_uid=scan.study_instance_uid,
        series_instance_uid=scan.series_instance_uid,
        sop_class_uid=scan.sop_class_uid,
        sop_instance_uid=scan.sop_instance_uid,
        transfer_syntax_uid=request.context.transfer_syntax,
        object_key=sink.key,
        object_size=receipted.data_set_offset + receipted.data_set_length,
        data_set_offset=receipted.data_set_offset,
        data_set_length=receipted.data_set_length,
        digest=receipted.digest,
        header=scan.header,
        header_length=scan.header_length,
        bulk=scan.bulk,
        pixel_data=scan.pixel_data,
        calling_ae_title=association.calling_ae_title,
        called_ae_title=association.called_ae_title,
        peer_address=association.peer_address,
    )
