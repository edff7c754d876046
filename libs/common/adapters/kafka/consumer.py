"""One member of a consumer group: offsets are committed after the effect, and a rebalance loses nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from gantry.common.adapters.kafka.claims import HEADER, Claims
from gantry.common.adapters.kafka.connection import KafkaCluster, unavailable, within
from gantry.common.errors import DependencyUnavailable
from gantry.common.ports.log import Record
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger

_NO_LONGER_OURS = (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
_POLL_MS = 5000
_HANDOVER_SECONDS = 5.0
"""Seconds for which a partition that moves to another member waits for the current batch to be committed."""


class KafkaConsumer:
    """`gantry.common.ports.log.Consumer`.

    Between `poll` and `commit` the partitions are paused and the member stays in the group, however long the effect
    takes. Records of a partition that was revoked meanwhile are redelivered to its new owner, and not committed here.
    """

    def __init__(
        self,
        cluster: KafkaCluster,
        group: str,
        topics: Sequence[str],
        claims: Claims | None,
        joined: Callable[[], None],
    ) -> None:
        self._cluster = cluster
        self._group = group
        self._topics = [cluster.topic(topic) for topic in topics]
        self._claims = claims
        self._joined = joined
        self._logger = get_logger("kafka").bind(group=group)
        self._starting: asyncio.Task[AIOKafkaConsumer] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._early: deque[ConsumerRecord[bytes, bytes]] = deque()
        self._committed: dict[TopicPartition, int] = {}
        self._turn = asyncio.Lock()
        self._idle = asyncio.Event()
        self._idle.set()
        self._placed = False
        self._inside = False

    async def __aenter__(self) -> KafkaConsumer:
        self._inside = True
        self._joined()
        self._begin()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._inside = False
        self._idle.set()
        await end_tasks(self._keeping, self._starting)
        starting, self._starting, self._keeping = self._starting, None, None
        if starting is not None and not starting.cancelled() and starting.exception() is None:
            await _stop(starting.result())

    async def poll(self, max_records: int = 500) -> list[Record]:
        consumer = await self._ready()
        async with self._turn:
            self._stop_keeping()
            with suppress(IllegalStateError):
                consumer.resume(*consumer.paused())
            try:
                batch = await self._next(consumer, max_records)
                records = [await self._record(record) for record in batch]
            except (KafkaError, OSError) as error:
                raise unavailable(error) from error
            self._idle.clear()
            self._keeping = asyncio.create_task(self._keep_place(consumer))
            return records

    async def commit(self, records: Sequence[Record]) -> None:
        consumer = await self._ready()
        done: dict[TopicPartition, int] = {}
        for record in records:
            place = TopicPartition(self._cluster.topic(record.topic), record.partition)
            done[place] = max(record.offset + 1, done.get(place, 0))
        ours = consumer.assignment()
        offsets = {tp: n for tp, n in done.items() if tp in ours and n > self._committed.get(tp, 0)}
        try:
            if offsets:
                async with within(self._cluster.deadline):
                    await consumer.commit(offsets)
                self._committed.update(offsets)
        except DependencyUnavailable as error:
            if not isinstance(error.__cause__, _NO_LONGER_OURS):
                raise
            self._logger.warning("partitions went to another member before the commit; their events come again")
        self._idle.set()

    # ---- inside

    def _begin(self) -> asyncio.Task[AIOKafkaConsumer]:
        self._placed = False
        self._starting = asyncio.create_task(self._start())
        return self._starting

    async def _start(self) -> AIOKafkaConsumer:
        static = self._cluster.instance_id
        consumer: AIOKafkaConsumer = AIOKafkaConsumer(
            **self._cluster.client_options(),
            group_id=f"{self._cluster.prefix}.{self._group}",
            group_instance_id=f"{self._group}-{static}" if static else None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(self._cluster.session_timeout * 1000),
            heartbeat_interval_ms=int(self._cluster.session_timeout * 1000 / 4),
            max_poll_interval_ms=int(self._cluster.max_poll_interval * 1000),
            fetch_max_wait_ms=500,
            fetch_max_bytes=8 << 20,
            max_partition_fetch_bytes=max(1 << 20, 2 * self._cluster.max_event),
        )
        consumer.subscribe(self._topics, listener=_Listener(self._taken, self._given))
        try:
            await consumer.start()
        except BaseException:
            await _stop(consumer)
            raise
        return consumer

    async def _ready(self) -> AIOKafkaConsumer:
        """The consumer as a member of its group. Raises `DependencyUnavailable` if the brokers are unavailable."""
        if not self._inside:
            raise RuntimeError("a consumer is used inside `async with`")
        starting = self._starting or self._begin()
        try:
            consumer = await asyncio.shield(starting)
        except (KafkaError, OSError) as error:
            if self._starting is starting:
                self._starting = None  # the next call tries anew
            raise unavailable(error) from error
        self._cluster.renew(consumer._client)
        if not self._placed:
            await self._mark_beginnings(consumer)
            self._placed = True
        return consumer

    async def _mark_beginnings(self, consumer: AIOKafkaConsumer) -> None:
        """Commit the beginning of a new group, so that retention retains the events it has not read."""
        async with within(self._cluster.deadline):
            fresh = [tp for tp in consumer.assignment() if await consumer.committed(tp) is None]
            if fresh:
                with suppress(*_NO_LONGER_OURS):
                    await consumer.commit(await consumer.beginning_offsets(fresh))

    async def _next(self, consumer: AIOKafkaConsumer, count: int) -> list[ConsumerRecord[bytes, bytes]]:
        while not self._early:
            self._cluster.renew(consumer._client)
            batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=count)
            if not self._placed:
                await self._mark_beginnings(consumer)
                self._placed = True
            if batches:
                return [record for batch in batches.values() for record in batch]
        return [self._early.popleft() for _ in range(min(count, len(self._early)))]

    async def _record(self, kafka_record: ConsumerRecord[bytes, bytes]) -> Record:
        return await record_of(self._cluster, kafka_record, self._claims)

    async def _keep_place(self, consumer: AIOKafkaConsumer) -> None:
        """While a batch is being processed, fetch nothing more but stay alive in the group."""
        while True:
            await asyncio.sleep(self._cluster.max_poll_interval / 4)  # noqa: TID251 (the brokers' time, not ours)
            async with self._turn:
                with suppress(KafkaError, OSError):
                    consumer.pause(*consumer.assignment())
                    # A partition assigned just now is not paused: its records are held for the next poll.
                    for batch in (await consumer.getmany(timeout_ms=0)).values():
                        self._early.extend(batch)

    def _stop_keeping(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None

    async def _taken(self, revoked: Iterable[TopicPartition]) -> None:
        gone = set(revoked)
        if gone and not self._idle.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_HANDOVER_SECONDS):
                    await self._idle.wait()
        self._early = deque(r for r in self._early if TopicPartition(r.topic, r.partition) not in gone)
        for place in gone:
            self._committed.pop(place, None)

    def _given(self, assigned: Iterable[TopicPartition]) -> None:
        self._placed = False
        self._logger.info("partitions assigned", partitions=len(set(assigned)))


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, revocation: Callable[[Iterable[TopicPartition]], Any], assignment: Callable[..., None]) -> None:
        self._revocation = revocation
        self._assignment = assignment

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._revocation(revoked)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._assignment(assigned)


async def record_of(cluster: KafkaCluster, kafka_record: ConsumerRecord[bytes, bytes], claims: Claims | None) -> Record:
    """A record as the port defines it, with its payload, read from the object store if it is a claim."""
    payload = kafka_record.value or b""
    claim = next((value for name, value in kafka_record.headers if name == HEADER), None)
    if claim is not None and claims is not None:
        payload = await claims.redeem(claim.decode("ascii"))
    return Record(
        cluster.own_name(kafka_record.topic),
        kafka_record.partition,
        kafka_record.offset,
        (kafka_record.key or b"").decode("utf-8", "replace"),
        payload,
        kafka_record.timestamp * 1000,
    )


async def _stop(consumer: AIOKafkaConsumer) -> None:
    with suppress(TimeoutError, KafkaError, OSError):
        async with asyncio.timeout(_HANDOVER_SECONDS):
            await consumer.stop()
