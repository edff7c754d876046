"""Processes of the orders role on one log, without their ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gantry.common.adapters.files import FileStore, open_file_store
from gantry.common.adapters.sqlite import SqliteLog, open_sqlite_log
from gantry.common.adapters.sqlite.orders.index import SqliteOrders
from gantry.common.clock import SystemClock
from gantry.common.runtime.order_follower import Follower
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.metrics import Metrics
from gantry.services.orders.desk import OrderDesk


@dataclass(slots=True)
class Process:
    """What one process of the role has."""

    objects: FileStore
    log: SqliteLog
    orders: SqliteOrders
    follower: Follower
    desk: OrderDesk
    metrics: Metrics
    following: asyncio.Task[None]

    def moved(self, event: str, verdict: str) -> float:
        return self.metrics.registry.get_sample_value(
            "gantry_order_events_total", {"event": event, "verdict": verdict}
        ) or 0.0  # fmt: skip

    async def end(self) -> None:
        await end_tasks(self.following)
        await self.orders.close()


Start = Callable[[], Awaitable[Process]]


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteLog]:
    opened = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    yield opened
    await opened.close()


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[FileStore]:
    opened = await open_file_store(tmp_path / "objects", low_water=0)
    yield opened
    await opened.close()


@pytest.fixture
async def start(objects: FileStore, log: SqliteLog) -> AsyncIterator[Start]:
    """Starts one more process, which has caught up when it is there."""
    started: list[Process] = []

    async def start_one() -> Process:
        orders, metrics, clock = SqliteOrders(), Metrics(), SystemClock()
        follower = Follower(objects, log, orders, clock, metrics)
        following = asyncio.create_task(follower.run())
        desk = OrderDesk(objects, log, follower, clock, 10.0)
        started.append(Process(objects, log, orders, follower, desk, metrics, following))
        await follower.caught_up()
        return started[-1]

    yield start_one
    for process in started:
        await process.end()
