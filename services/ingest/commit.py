"""The order of the promise: receive, store, publish; then the caller answers the sender.

C-STORE and STOW-RS share this. PS3.4 B.2.3: Success is sent only after the bytes of the object are durable in the
object store and the log has acknowledged its event. A crash before that leaves at most an object without an event,
which the sweeper finds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Counter, Histogram

from gantry.common.clock import Clock
from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.dicom.encoding.values import has_passed, leading_values
from gantry.common.dicom.scan.scanner import Scan
from gantry.common.dicom.standard.dictionary import keyword_of_tag
from gantry.common.dicom.standard.sop_classes import KEY_OBJECT_SELECTION
from gantry.common.errors import ClassNotSupported, DependencyUnavailable, GantryError, QuotaReached, RefusedDataSet
from gantry.common.events import InstanceStored
from gantry.common.ids import DEFAULT_PARTITION, Receipt, is_ae_title
from gantry.common.lifecycle import Coercion
from gantry.common.lifecycle.coercing import NO_ANSWERS, CoercionResult, CoercionRules, SenderRules
from gantry.common.lifecycle.from_orders import Answers, Attributes, OrderOutcome
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import EventLog
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.runtime.order_finding import OrderFinder, answers_of
from gantry.common.runtime.quota.watching import Quota
from gantry.common.statuses import COERCION_OF_DATA_ELEMENTS, SUCCESS
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.rate_limited import RateLimited
from gantry.common.telemetry.spans import step
from gantry.services.ingest.checks import check_agreement
from gantry.services.ingest.object_sink import Chunks, ObjectSink, Receipted

logger = get_logger("ingest")
_SLOWEST = 20e6
"""Bytes per second that a store must reach for a large object."""


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """`max_object_size` in bytes, `deadline` in seconds for store and log together. `warns_of_coercion`: senders of
    coerced objects are answered with a warning."""

    max_object_size: int = 16 << 30
    deadline: float = 30.0
    warns_of_coercion: bool = False


@dataclass(frozen=True, slots=True)
class Sender:
    """The sender, as the event records it. Over HTTP the name of the token takes the place of the AE title."""

    trace: str
    calling_ae_title: str
    called_ae_title: str
    peer_address: str
    may_reject: Container[str] = ()
    """The codes with which the sender may reject, and "revoke"."""


class RejectionGuard(Protocol):
    """Decides on objects that may be rejection notes (`rejection_checks`)."""

    async def check(self, event: InstanceStored, *, may_reject: Container[str]) -> bool: ...

    async def settle(self) -> None: ...


class SubsequentGuard(Protocol):
    """Decides on objects that may have been rejected before (`subsequent_checks`)."""

    async def check(self, event: InstanceStored) -> None: ...


@dataclass(frozen=True, slots=True)
class Announced:
    """What the C-STORE command and the presentation context, or the file meta information, announce of an object before
    its data set arrives. `study_instance_uid` is "" if any study is accepted. The data set must name the same class and
    instance; but if `classes` is given, the data set's own UIDs count, and its class must be one of `classes`."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str = ""
    classes: Container[str] | None = None


class InstanceSink(ObjectSink):
    """The data set of one object, with what was announced of it."""

    def __init__(
        self,
        sender: Sender,
        announced: Announced,
        stored_at: int,
        store: BlobStore,
        workers: Executor,
        chunks: Chunks,
        settings: IngestSettings,
        refused: GantryError | None,
        rules: SenderRules | None = None,
        orders: OrderFinder | None = None,
        in_place: Receipt | None = None,
    ) -> None:
        """`rules` are the coercion rules about the sender; some take values from `orders`. `in_place` is the receipt of
        an object that stays where it is."""
        self._rules = rules
        self._orders = orders
        self._answers: Answers = NO_ANSWERS
        # In a worker thread: a deflated object may inflate to 4 MiB, and other work must not wait for that.
        self.reads_beginning = rules is not None
        self.coercion: Coercion | None = None
        """The result of the coercion rules for the object; known when its bytes are durable."""
        self.changes: CoercionResult | None = None
        self.sender = sender
        self.announced = announced
        self.receipt = in_place or Receipt.at(stored_at)
        self.stored_at = stored_at
        self.partition = DEFAULT_PARTITION
        self.beyond_quota = False
        """Whether the object is stored although the quota is reached, as a rejection note."""
        key_of = self.receipt.object_key if in_place is None else self.receipt.reference_key
        self.key = key_of(self.partition)
        self.names = announced.sop_class_uid, announced.sop_instance_uid
        super().__init__(
            store,
            workers,
            chunks,
            self.key,
            announced.transfer_syntax_uid,
            max_size=settings.max_object_size,
            refused=refused,
        )

    @property
    def differs(self) -> bool:
        """Whether the data set names another class or instance than was announced, and is stored under its own."""
        return self.names != (self.announced.sop_class_uid, self.announced.sop_instance_uid)

    async def prepare(self, beginning: Sequence[memoryview]) -> None:
        if self._rules is not None and self._rules.asks_orders and self._orders is not None:
            own = await self.in_worker(self._own, self._rules, beginning)
            self._answers = await answers_of(self._rules, own, self.partition, self._orders)

    def _own(self, rules: SenderRules, beginning: Sequence[memoryview]) -> Attributes:
        return leading_values(b"".join(beginning), self.announced.transfer_syntax_uid, rules.reads)

    def head(self, names: tuple[str, str] | None, beginning: Sequence[memoryview]) -> bytes:
        if self._rules is not None:
            own, at = self._own(self._rules, beginning), self.receipt.milliseconds * 1000
            self.coercion, self.changes = self._rules.coercion(own, at, self._answers)
        if names is not None and self.announced.classes is not None:
            self.names = names
        calling = self.sender.calling_ae_title
        private = b"" if self.coercion is None else self.coercion.pack()
        source = calling if is_ae_title(calling) else ""
        return file_meta(*self.names, self.announced.transfer_syntax_uid, source, private)

    def needs_more(self, beginning: Sequence[memoryview]) -> bool:
        assert self._rules is not None
        return not has_passed(b"".join(beginning), self.announced.transfer_syntax_uid, max(self._rules.reads))

    def check(self, scan: Scan) -> None:
        announced = self.announced
        check_agreement(scan, *self.names, announced.study_instance_uid or None)
        if announced.classes is not None and scan.sop_class_uid not in announced.classes:
            raise ClassNotSupported("not a storage sop class that is served")
        if self.beyond_quota and scan.sop_class_uid != KEY_OBJECT_SELECTION:
            raise QuotaReached

    @property
    def may_be_note(self) -> bool:
        """Whether it is announced as a rejection note, by a sender that may reject."""
        return bool(self.sender.may_reject) and self.announced.sop_class_uid == KEY_OBJECT_SELECTION


class InstanceWriter:
    """Receives and commits objects, whatever protocol they arrive by."""

    def __init__(
        self,
        store: BlobStore,
        log: EventLog,
        clock: Clock,
        workers: Executor,
        metrics: Metrics,
        settings: IngestSettings | None = None,
        rejections: RejectionGuard | None = None,
        coercion: CoercionRules | None = None,
        subsequent: SubsequentGuard | None = None,
        orders: OrderFinder | None = None,
        quota: Quota | None = None,
    ) -> None:
        """Without `rejections` a rejection note is an object like any other; `coercion` has the rules for changes on
        receipt, `orders` finds the orders that they take values from; without `subsequent` nothing is refused for an
        earlier rejection. Beyond the `quota`, only rejection notes are stored: they make room."""
        self._quota = quota
        self._coercion = coercion
        self._orders = orders
        self._orders_said = RateLimited()
        self._unfit: set[tuple[str, int]] = set()
        """Rules and attributes for which it was logged that a value does not fit."""
        self._rejections = rejections
        self._subsequent = subsequent
        self._siblings: dict[str, dict[int, asyncio.Future[None]]] = {}
        """Commits under way, by trace: that of an association, or of a request."""
        self._store = store
        self._log = log
        self._clock = clock
        self._workers = workers
        self._chunks = Chunks()
        self._metrics = metrics
        self._by_status: dict[int, tuple[Counter, Histogram]] = {}
        self.settings = settings or IngestSettings()

    def receive(
        self,
        sender: Sender,
        announced: Announced,
        refused: RefusedDataSet | None = None,
        in_place: Receipt | None = None,
    ) -> InstanceSink:
        """A sink for the bytes of an object that begins to arrive now; with `refused` they are read and dropped. With
        `in_place`, the receipt assigned to the object, it stays where it is (`gantry.services.ingest.in_place`)."""
        now = self._clock.now_us()
        rules = None
        if self._coercion is not None:
            rules = self._coercion.of(sender.calling_ae_title, sender.called_ae_title)
        stores = self._store, self._workers, self._chunks
        sink = InstanceSink(sender, announced, now, *stores, self.settings, refused, rules, self._orders, in_place)
        full = None if self._quota is None else self._quota.refuses()
        if full is not None and sink.may_be_note:
            sink.beyond_quota = True
        elif full is not None:
            sink.refuse(full)
        return sink

    async def commit(self, sink: InstanceSink) -> InstanceStored:
        """Store an object that has arrived, and publish its event. Both are durable when this returns.

        Raises `RefusedDataSet` if the data set is refused, `QuotaReached` if it does not fit into the quota,
        `DependencyUnavailable` if the store or the log is unavailable, full or slower than the deadline; the sender may
        then try again.
        """
        begun = self._clock.monotonic()
        siblings = self._siblings.setdefault(sink.sender.trace, {})
        earlier, own = list(siblings.values()), asyncio.get_running_loop().create_future()
        siblings[id(sink)] = own
        try:
            return await self._commit(sink, begun, earlier)
        except QuotaReached:
            if self._quota is not None:
                self._quota.refused(sink.sender.calling_ae_title, sink.sender.peer_address, sink.sender.trace)
            raise
        finally:
            own.set_result(None)
            del siblings[id(sink)]
            if not siblings:
                self._siblings.pop(sink.sender.trace, None)

    async def _commit(
        self, sink: InstanceSink, begun: float, earlier: Sequence[asyncio.Future[None]]
    ) -> InstanceStored:
        try:
            async with asyncio.timeout(self.settings.deadline + sink.length / _SLOWEST):
                with step("object store", bytes=sink.length):
                    receipted = await self._finish(sink)
                put = self._clock.monotonic()
                await reach(FailPoint.AFTER_BLOB_PUT)
                event = stored(sink, receipted)
                rejects = await self._check_rejections(event, sink, earlier)
                if sink.beyond_quota and not rejects:
                    # A note that rejects nothing makes no room.
                    await self._store.delete(event.object_key)
                    raise QuotaReached
                await reach(FailPoint.BEFORE_PUBLISH)
                with step("event log"):
                    await self._log.append(event)
                await reach(FailPoint.AFTER_PUBLISH)
        except TimeoutError:
            raise DependencyUnavailable("object store or event log", "deadline passed") from None
        if sink.changes is not None:
            self._note(sink.changes, event)
        self._metrics.blob_put_seconds.observe(put - begun)
        self._metrics.event_append_seconds.observe(self._clock.monotonic() - put)
        if rejects and self._rejections is not None:
            # Outside the deadline: the note is on the log, so nothing from here on may be reported as a failure.
            await self._rejections.settle()
        return event

    async def _finish(self, sink: InstanceSink) -> Receipted:
        """The bytes are durable, and within the quota."""
        if self._quota is None or sink.failed:
            return await sink.finish()
        ended: Callable[[Receipt | None], None] | None = None
        try:
            sink.beyond_quota = sink.beyond_quota or (sink.may_be_note and not self._quota.fits(sink.length))
            ended = self._quota.reserve(sink.length, beyond=sink.beyond_quota)
        except QuotaReached as error:
            sink.refuse(error)
        stored_as = None
        try:
            receipted = await sink.finish()
            stored_as = sink.receipt
        finally:
            if ended is not None:
                ended(stored_as)
        return receipted

    async def _check_rejections(
        self, event: InstanceStored, sink: InstanceSink, earlier: Sequence[asyncio.Future[None]]
    ) -> bool:
        """Whether the object is a rejection note that hides something. A refused note is removed, and so is an object
        that was rejected before: neither was acknowledged."""
        try:
            rejects = False
            if event.sop_class_uid == KEY_OBJECT_SELECTION and self._rejections is not None:
                # Images that arrived before the note, on its association or in its request, are published first.
                if earlier:
                    await asyncio.wait(earlier)
                rejects = await self._rejections.check(event, may_reject=sink.sender.may_reject)
            if self._subsequent is not None:
                await self._subsequent.check(event)
            return rejects
        except (GantryError, TimeoutError, asyncio.CancelledError):
            await self._store.delete(event.object_key)
            raise

    def _note(self, changes: CoercionResult, event: InstanceStored) -> None:
        """Count what rules did, and log once for each what they could not do."""
        for rule in changes.rules if event.coercion else ():
            self._metrics.objects_coerced.labels(rule).inc()
        for change in changes.made:
            if change.unfit and (change.rule, change.tag) not in self._unfit:
                self._unfit.add((change.rule, change.tag))
                name = keyword_of_tag(change.tag)
                logger.warning("coercion left out", rule=change.rule, attribute=name, reason=change.unfit)
        for rule, outcome in changes.orders.items():
            self._metrics.coercion_orders.labels(rule, outcome).inc()
            if outcome is OrderOutcome.FOUND:
                continue
            times = self._orders_said.times((rule, outcome, event.calling_ae_title), self._clock.monotonic())
            if times:
                sender = {"calling": event.calling_ae_title, "trace": event.trace, "times": times}
                logger.warning("stored without values of an order", rule=rule, outcome=outcome.value, **sender)

    def status_of(self, sink: InstanceSink) -> int:
        """The status for the sender of a stored object: PS3.4 B.2.3, Success, or the warning that data elements were
        coerced."""
        warns = sink.coercion is not None and self.settings.warns_of_coercion
        return COERCION_OF_DATA_ELEMENTS if warns else SUCCESS

    def answered(self, sink: InstanceSink, status: int) -> None:
        """Count the status with which the sender is answered."""
        count, seconds = self._counters(status)
        count.inc()
        seconds.observe((self._clock.now_us() - sink.stored_at) / 1e6)
        if status in (SUCCESS, COERCION_OF_DATA_ELEMENTS):
            self._metrics.object_bytes_received.inc(sink.length)

    def refused(self, status: int) -> None:
        """Count an object that was refused before its data set began."""
        self._counters(status)[0].inc()

    def _counters(self, status: int) -> tuple[Counter, Histogram]:
        """Looking a label up costs more than counting: once per status is enough."""
        known = self._by_status.get(status)
        if known is None:
            words = f"{status:04X}"
            received, seconds = self._metrics.objects_received, self._metrics.object_receive_seconds
            known = self._by_status[status] = received.labels(words), seconds.labels(words)
        return known


def stored(sink: InstanceSink, receipted: Receipted) -> InstanceStored:
    """The event of a durable object."""
    scan, sender = receipted.scan, sink.sender
    return InstanceStored(
        partition=sink.partition,
        trace=sender.trace,
        receipt=sink.receipt.id,
        stored_at=sink.stored_at,
        study_instance_uid=scan.study_instance_uid,
        series_instance_uid=scan.series_instance_uid,
        sop_class_uid=scan.sop_class_uid,
        sop_instance_uid=scan.sop_instance_uid,
        transfer_syntax_uid=sink.announced.transfer_syntax_uid,
        object_key=sink.key,
        object_size=receipted.data_set_offset + receipted.data_set_length,
        data_set_offset=receipted.data_set_offset,
        data_set_length=receipted.data_set_length,
        digest=receipted.digest,
        header=scan.header,
        header_length=scan.header_length,
        bulk=scan.bulk,
        pixel_data=scan.pixel_data,
        calling_ae_title=sender.calling_ae_title,
        called_ae_title=sender.called_ae_title,
        peer_address=sender.peer_address,
        coercion=b"" if sink.coercion is None else sink.coercion.pack(),
    )
