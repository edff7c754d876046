"""From start to exit: components start in order, serve until a signal, drain with a deadline, and close in reverse.

    STARTING ──all started──▶ READY ──SIGTERM, SIGINT──▶ DRAINING ──drained, or deadline──▶ STOPPED
        └──── a component fails ────────┴────────────────────────────────────────────────▶ STOPPED, exit code 1

A second signal while draining ends the drain.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any, Protocol

from gantry.common.clock import Clock
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger


class Phase(Enum):
    """The phase that the readiness probe reports: only READY accepts new work."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"


class Component(Protocol):
    """Something that starts and stops with the process."""

    name: str

    async def start(self) -> None:
        """Be ready for work when this returns."""

    async def drain(self) -> None:
        """Accept no new work, and return when current work is finished. May be cancelled at the deadline."""

    async def close(self) -> None:
        """Release all resources, and end unfinished work now. Called also if `start` failed or never ran."""


class Lifecycle:
    """One process's components."""

    def __init__(self, components: Sequence[Component], clock: Clock, drain_seconds: float = 30.0) -> None:
        self.state = Phase.STARTING
        self._components = components
        self._clock = clock
        self._drain_seconds = drain_seconds
        self._stop = asyncio.Event()
        self._second_stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._when_ready: list[Callable[[], None]] = []
        self._logger = get_logger("lifecycle")

    def watch(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run essential background work: if it raises, the process drains and ends with exit code 1, so that its
        supervisor notices. It is cancelled after the drain."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def when_ready(self, then: Callable[[], None]) -> None:
        """Call `then` once, when all components have started."""
        self._when_ready.append(then)

    def ask_to_stop(self) -> None:
        """The effect of SIGTERM and SIGINT: drain; the second time: stop at once."""
        if self._stop.is_set():
            self._second_stop.set()
        self._stop.set()

    async def run(self) -> int:
        """Start, serve, drain, close. Returns the exit code."""
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError, RuntimeError, ValueError):  # not on the main thread: embedded
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.ask_to_stop)
        try:
            await self._start()
            if not self._stop.is_set():
                self.state = Phase.READY
                self._logger.info("ready")
                for then in self._when_ready:
                    then()
            await self._stop.wait()
            self.state = Phase.DRAINING
            self._logger.info("draining", seconds=self._drain_seconds)
            await self._drain()
        except Exception as error:
            self._fail(error, "start")
        finally:
            await self._close()
            self.state = Phase.STOPPED
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        self._logger.info("stopped", failed=self._failure is not None)
        return 1 if self._failure is not None else 0

    async def _start(self) -> None:
        for component in self._components:
            if self._stop.is_set():
                return
            if not await self._started(component):
                return
            self._logger.debug("component started", name=component.name)

    async def _started(self, component: Component) -> bool:
        """Start a component, which may wait for other machines: a signal ends the wait. Whether it has started."""
        starting = asyncio.create_task(component.start(), name=component.name)
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([starting, stop], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                return True
            await end_tasks(starting)
            return False
        finally:
            stop.cancel()

    async def _drain(self) -> None:
        """Drain all components at once, so that a slow one does not delay the others, until the deadline or a second
        signal."""
        drains = [asyncio.create_task(c.drain(), name=c.name) for c in reversed(self._components)]
        ends: list[asyncio.Future[Any]] = [
            asyncio.gather(*drains, return_exceptions=True),
            asyncio.ensure_future(self._clock.sleep(self._drain_seconds)),
            asyncio.ensure_future(self._second_stop.wait()),
        ]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for drain in drains:
            if not drain.done():
                self._logger.warning("drain cut short", name=drain.get_name())
            elif not drain.cancelled() and (error := drain.exception()) is not None:
                self._logger.error("drain failed", name=drain.get_name(), error=error)
        await end_tasks(*drains, *ends)

    async def _close(self) -> None:
        await end_tasks(*self._tasks)
        for component in reversed(self._components):
            try:
                await component.close()
            except Exception as error:
                self._logger.error("close failed", name=component.name, error=error)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error, task.get_name())

    def _fail(self, error: BaseException, name: str) -> None:
        self._failure = error
        self._logger.error("component failed", name=name, error=error)
        self._stop.set()
