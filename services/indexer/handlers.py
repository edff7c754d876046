"""The order of effects for a batch of events: apply them to the index, repair lost objects, publish conflicts, return.

Only then does the consumer loop commit the offset. After a crash the whole batch is processed again: applying an entry
twice changes nothing, and a conflict that is published twice is the same conflict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import STANDARD, AttributeTable
from gantry.common.errors import EntryRefused, GantryError
from gantry.common.events import InstancesDeleted, InstanceStored
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import Applied, InstanceEntry, Outcome, SearchIndex
from gantry.common.ports.log import EventLog
from gantry.common.runtime.consumer import Delivery, Poison
from gantry.common.runtime.losses import Losses, losses_of
from gantry.common.runtime.rejections import RejectionRules
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.spans import Attributes, Span, Tracer
from gantry.common.telemetry.traces import child_of
from gantry.services.indexer.decisions import tell, without_collected
from gantry.services.indexer.entries import conflict_of, namesake_of
from gantry.services.indexer.heads import entries_of
from gantry.services.indexer.healing import Healing
from gantry.services.indexer.moves import apply_moved
from gantry.services.indexer.rejections import Rejections
from gantry.services.indexer.subsequent import Subsequent

logger = get_logger("indexer")
_SENT_AGAIN = (Outcome.REDUNDANT, Outcome.REDELIVERED)


class Indexer:
    """The handler of the consumer loop."""

    def __init__(
        self,
        objects: BlobStore,
        log: EventLog,
        index: SearchIndex,
        clock: Clock,
        metrics: Metrics,
        attributes: AttributeTable = STANDARD,
        rejections: RejectionRules | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """`attributes` are read from the headers; the index stores those that its schema has. `rejections` carries out
        rejection notes; without it they have no effect."""
        rules = rejections or RejectionRules()
        self._rejections = Rejections(objects, log, index, clock, rules)
        self._subsequent = Subsequent(log, index, clock, metrics, rules.policy)
        self._attributes = attributes
        self._objects = objects
        self._log = log
        self._index = index
        self._clock = clock
        self._metrics = metrics
        self._tracer = tracer or Tracer(clock)
        self._healing = Healing(objects, index, Losses(log, clock, metrics, "indexer"))

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        """Make a batch searchable. Raises `Poison` for an event that can never be applied, and passes on the errors of
        its dependencies."""
        begun = self._clock.now_us()
        # First, so that deleted objects do not show up even for a moment.
        await tell(self._objects, self._index, [delivery.event for delivery in batch])
        arrived = [(delivery, delivery.event) for delivery in batch if isinstance(delivery.event, InstanceStored)]
        presence = await without_collected(self._index, [event for _, event in arrived])
        stored = [pair for pair, is_there in zip(arrived, presence, strict=True) if is_there]
        deleted = [delivery.event for delivery in batch if isinstance(delivery.event, InstancesDeleted)]
        await self._subsequent([event for _, event in stored], deleted)
        applied = await self._apply(stored)
        # After the receipts of the same batch, since a loss may be about one of them; otherwise order does not matter.
        await self._index.lose(await losses_of(self._index, [delivery.event for delivery in batch]))
        events = [event for _, event in stored]
        await self._healing(e for e, outcome in zip(events, applied, strict=True) if outcome.outcome in _SENT_AGAIN)
        await self._publish(events, applied, begun)
        await self._rejections(events)

    async def _apply(self, stored: Sequence[tuple[Delivery, InstanceStored]]) -> list[Applied]:
        results = await entries_of(self._objects, [event for _, event in stored], self._attributes)
        entries: list[InstanceEntry] = []
        for (delivery, _), entry in zip(stored, results, strict=True):
            if isinstance(entry, GantryError):
                raise Poison(delivery, f"{type(entry).__name__}: {entry}") from entry
            entries.append(entry)
        try:
            applied = await self._index.apply(entries)
        except EntryRefused as error:
            raise Poison(stored[error.position][0], str(error)) from error
        await apply_moved(self._objects, self._index, entries, applied)
        return applied

    async def _publish(self, events: Sequence[InstanceStored], applied: Sequence[Applied], begun: int) -> None:
        now = self._clock.now_us()
        pairs = list(zip(events, applied, strict=True))
        conflicts = [conflict for e, a in pairs if (conflict := conflict_of(e, a, now)) is not None]
        namesakes = [namesake for e, a in pairs if (namesake := namesake_of(e, a, now)) is not None]
        if conflicts or namesakes:
            await self._log.append(*conflicts, *namesakes)
        # Two objects have one name. A person has to look into it, so it is logged and not only counted.
        for conflict in conflicts:
            logger.warning(
                "other bytes of an instance that is known; the first stays current, this receipt is kept aside",
                sop_instance_uid=conflict.sop_instance_uid,
                calling=conflict.calling_ae_title,
                kept_receipt=conflict.kept_receipt,
                aside_receipt=conflict.aside_receipt,
                trace=conflict.trace,
            )
        for namesake in namesakes:
            logger.warning(
                "sop instance uid that an instance of another series has; both can be found and fetched",
                sop_instance_uid=namesake.sop_instance_uid,
                calling=namesake.calling_ae_title,
                receipt=namesake.receipt,
                other_receipt=namesake.other_receipt,
                trace=namesake.trace,
            )
            self._metrics.namesakes_found.inc()
        for trace, count in Counter(event.trace for event in events).items():
            # The last line of a trace that "association ended" and the event carry too. One per trace, not per object.
            logger.info("searchable", instances=count, trace=trace)
            if self._tracer.tells:
                attributes: Attributes = {"instances": count}
                self._tracer.tell(
                    Span("make searchable", child_of(trace), trace, begun, self._clock.now_us(), attributes)
                )
        for event, outcome in pairs:
            self._metrics.instances_indexed.labels(outcome.outcome.value).inc()
            self._metrics.searchable_seconds.observe(max(0, now - event.stored_at) / 1e6)
