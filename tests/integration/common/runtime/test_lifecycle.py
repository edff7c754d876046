"""Start, drain and stop of a process's components."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from gantry.common.clock import SystemClock
from gantry.common.runtime.lifecycle import Lifecycle, Phase


class Part:
    """A component that tells what happens to it."""

    def __init__(self, name: str, calls: list[str], fail: str = "", drain_seconds: float = 0.0) -> None:
        self.name = name
        self._calls = calls
        self._fail = fail
        self._drain_seconds = drain_seconds

    async def start(self) -> None:
        await self._tell("start")

    async def drain(self) -> None:
        await asyncio.sleep(self._drain_seconds)
        await self._tell("drain")

    async def close(self) -> None:
        await self._tell("close")

    async def _tell(self, step: str) -> None:
        self._calls.append(f"{step} {self.name}")
        if step == self._fail:
            raise RuntimeError(step)


async def until_ready(lifecycle: Lifecycle) -> None:
    async with asyncio.timeout(10):
        while lifecycle.state is not Phase.READY:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_drains_and_closes_in_reverse_order(number: int) -> None:
    calls: list[str] = []
    lifecycle = Lifecycle([Part("stores", calls), Part("server", calls)], SystemClock())
    assert lifecycle.state is Phase.STARTING
    running = asyncio.create_task(lifecycle.run())
    await until_ready(lifecycle)
    os.kill(os.getpid(), number)
    assert await asyncio.wait_for(running, 10) == 0
    assert calls[:2] == ["start stores", "start server"]
    assert set(calls[2:4]) == {"drain stores", "drain server"}
    assert calls[4:] == ["close server", "close stores"]
    assert lifecycle.state is Phase.STOPPED


async def test_drain_ends_at_the_deadline() -> None:
    calls: list[str] = []
    parts = [Part("quick", calls), Part("stuck", calls, drain_seconds=1000)]
    lifecycle = Lifecycle(parts, SystemClock(), drain_seconds=0.1)
    running = asyncio.create_task(lifecycle.run())
    await until_ready(lifecycle)
    lifecycle.ask_to_stop()
    assert await asyncio.wait_for(running, 10) == 0
    assert "drain quick" in calls
    assert "drain stuck" not in calls
    assert calls[-2:] == ["close stuck", "close quick"]


async def test_second_signal_ends_the_drain() -> None:
    calls: list[str] = []
    lifecycle = Lifecycle([Part("stuck", calls, drain_seconds=1000)], SystemClock(), drain_seconds=1000)
    running = asyncio.create_task(lifecycle.run())
    await until_ready(lifecycle)
    lifecycle.ask_to_stop()
    while lifecycle.state is not Phase.DRAINING:
        await asyncio.sleep(0.001)
    lifecycle.ask_to_stop()
    assert await asyncio.wait_for(running, 10) == 0


async def test_start_that_fails_closes_everything_and_tells() -> None:
    calls: list[str] = []
    lifecycle = Lifecycle([Part("a", calls), Part("b", calls, fail="start"), Part("c", calls)], SystemClock())
    assert await asyncio.wait_for(lifecycle.run(), 10) == 1
    assert calls == ["start a", "start b", "close c", "close b", "close a"]


async def test_background_work_that_dies_ends_the_process() -> None:
    calls: list[str] = []
    lifecycle = Lifecycle([Part("a", calls)], SystemClock())

    async def work() -> None:
        await asyncio.sleep(0.05)
        raise RuntimeError("consumer stopped")

    lifecycle.watch(work(), "indexer")
    assert await asyncio.wait_for(lifecycle.run(), 10) == 1
    assert calls == ["start a", "drain a", "close a"]


async def test_close_that_fails_keeps_no_other_from_closing() -> None:
    calls: list[str] = []
    lifecycle = Lifecycle([Part("a", calls), Part("b", calls, fail="close")], SystemClock())
    running = asyncio.create_task(lifecycle.run())
    await until_ready(lifecycle)
    lifecycle.ask_to_stop()
    assert await asyncio.wait_for(running, 10) == 0
    assert calls[-2:] == ["close b", "close a"]
