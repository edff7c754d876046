"""How far a consumer group is in a topic, and the records there: asked often, so the clients stay connected."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from gantry.common.adapters.kafka.connection import DEPENDENCY, KafkaCluster, within
from gantry.common.adapters.kafka.reading import administrator, partitions_of, reader
from gantry.common.errors import DependencyUnavailable

T = TypeVar("T")


class LogPlaces:
    """One connection of each kind, opened when first needed and again after a failure. One caller at a time."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._turn = asyncio.Lock()
        self._stack: AsyncExitStack | None = None
        self._clients: tuple[AIOKafkaAdminClient, AIOKafkaConsumer] | None = None

    async def close(self) -> None:
        """Close the connections."""
        async with self._turn:
            await self._drop()

    async def ends(self, topic: str) -> dict[int, int]:
        """See `EventLog`."""
        async with self._turn:
            _, consumer = await self._connected()
            ends = await self._answer_of(consumer.end_offsets(await self._partitions(topic)))
            return {place.partition: end for place, end in ends.items()}

    async def has_passed(self, group: str, topic: str, ends: Mapping[int, int]) -> bool:
        """See `EventLog`. Records that retention has removed count as passed."""
        async with self._turn:
            _, consumer = await self._connected()
            places = await self._partitions(topic)
            committed = await self._committed(group)
            if not any(place in committed for place in places):
                return False
            begins = await self._answer_of(consumer.beginning_offsets(places))
            done = {place.partition: max(committed.get(place, 0), begins[place]) for place in places}
            return all(done.get(partition, 0) >= end for partition, end in ends.items())

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """For each partition the offset after the last record that a group has committed; if it has committed none, or
        only removed ones, the first offset there is."""
        async with self._turn:
            _, consumer = await self._connected()
            places = await self._partitions(topic)
            committed = await self._committed(group)
            begins = await self._answer_of(consumer.beginning_offsets(places))
            return {place.partition: max(committed.get(place, 0), begins[place]) for place in places}

    async def uncommitted(self, group: str, topic: str, key: str, most: int) -> list[ConsumerRecord[bytes, bytes]]:
        """See `EventLog`."""
        async with self._turn:
            _, consumer = await self._connected()
            places = await self._partitions(topic)
            numbers = [place.partition for place in places]
            place = TopicPartition(self._cluster.topic(topic), DefaultPartitioner()(key.encode(), numbers, numbers))
            done = (await self._committed(group)).get(place, 0)
            begin = max(done, (await self._answer_of(consumer.beginning_offsets([place])))[place])
            end = (await self._answer_of(consumer.end_offsets([place])))[place]
            if end - begin > most:
                raise DependencyUnavailable(DEPENDENCY, f"{group} is {end - begin} records behind")
            return [record for record in await self._between(place, begin, end) if record.key == key.encode()]

    async def last_committed(self, group: str, topic: str, most: int) -> list[ConsumerRecord[bytes, bytes]]:
        """See `EventLog`."""
        async with self._turn:
            _, consumer = await self._connected()
            places = await self._partitions(topic)
            committed = await self._committed(group)
            begins = await self._answer_of(consumer.beginning_offsets(places))
            records: list[ConsumerRecord[bytes, bytes]] = []
            for place in places:
                end = committed.get(place, 0)
                records += await self._between(place, max(begins[place], end - most), end)
            return records

    async def _between(self, place: TopicPartition, begin: int, end: int) -> Sequence[ConsumerRecord[bytes, bytes]]:
        """The records of a partition from `begin` on and before `end`."""
        _, consumer = await self._connected()
        records: list[ConsumerRecord[bytes, bytes]] = []
        if begin >= end:
            return records
        consumer.assign([place])
        consumer.seek(place, begin)
        try:
            async with within(self._cluster.deadline):
                # The last offsets may not be records (control batches): the position shows the end.
                while await consumer.position(place) < end:
                    for record in (await consumer.getmany(place, timeout_ms=500)).get(place, ()):
                        if record.offset < end:
                            records.append(record)
        finally:
            # A broker answers the requests of a connection in turn: a fetch that waits for new records would delay
            # every request after it, for half a second each.
            consumer.unsubscribe()
        return records

    async def _committed(self, group: str) -> dict[TopicPartition, int]:
        admin, _ = await self._connected()
        offsets = await self._answer_of(admin.list_consumer_group_offsets(f"{self._cluster.prefix}.{group}"))
        return {place: position.offset for place, position in offsets.items() if position.offset >= 0}

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        admin, _ = await self._connected()
        name = self._cluster.topic(topic)
        return (await self._answer_of(partitions_of(admin, [name])))[name]

    async def _answer_of(self, call: Awaitable[T]) -> T:
        """The answer to a request; a client that failed is closed, and replaced for the next one."""
        try:
            async with within(self._cluster.deadline):
                return await call
        except DependencyUnavailable:
            await self._drop()
            raise

    async def _connected(self) -> tuple[AIOKafkaAdminClient, AIOKafkaConsumer]:
        if self._clients is None:
            self._stack = AsyncExitStack()
            try:
                admin = await self._stack.enter_async_context(administrator(self._cluster))
                self._clients = admin, await self._stack.enter_async_context(reader(self._cluster))
            except BaseException:
                await self._drop()
                raise
        return self._clients

    async def _drop(self) -> None:
        stack, self._stack, self._clients = self._stack, None, None
        if stack is not None:
            with suppress(KafkaError, OSError, asyncio.CancelledError):
                await stack.aclose()
