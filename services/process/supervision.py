"""Child processes of the same archive, restarted when they die: workers that share a port, and the indexer."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Sequence

import aiohttp

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.telemetry.logs import get_logger

_RESTART_AFTER = 1.0
_LONGEST_RESTART = 30.0
_LIVED_LONG = 60.0
_ASKED_SECONDS = 3.0


class SupervisedProcess:
    """A process like this one with other arguments; restarted when it dies, until `stop` is called."""

    def __init__(self, name: str, arguments: Sequence[str], clock: Clock, pass_fds: Sequence[int] = ()) -> None:
        self._name = name
        self._command = [sys.executable, "-m", "gantry", *sys.argv[1:], *arguments]
        self._clock = clock
        self._pass_fds = pass_fds
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._logger = get_logger("supervisor")

    @property
    def is_running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.returncode is None

    async def run(self) -> int:
        """Run the process, again if it dies, until `stop`. Returns its last exit code."""
        pause = _RESTART_AFTER
        while True:
            started = self._clock.monotonic()
            code = await self._run()
            if self._stopping.is_set():
                return max(code, 0)
            self._logger.error("process ended, starting it again", name=self._name, exit_code=code)
            pause = (
                _RESTART_AFTER if self._clock.monotonic() - started > _LIVED_LONG else min(pause * 2, _LONGEST_RESTART)
            )
            waiting = asyncio.ensure_future(self._stopping.wait())
            await asyncio.wait([waiting], timeout=pause)
            waiting.cancel()
            if self._stopping.is_set():
                return max(code, 0)

    async def _run(self) -> int:
        # A session of its own: Ctrl-C reaches only this process, which forwards it once.
        # It ends when its standard input closes: if this process is killed, it leaves no child behind.
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command, start_new_session=True, stdin=asyncio.subprocess.PIPE, pass_fds=self._pass_fds
        )
        if self._stopping.is_set():  # `stop` was called while the process was starting
            process.terminate()
        return await process.wait()

    def stop(self) -> None:
        """Ask the process to drain and end."""
        self._stopping.set()
        self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Forward a signal to the process."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)


class Companion:
    """A component of the lifecycle: the indexer as a separate process, with its own interpreter, and so its own core.
    The health and metrics of both are served together (`gantry.services.process.http`): the companion listens on an
    inherited socket, on the loopback interface."""

    name = "indexer process"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._socket = socket.socket()
        self._process: SupervisedProcess | None = None
        self._running: asyncio.Task[int] | None = None

    async def start(self) -> None:
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        number = self._socket.fileno()
        self._process = SupervisedProcess("indexer", ["--indexer-of", str(number)], self._clock, [number])
        self._running = asyncio.create_task(self._process.run(), name="indexer process")

    async def drain(self) -> None:
        if self._process is not None and self._running is not None:
            self._process.stop()
            await asyncio.shield(self._running)

    async def close(self) -> None:
        if self._process is not None and self._running is not None and not self._running.done():
            self._process.stop()
            self._process.signal(signal.SIGKILL)
            await self._running
        self._socket.close()

    async def check(self) -> None:
        """Return if the companion is ready; raises `DependencyUnavailable` with its reasons otherwise."""
        status, text = await self._get("/readyz")
        if status != 200:
            raise DependencyUnavailable(self.name, "; ".join(text.split("\n")[:-1]))

    async def metrics(self) -> str:
        """The companion's metrics in the text format, "" while it is unavailable."""
        try:
            return (await self._get("/metrics"))[1]
        except DependencyUnavailable:
            return ""

    async def _get(self, path: str) -> tuple[int, str]:
        if self._process is None or not self._process.is_running:
            raise DependencyUnavailable(self.name, "not running")
        host, port = self._socket.getsockname()
        limit = aiohttp.ClientTimeout(total=_ASKED_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit) as session,
                session.get(f"http://{host}:{port}{path}") as response,
            ):
                return response.status, await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise DependencyUnavailable(self.name, "it does not answer") from None
