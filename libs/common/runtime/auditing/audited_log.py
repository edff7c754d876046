"""The event log, with an audit record of every change that is appended to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing

from gantry.common.events import Event, InstancesDeleted
from gantry.common.ports.log import Consumer, EventLog, Passed, Record
from gantry.common.runtime.auditing.trail import AuditTrail


class AuditedLog:
    """`EventLog`. A change is recorded when the log has its event."""

    def __init__(self, log: EventLog, trail: AuditTrail) -> None:
        self._log = log
        self._trail = trail

    async def append(self, *events: Event) -> None:
        for event in events:
            if isinstance(event, InstancesDeleted):
                # Soon the index will no longer know the patient.
                await self._trail.look_before(event)
        await self._log.append(*events)
        for event in events:
            self._trail.changed(event)

    def consumer(self, group: str, topics: Sequence[str]) -> Consumer:
        return self._log.consumer(group, topics)

    async def replay(self, topic: str, since_us: int = 0) -> AsyncIterator[Record]:
        async for record in self._log.replay(topic, since_us):
            yield record

    async def lag(self, group: str) -> dict[str, int]:
        return await self._log.lag(group)

    async def ends(self, topic: str) -> dict[int, int]:
        return await self._log.ends(topic)

    async def has_passed(self, group: str, topic: str, ends: Mapping[int, int]) -> bool:
        return await self._log.has_passed(group, topic, ends)

    async def uncommitted(self, group: str, topic: str, key: str, most: int = 5000) -> list[Record]:
        return await self._log.uncommitted(group, topic, key, most)

    async def last_committed(self, group: str, topic: str, most: int = 20) -> list[Record]:
        return await self._log.last_committed(group, topic, most)

    async def follow(
        self, topic: str, group: str | None, after: Mapping[int, int] | None = None
    ) -> AsyncGenerator[Passed, None]:
        async with aclosing(self._log.follow(topic, group, after)) as following:
            async for passed in following:
                yield passed

    async def check(self) -> None:
        await self._log.check()

    async def close(self) -> None:
        await self._log.close()
