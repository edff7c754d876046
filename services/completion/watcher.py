"""Publishes when studies are complete.

The order of effects: an object arrives, its study is open; nothing arrives for the quiet period; the indexers have read
the arrivals; `StudyCompleted` is published; only then the offsets are committed. So after a crash the arrivals of open
studies are read again, and at worst the same event is published once more, under the same id. Arrivals of a study that
was complete already (also those that a restore appended) are ignored as soon as its completion is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import NUMBER_OF_STUDY_RELATED_INSTANCES, STUDY_INSTANCE_UID
from gantry.common.errors import DependencyUnavailable, UndecodableEvent
from gantry.common.events import TOPICS, Event, InstanceStored, StudyCompleted, decode
from gantry.common.lifecycle.arrivals import Arrival, Arrivals, CompletionReason, OpenStudy
from gantry.common.ports.index import ReadIndex
from gantry.common.ports.log import Consumer, EventLog, Record
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.runtime.following import has_followed
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics

GROUP = "completion"
_TOPIC = TOPICS[InstanceStored].name
_SETTLED = 0.3
"""Seconds without records after which everything on the log has been read: before that, old arrivals look quiet."""
_RECENT_US = 2_000_000
_PATIENCE = 30.0
_LONGEST_WAIT = 5.0
_OWN_REASONS = frozenset(reason.value for reason in CompletionReason)
logger = get_logger("completion")


class CompletionWatcher:
    """One member of the group. `quiet` and `longest` in seconds, as in the settings."""

    def __init__(
        self, log: EventLog, index: ReadIndex, clock: Clock, metrics: Metrics, *, quiet: float, longest: float
    ) -> None:
        self._log = log
        self._index = index
        self._clock = clock
        self._metrics = metrics
        self._quiet_us, self._longest_us = int(quiet * 1e6), int(longest * 1e6)
        self._delays = Delays()
        self._running: asyncio.Task[None] | None = None
        self._stopping = False

    async def run(self) -> None:
        """Watch until `stop`; while a dependency is unavailable, wait, and then start again from the committed
        offset."""
        attempt = 0
        while not self._stopping:
            self._running = asyncio.ensure_future(self._watch())
            try:
                await self._running
            except asyncio.CancelledError:
                if not self._stopping:
                    await end_tasks(self._running)
                    raise
            except DependencyUnavailable as error:
                logger.warning("completion of studies waits", error=error, attempt=attempt)
                await self._clock.sleep(self._delays.after(attempt))
                attempt += 1

    def stop(self) -> None:
        """End `run`: the next member takes up the open studies."""
        self._stopping = True
        if self._running is not None:
            self._running.cancel()

    async def _watch(self) -> None:
        arrivals = Arrivals(self._quiet_us, self._longest_us)
        async with self._log.consumer(GROUP, [_TOPIC]) as consumer:
            polling: asyncio.Task[list[Record]] | None = None
            try:
                while True:
                    polling = polling or asyncio.ensure_future(consumer.poll())
                    await asyncio.wait([polling], timeout=self._wait(arrivals))
                    if polling.done():
                        read, polling = polling.result(), None
                        self._take(arrivals, read)
                        # A member that hands over must not wait for studies for which nothing is promised yet.
                        await consumer.commit([])
                        settled = _is_recent(read, self._clock.now_us())
                    else:
                        settled = True
                    # Also while objects arrive all the time: a study becomes quiet, an archive never does.
                    if settled:
                        await self._complete(arrivals)
                    self._metrics.studies_open.set(len(arrivals))
                    await self._commit(consumer, arrivals)
            finally:
                await end_tasks(polling)

    def _wait(self, arrivals: Arrivals) -> float:
        due = arrivals.next_due()
        left = _LONGEST_WAIT if due is None else (due - self._clock.now_us()) / 1e6
        return min(max(left, _SETTLED), _LONGEST_WAIT)

    def _take(self, arrivals: Arrivals, records: Sequence[Record]) -> None:
        for record in records:
            event = _event(record)
            # A study that a procedure step made complete is published again when it is quiet.
            if isinstance(event, StudyCompleted) and event.reason in _OWN_REASONS:
                counted = event.first_receipt, event.last_receipt, event.added
                arrivals.was_complete(event.partition, event.study_instance_uid, *counted)
            arrived = _arrival(record, event) if isinstance(event, InstanceStored) else None
            arrivals.take((record.topic, record.partition), record.offset, arrived)

    async def _complete(self, arrivals: Arrivals) -> None:
        due = arrivals.due(self._clock.now_us())
        if not due or not await has_followed(self._log, self._clock, _PATIENCE):
            return
        for study, why in due:
            await self._publish(study, why)
            arrivals.close(study)

    async def _publish(self, study: OpenStudy, why: CompletionReason) -> None:
        instances = await self._instances(study)
        if not instances:
            return  # it was deleted meanwhile
        added = len(study.instances)
        at = self._clock.now_us()
        event = StudyCompleted(
            study.partition,
            study.trace,
            study.study_instance_uid,
            why.value,
            added,
            instances,
            study.first_receipt,
            study.last_receipt,
            at,
            tuple(sorted(study.senders - {""})),
        )
        await reach(FailPoint.BEFORE_PUBLISH)
        await self._log.append(event)
        await reach(FailPoint.AFTER_PUBLISH)
        self._metrics.studies_completed.labels(why.value).inc()
        logger.info("study complete", reason=why.value, added=added, instances=instances, trace=study.trace)

    async def _instances(self, study: OpenStudy) -> int:
        """How many instances of a study can be found."""
        question = Query(
            study.partition, Level.STUDY, {STUDY_INSTANCE_UID: Single((study.study_instance_uid,))}, limit=1
        )
        async for page in self._index.find(question):
            for document in page:
                return int(next(iter(document.attributes.get(NUMBER_OF_STUDY_RELATED_INSTANCES) or ()), 0))
        return 0

    async def _commit(self, consumer: Consumer, arrivals: Arrivals) -> None:
        done = [Record(topic, partition, offset, "", b"", 0) for (topic, partition), offset in arrivals.forget()]
        if done:
            await reach(FailPoint.BEFORE_COMMIT)
            await consumer.commit(done)


def _is_recent(records: Sequence[Record], now_us: int) -> bool:
    """Whether records were appended just now, so that only those are left to read."""
    return all(record.appended_at >= now_us - _RECENT_US for record in records)


def _event(record: Record) -> Event | None:
    try:
        return decode(record.payload)
    except UndecodableEvent:
        return None  # the indexer puts it among the dead letters


def _arrival(record: Record, event: InstanceStored) -> Arrival:
    return Arrival(
        event.partition,
        event.study_instance_uid,
        event.series_instance_uid,
        event.sop_instance_uid,
        event.receipt,
        event.trace,
        record.appended_at,
        event.calling_ae_title,
    )
