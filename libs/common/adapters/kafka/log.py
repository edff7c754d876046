"""`gantry.common.ports.log.EventLog` on Kafka."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing

from aiokafka.errors import KafkaError

from gantry.common.adapters.kafka import reading, retention
from gantry.common.adapters.kafka.claims import HEADER, Claims
from gantry.common.adapters.kafka.connection import DEPENDENCY, KafkaCluster, within
from gantry.common.adapters.kafka.consumer import KafkaConsumer, record_of
from gantry.common.adapters.kafka.following import follow
from gantry.common.adapters.kafka.places import LogPlaces
from gantry.common.adapters.kafka.producer import Message, Producer
from gantry.common.adapters.kafka.topics import ensure_topics, table
from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import SCHEMA_VERSION, Event, encode, topic_of, without_header
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import Passed, Record
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger

_RETENTION_EVERY_SECONDS = 900.0
_GROUP = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
logger = get_logger("kafka")


class KafkaLog:
    """The event log of the cluster topology. Made by `open_kafka_log`.

    A record's key is the event's key, its value the encoded event; its headers are the event's name (`event`), the
    schema version (`version`) and the trace (`traceparent`); `claim` is the object that holds an event too long for a
    message. Leaving a group waits for the brokers; a static member retains its place.
    """

    def __init__(self, cluster: KafkaCluster, clock: Clock, objects: BlobStore | None) -> None:
        """Oversize events are stored in `objects`; without it, they raise `DependencyUnavailable`."""
        self._cluster = cluster
        self._clock = clock
        self._claims = Claims(objects) if objects is not None else None
        self._producer = Producer(cluster)
        self._places = LogPlaces(cluster)
        self._joined: dict[str, set[str]] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._cleaning: asyncio.Task[None] | None = None
        self._closed = False

    async def append(self, *events: Event) -> None:
        if self._closed:
            raise RuntimeError("the log is closed")
        task = asyncio.ensure_future(self._append(events))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        await asyncio.shield(task)

    def consumer(self, group: str, topics: Sequence[str]) -> KafkaConsumer:
        if _GROUP.fullmatch(group) is None:
            raise ValueError(f"not a group name: {group!r}")
        _require(*topics)
        joined = self._joined
        return KafkaConsumer(
            self._cluster, group, topics, self._claims, lambda: joined.setdefault(group, set()).update(topics)
        )

    async def replay(self, topic: str, since_us: int = 0) -> AsyncIterator[Record]:
        _require(topic)
        async for kafka_record in reading.everything(self._cluster, topic, since_us // 1000):
            yield await record_of(self._cluster, kafka_record, self._claims)

    async def lag(self, group: str) -> dict[str, int]:
        return await reading.behind(self._cluster, group, self._joined.get(group, set()))

    async def ends(self, topic: str) -> dict[int, int]:
        _require(topic)
        return await self._places.ends(topic)

    async def has_passed(self, group: str, topic: str, ends: Mapping[int, int]) -> bool:
        _require(topic)
        return await self._places.has_passed(group, topic, ends)

    async def uncommitted(self, group: str, topic: str, key: str, most: int = 5000) -> list[Record]:
        _require(topic)
        kafka_records = await self._places.uncommitted(group, topic, key, most)
        return [await record_of(self._cluster, record, self._claims) for record in kafka_records]

    async def last_committed(self, group: str, topic: str, most: int = 20) -> list[Record]:
        _require(topic)
        kafka_records = await self._places.last_committed(group, topic, most)
        return [await record_of(self._cluster, record, self._claims) for record in kafka_records]

    async def follow(
        self, topic: str, group: str | None, after: Mapping[int, int] | None = None
    ) -> AsyncGenerator[Passed, None]:
        _require(topic)
        async with aclosing(follow(self._cluster, self._places, topic, group, after)) as following:
            async for kafka_records, ends in following:
                yield Passed([await record_of(self._cluster, record, self._claims) for record in kafka_records], ends)

    async def check(self) -> None:
        async with reading.administrator(self._cluster) as admin, within(self._cluster.deadline):
            for description in await admin.describe_topics([self._cluster.topic(topic.name) for topic in table()]):
                if description["error_code"]:
                    raise DependencyUnavailable(DEPENDENCY, f"topic {description['topic']} cannot be used")
                for partition in description["partitions"]:
                    if partition["leader"] < 0:
                        raise DependencyUnavailable(DEPENDENCY, f"topic {description['topic']} has no leader")
                    if len(partition["isr"]) < self._cluster.min_insync:
                        raise DependencyUnavailable(
                            DEPENDENCY, f"topic {description['topic']} has too few in-sync replicas"
                        )

    async def close(self) -> None:
        self._closed = True
        await end_tasks(self._cleaning)
        self._cleaning = None
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._producer.close()
        await self._places.close()

    async def remove_expired(self) -> int:
        """Remove records older than their topic's retention and committed by every group that reads it. Returns how
        many."""
        return await retention.remove_expired(self._cluster, self._clock.now_us())

    async def start(self) -> None:
        """Create the topics, and begin to remove expired records."""
        async with reading.administrator(self._cluster) as admin, within(self._cluster.deadline):
            await ensure_topics(admin, self._cluster)
        self._cleaning = asyncio.create_task(self._clean())

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # seen, in case the caller did not wait for it

    async def _append(self, events: Sequence[Event]) -> None:
        await self._producer.append([await self._message(event) for event in events])

    async def _message(self, event: Event) -> Message:
        topic, key = topic_of(event)
        payload = encode(event)
        headers = [
            ("event", type(event).__name__.encode()),
            ("version", str(SCHEMA_VERSION).encode()),
            ("traceparent", event.trace.encode()),
        ]
        if len(payload) > self._cluster.max_event:
            # A claim is in the object store for ever, and the object contains the header itself.
            payload = without_header(payload)
        if len(payload) > self._cluster.max_event:
            if self._claims is None:
                raise DependencyUnavailable(DEPENDENCY, f"an event of {len(payload)} bytes is too long for a message")
            headers.append((HEADER, (await self._claims.deposit(payload)).encode("ascii")))
            payload = b""
        now_ms = self._clock.now_us() // 1000
        return Message(self._cluster.topic(topic.name), key.encode(), payload, now_ms, headers)

    async def _clean(self) -> None:
        while True:
            await self._clock.sleep(_RETENTION_EVERY_SECONDS)
            try:
                removed = await self.remove_expired()
                if removed:
                    logger.info("expired events removed", records=removed)
            except (DependencyUnavailable, KafkaError) as error:
                logger.warning("expired events not removed", error=error)


def _require(*topics: str) -> None:
    known = {topic.name for topic in table()}
    for topic in topics:
        if topic not in known:
            raise ValueError(f"no such topic: {topic!r}")


async def open_kafka_log(cluster: KafkaCluster, clock: Clock, objects: BlobStore | None = None) -> KafkaLog:
    """Open the log, creating missing topics. Raises `DependencyUnavailable` while the brokers are unavailable,
    `ConfigError` if they cannot satisfy the settings."""
    log = KafkaLog(cluster, clock, objects)
    try:
        await log.start()
    except BaseException:
        await log.close()
        raise
    return log
