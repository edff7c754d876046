"""The topic of messages as one process follows it: answers of this and other processes, also from before a restart."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable, UndecodableEvent
from gantry.common.events import TOPICS, MessageAnswered, MessageDiscarded, MessageQuarantined, decode
from gantry.common.ports.log import EventLog, Record
from gantry.common.telemetry.logs import get_logger
from gantry.services.orders.hl7.ledger import MessageLedger

TOPIC = TOPICS[MessageAnswered].name
logger = get_logger("hl7")
_AGAIN_SECONDS = 1.0


class Correspondence:
    """`ledger` is what this process knows of messages."""

    def __init__(self, log: EventLog, clock: Clock, remembered: float) -> None:
        """`remembered` is in seconds."""
        self._log = log
        self._clock = clock
        self._remembered_us = int(remembered * 1e6)
        self._ends: dict[int, int] = {}
        self._begun = asyncio.Event()
        self.ledger = MessageLedger(self._remembered_us, texts=False)

    async def caught_up(self) -> None:
        """Return when everything that was on the log at the start has been read."""
        await self._begun.wait()

    async def note(self, event: MessageAnswered | MessageQuarantined | MessageDiscarded) -> None:
        """Make an event durable. Raises `DependencyUnavailable`."""
        await self._log.append(event)
        # A sender may repeat its message before the log is followed.
        self.ledger.take(event)

    async def run(self) -> None:
        """Follow the topic for ever, also through outages of the log."""
        while True:
            try:
                await self._follow()
            except DependencyUnavailable as error:
                logger.warning("earlier answers cannot be followed", error=error)
                await self._clock.sleep(_AGAIN_SECONDS)

    async def _follow(self) -> None:
        if not self._begun.is_set():
            ends = dict(await self._log.ends(TOPIC))
            # The quarantine is as old as the topic: attempts at a message count from the first.
            async for record in self._log.replay(TOPIC):
                self._take(record)
            self._ends = {**ends, **self._ends}
            self._begun.set()
        async with aclosing(self._log.follow(TOPIC, None, dict(self._ends))) as following:
            async for passed in following:
                for record in passed.records:
                    self._take(record)
                self._ends.update(passed.ends)

    def _take(self, record: Record) -> None:
        if record.offset < self._ends.get(record.partition, 0):
            return
        self._ends[record.partition] = record.offset + 1
        try:
            self.ledger.take(decode(record.payload))
        except UndecodableEvent:
            return  # of a newer release


async def read_ledger(log: EventLog) -> MessageLedger:
    """All messages that the log retains, with their texts. Raises `DependencyUnavailable`."""
    ledger = MessageLedger()
    async for record in log.replay(TOPIC):
        try:
            ledger.take(decode(record.payload))
        except UndecodableEvent:
            continue  # of a newer release
    return ledger
