"""The orders of one process: one projection for all its roles, and the follower that feeds it from the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gantry.common.clock import Clock
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.log import EventLog
from gantry.common.ports.orders import OrderIndex
from gantry.common.runtime.order_follower import Follower
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.metrics import Metrics


class FollowedOrders:
    """Nothing is read before the first call: a process without a role that needs orders has none."""

    def __init__(
        self, open_: Callable[[], OrderIndex], objects: BlobStore, log: EventLog, clock: Clock, metrics: Metrics
    ) -> None:
        self._open = open_
        self._objects = objects
        self._log = log
        self._clock = clock
        self._metrics = metrics
        self._begun: tuple[OrderIndex, Follower, asyncio.Task[None]] | None = None

    def begin(self) -> tuple[OrderIndex, Follower]:
        """The projection and its follower, which is started if it was not before."""
        if self._begun is None:
            index = self._open()
            follower = Follower(self._objects, self._log, index, self._clock, self._metrics)
            self._begun = index, follower, asyncio.create_task(follower.run())
        index, follower, _ = self._begun
        return index, follower

    async def run(self) -> None:
        """Follow until cancelled, or closed; raises the error that ends the reading. Each role that called `begin` runs
        this."""
        if self._begun is not None:
            await asyncio.shield(self._begun[2])

    async def close(self) -> None:
        """Stop reading, and release the projection. May be called twice."""
        if self._begun is not None:
            index, _, following = self._begun
            await end_tasks(following)
            await index.close()
