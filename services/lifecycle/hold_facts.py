"""Who placed a hold, when and why. An index knows only the name of a hold, which begins with its time: so the event is
found in the segments sealed at that time, or on the log."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from gantry.common.clock import Clock
from gantry.common.errors import UndecodableEvent
from gantry.common.events import TOPICS, HoldPlaced, PatientHoldPlaced, decode
from gantry.common.ids import DEFAULT_PARTITION, Receipt
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import EventLog
from gantry.common.runtime.sealed_events import segments

_AROUND_MS = 10 * 60 * 1000
"""Milliseconds. An event is sealed within seconds, and within this time if the archiver was behind."""
_RECENT_MS = 60 * 1000
_MOST = 5000
"""Most facts that a process caches: they never change."""


@dataclass(frozen=True, slots=True)
class HoldFact:
    """A hold as it was placed; `at` is in microseconds since the epoch."""

    by: str
    reason: str
    at: int


class HoldFacts:
    """Finds the facts of holds, for one process."""

    def __init__(self, objects: BlobStore, log: EventLog, clock: Clock) -> None:
        self._objects = objects
        self._log = log
        self._clock = clock
        self._known: dict[str, HoldFact] = {}

    async def of(self, holds: Collection[str], seconds: float = 8.0) -> dict[str, HoldFact]:
        """The facts of some holds, as far as they are found in time. Raises `DependencyUnavailable`, `Corrupt`."""
        until = self._clock.monotonic() + seconds
        for name in sorted(set(holds) - self._known.keys(), reverse=True):
            if name in self._known:
                continue  # found on the way to a later one
            if self._clock.monotonic() >= until:
                break
            await self._look_for(name, until)
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        return {name: self._known[name] for name in holds if name in self._known}

    async def _look_for(self, name: str, until: float) -> None:
        begin = placed_at(name) // 1000
        if not begin:
            return
        recent = self._clock.now_us() // 1000 - begin < _RECENT_MS
        for source in (self._on_log, self._sealed) if recent else (self._sealed, self._on_log):
            async with aclosing(source(begin)) as payloads:
                async for payload in payloads:
                    self._take(payload)
                    if name in self._known or self._clock.monotonic() >= until:
                        break
            if name in self._known:
                return

    async def _on_log(self, since_ms: int) -> AsyncGenerator[bytes, None]:
        for topic in _TOPICS:
            async for record in self._log.replay(topic, (since_ms - 1) * 1000):
                yield record.payload

    async def _sealed(self, since_ms: int) -> AsyncGenerator[bytes, None]:
        async for segment in segments(self._objects, DEFAULT_PARTITION, since_ms - 1, since_ms + _AROUND_MS):
            for record in segment.records:
                if record.topic in _TOPICS:
                    yield record.payload

    def _take(self, payload: bytes) -> None:
        try:
            event = decode(payload)
        except UndecodableEvent:
            return
        if isinstance(event, HoldPlaced | PatientHoldPlaced):
            self._known[event.hold] = HoldFact(event.by, event.reason, event.at)


_TOPICS: Sequence[str] = (TOPICS[HoldPlaced].name, TOPICS[PatientHoldPlaced].name)


def placed_at(hold: str) -> int:
    """When a hold was placed, from its name, in microseconds since the epoch, to the millisecond; 0 if the name does
    not show it."""
    try:
        return Receipt(hold).milliseconds * 1000
    except ValueError:
        return 0
