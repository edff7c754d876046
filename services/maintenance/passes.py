"""Passes over the whole archive, which take hours and are repeated: their progress is stored in the bucket, so that an
interrupted pass is continued, and only one of several processes makes it.

    state/NAME/RECEIPT.json: the newest counts.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Generic, TypeVar

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable, GantryError, NotFound
from gantry.common.ids import Receipt
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.common.telemetry.logs import get_logger

_SAVE_SECONDS = 30.0
_ALIVE_SECONDS = 300.0
"""A pass whose state was saved within this time is running: other processes leave it alone."""
_LOOK_SECONDS = 600.0


@dataclass(slots=True)
class Pass:
    """When a pass was begun, saved and ended (0 before), in microseconds since the epoch, and which process makes
    it."""

    begun_at: int = 0
    saved_at: int = 0
    finished_at: int = 0
    by: str = ""


P = TypeVar("P", bound=Pass)


class Passes(Generic[P]):
    """The passes of one name over one bucket."""

    def __init__(self, objects: BlobStore, clock: Clock, name: str, kind: type[P]) -> None:
        self.root = f"state/{name}/"
        self._objects = objects
        self._clock = clock
        self._kind = kind
        self._logger = get_logger(name)
        self.by = Receipt.at(clock.now_us()).id
        self._saved = clock.monotonic()

    async def latest(self) -> P | None:
        """The newest state of a pass, finished or not; None before the first. Raises `DependencyUnavailable`."""
        keys = [stat.key async for stat in self._objects.list(self.root)]
        for key in reversed(keys):
            try:
                return self._kind(**json.loads(await read_whole(self._objects, key)))
            except (NotFound, ValueError, TypeError):
                continue  # removed meanwhile, or written by a release with another format
        return None

    async def run(self, every: float, work: Callable[[P | None], Awaitable[object]]) -> None:
        """Run for ever: `work` begins a pass, or continues one, `every` seconds after the one before ended."""
        while True:
            try:
                state = await self.latest()
                if state is None or self.is_due(state, every):
                    await work(state)
            except GantryError as error:
                self._logger.warning("pass broken off", error=error)
            await self._clock.sleep(min(every, _LOOK_SECONDS))

    def is_due(self, state: P, every: float) -> bool:
        """Whether a pass is to begin or continue here: `every` seconds have passed, or the process that made it has
        ended."""
        now = self._clock.now_us()
        if state.finished_at:
            return now - state.finished_at >= every * 1e6
        return state.by == self.by or now - state.saved_at >= _ALIVE_SECONDS * 1e6

    def begun(self, state: P | None) -> P:
        """The rest of an unfinished pass, or a new one; this process makes it from now on."""
        if state is None or state.finished_at:
            state = self._kind(begun_at=self._clock.now_us())
        state.by = self.by
        self._saved = self._clock.monotonic()
        return state

    async def save_now_and_then(self, state: P) -> None:
        """Make the state durable, if it has not been for a while."""
        if self._clock.monotonic() - self._saved >= _SAVE_SECONDS:
            await self.save(state)

    async def end(self, state: P) -> None:
        """End the pass."""
        state.finished_at = self._clock.now_us()
        await self.save(state)

    async def save(self, state: P) -> None:
        """Make the state durable, and remove older ones. If the store is unavailable, that is logged."""
        state.saved_at = self._clock.now_us()
        self._saved = self._clock.monotonic()
        key = f"{self.root}{Receipt.at(state.saved_at).id}.json"
        try:
            await self._objects.put(key, [json.dumps(asdict(state)).encode()])
        except DependencyUnavailable as error:
            self._logger.warning("the progress of a pass was not saved", error=error)
            return
        async for stat in self._objects.list(self.root):
            if stat.key < key:
                await self._objects.delete(stat.key)


class Pace:
    """At most `rate` units a second; 0 for no limit."""

    def __init__(self, clock: Clock, rate: float) -> None:
        self._clock = clock
        self._rate = rate
        self._free_at = 0.0

    async def __call__(self, count: int) -> None:
        """Wait until `count` more fit into the rate."""
        if not self._rate:
            return
        now = self._clock.monotonic()
        self._free_at = max(self._free_at, now) + count / self._rate
        if self._free_at - now > 0.05:
            await self._clock.sleep(self._free_at - now)
