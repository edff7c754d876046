"""Appending: one idempotent producer for all associations of a process, with our own deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    IllegalOperation,
    KafkaError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownProducerId,
)

from gantry.common.adapters.kafka.connection import DEPENDENCY, KafkaCluster, unavailable, within
from gantry.common.errors import DependencyUnavailable
from gantry.common.telemetry.logs import get_logger

_FATAL = (IllegalOperation, OutOfOrderSequenceNumber, ProducerClosed, ProducerFenced, UnknownProducerId)
_BATCH = 256 << 10
_STOP_SECONDS = 5.0
logger = get_logger("kafka")


@dataclass(frozen=True, slots=True)
class Message:
    """One record to send to the brokers."""

    topic: str
    key: bytes
    value: bytes
    timestamp_ms: int
    headers: Sequence[tuple[str, bytes]]


class Producer:
    """Waits for all in-sync replicas. No linger: a lone message is sent at once, and messages that arrive during a
    request share the next one. An abandoned message may still arrive, which is harmless: events are delivered at least
    once anyway."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._producer: AIOKafkaProducer | None = None
        self._making = asyncio.Lock()

    async def append(self, messages: Sequence[Message]) -> None:
        """Send messages in order; returns when all are acknowledged, raises `DependencyUnavailable` otherwise."""
        pending: list[asyncio.Future[object]] = []
        try:
            async with within(self._cluster.deadline):
                producer = await self._ready()
                for message in messages:
                    pending.append(
                        await producer.send(
                            message.topic,
                            message.value,
                            key=message.key,
                            timestamp_ms=message.timestamp_ms,
                            headers=message.headers,
                        )
                    )
                await self._delivered(pending)
        except DependencyUnavailable as error:
            if isinstance(error.__cause__, _FATAL):
                await self._give_up(error.__cause__)
            raise
        finally:
            for future in pending:
                # The caller has given up: its result is ignored, and asyncio must not report it as never retrieved.
                future.add_done_callback(_forget)

    async def close(self) -> None:
        """Send the waiting messages, then close; gives up after a few seconds."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)

    async def _delivered(self, pending: Sequence[asyncio.Future[object]]) -> None:
        # Shielded: cancelling one of the producer's futures would fail the batch that it shares with others.
        done = await asyncio.gather(*(asyncio.shield(future) for future in pending), return_exceptions=True)
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _ready(self) -> AIOKafkaProducer:
        """The producer, replaced if the last one has failed for good."""
        async with self._making:
            if self._producer is not None and _dead(self._producer):
                logger.warning("producer cannot go on, making a new one")
                old, self._producer = self._producer, None
                await _stop(old)
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._cluster.client_options(),
                    enable_idempotence=True,
                    acks="all",
                    linger_ms=0,
                    max_batch_size=max(_BATCH, self._cluster.max_event + (64 << 10)),
                    max_request_size=max(_BATCH, self._cluster.max_event + (64 << 10)),
                    compression_type=self._cluster.compression,
                )
                try:
                    await producer.start()
                except BaseException:
                    await _stop(producer)
                    raise
                self._producer = producer
            self._cluster.renew(self._producer.client)
            return self._producer

    async def _give_up(self, error: BaseException | None) -> None:
        logger.warning("producer cannot go on", error=error)
        await self.close()


def _dead(producer: AIOKafkaProducer) -> bool:
    task = producer._sender.sender_task
    return task is None or task.done()


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await producer.stop()
    except (TimeoutError, KafkaError, OSError) as error:
        logger.warning("producer did not stop in order", error=unavailable(error), dependency=DEPENDENCY)


def _forget(future: asyncio.Future[object]) -> None:
    if not future.cancelled():
        future.exception()
