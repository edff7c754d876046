"""Worker processes: reused, ended and replaced one by one, so that a job can harm only its own worker."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gantry.common.errors import GantryError
from gantry.common.telemetry.logs import get_logger
from gantry.services.retrieve.budget import Unavailable
from gantry.services.retrieve.pixels.spool import JobSpool
from gantry.services.retrieve.pixels.turns import WaitingJobs
from gantry.services.retrieve.pixels.worker import JOB, MAX_ANSWER, READY

logger = get_logger("retrieve")

_MAIN = "from gantry.services.retrieve.pixels.worker import main; main({}, {})"
_ATTEMPTS = 2
_START = 60.0

Work = tuple[str, str]
"""Module and name of a function: not imported here, since that would import what only workers need."""


class ConversionFailed(GantryError):
    """The object cannot be converted as requested, now or later: 406, or a failed sub-operation."""


class _Ended(Exception):
    """A worker ended, or was ended, in the middle of a job; `at_fault` where the job seems to be the cause."""

    def __init__(self, words: str, at_fault: bool) -> None:
        super().__init__(words)
        self.at_fault = at_fault


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """`deadline` of a job in seconds, from when a worker has it; `memory` of a worker in bytes; at most `most_waiting`
    jobs of all clients and `most_waiting_of_one` of one may wait, each for at most `patience` seconds."""

    deadline: float = 120.0
    memory: int = 4 << 30
    most_waiting: int = 512
    most_waiting_of_one: int = 128
    patience: float = 120.0


class WorkerPool:
    """Up to `workers` processes, started when they are first needed."""

    def __init__(self, workers: int, limits: PoolLimits) -> None:
        self._free = workers
        self._limits = limits
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._turns: WaitingJobs[asyncio.Future[None]] = WaitingJobs(limits.most_waiting, limits.most_waiting_of_one)
        self._closed = False

    async def run(self, work: Work, arguments: tuple[Any, ...], read: JobSpool, out: JobSpool, client: str) -> Any:
        """Run a function in a worker. Returns its result. The job takes a turn of `client`.

        A worker that dies or hangs costs its own job one attempt; there are two. Raises `ConversionFailed` if the
        object is at fault, `Unavailable` if it is not or too many jobs wait.
        """
        begin = out.size
        for attempt in range(_ATTEMPTS):
            out.size = begin
            try:
                return await self._once(work, arguments, read, out, client)
            except _Ended as ended:
                logger.warning("decoder ended", reason=str(ended), attempt=attempt + 1)
                last = ended
        if last.at_fault:
            raise ConversionFailed(f"{last}, twice")
        raise Unavailable(str(last))

    async def _once(self, work: Work, arguments: tuple[Any, ...], read: JobSpool, out: JobSpool, client: str) -> Any:
        await self._turn(client)
        worker: Worker | None = None
        try:
            worker = await self._worker()
            self._busy.add(worker)
            answer = await worker.perform(work, arguments, read, out, self._limits.deadline)
        except BaseException:
            # Also if the caller gave up: the worker must not stay occupied by an abandoned job.
            if worker is not None:
                self._busy.discard(worker)
                worker.kill()
            raise
        else:
            self._busy.discard(worker)
            self._idle.append(worker)
        finally:
            self._pass_on()
        if "done" in answer:
            return answer["done"]
        if "failed" in answer:
            raise Unavailable(str(answer["failed"]))
        raise ConversionFailed(str(answer.get("cannot")))

    async def _turn(self, client: str) -> None:
        if self._closed:
            raise Unavailable("shutting down")
        if self._free and not len(self._turns):
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._turns.put(client, turn):
            raise Unavailable("too many conversions wait")
        try:
            async with asyncio.timeout(self._limits.patience):
                await turn
        except BaseException as error:
            if not self._turns.remove(client, turn) and turn.done() and not turn.cancelled() and not turn.exception():
                self._pass_on()
            if isinstance(error, TimeoutError):
                raise Unavailable(f"no decoder within {self._limits.patience:g} s") from None
            raise

    def _pass_on(self) -> None:
        self._free += 1
        while self._free and (turn := self._turns.take()) is not None:
            if not turn.done():
                self._free -= 1
                turn.set_result(None)

    async def _worker(self) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            worker.kill()
        try:
            return await asyncio.to_thread(Worker.start, self._limits.memory)
        except OSError as error:
            raise Unavailable(f"no decoder can be started: {os.strerror(error.errno or 0)}") from error

    async def close(self) -> None:
        """End the workers, and fail the jobs that wait for one."""
        self._closed = True
        while (turn := self._turns.take()) is not None:
            if not turn.done():
                turn.set_exception(Unavailable("shutting down"))
        for worker in self._busy:
            worker.end()  # the caller that waits for it sees its end, and releases it
        while self._idle:
            self._idle.pop().kill()


class Worker:
    """One worker process."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self._process = process
        self._connection = connection

    @classmethod
    def start(cls, memory: int) -> Worker:
        """A new worker. Blocks while the process starts. Raises `OSError`."""
        # SEQPACKET preserves message boundaries, and the worker sees the connection close however we end.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-c", _MAIN.format(theirs.fileno(), memory)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        worker = cls(process, ours)
        try:
            # The time and processor time of a job count from when the worker is ready.
            ours.settimeout(_START)
            if ours.recv(len(READY)) != READY:
                raise OSError(errno.EIO, "a decoder did not start")
            ours.setblocking(False)
        except BaseException:
            ours.close()
            process.kill()
            process.wait()
            raise
        return worker

    @property
    def pid(self) -> int:
        """For tests and logs."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs, as far as the system says."""
        return self._process.poll() is None

    async def perform(
        self, work: Work, arguments: tuple[Any, ...], read: JobSpool, out: JobSpool, deadline: float
    ) -> dict[str, Any]:
        """Run one job. Returns the worker's answer. Raises `_Ended`, after which the caller must kill the worker."""
        request = await JobSpool.in_memory()
        try:
            await request.write(pickle.dumps((*work, arguments)))
            os.ftruncate(out.descriptor, out.size)
            os.lseek(out.descriptor, out.size, os.SEEK_SET)
            descriptors = [request.descriptor, read.descriptor, out.descriptor]
            begun = cpu_seconds(self.pid)
            try:
                socket.send_fds(self._connection, [JOB.pack(deadline)], descriptors)
                async with asyncio.timeout(deadline):
                    answer = await self._received()
            except TimeoutError:
                # A worker that used no processor time was stopped or starved: the object is not at fault.
                at_fault = cpu_seconds(self.pid) - begun > deadline / 20
                raise _Ended(f"a decoder took longer than {deadline:g} s", at_fault) from None
            except OSError:
                answer = b""
        finally:
            request.close()
        if not answer:
            raise _Ended(*await asyncio.to_thread(self._cause))
        out.size = os.fstat(out.descriptor).st_size
        result: dict[str, Any] = json.loads(answer)
        return result

    async def _received(self) -> bytes:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._connection, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._connection)
        return self._connection.recv(MAX_ANSWER)

    def _cause(self) -> tuple[str, bool]:
        """How the process ended, and whether the object is at fault: signals that come only from outside are not."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        code = self._process.returncode
        outside = code in (None, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP)
        return f"a decoder ended with {code}", not outside

    def end(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.kill()

    def kill(self) -> None:
        """End the process, and close its connection. The process is reaped in a thread, since it may take a moment to
        end."""
        with suppress(OSError):
            self._connection.close()
        self.end()
        if self._process.poll() is None:
            with suppress(RuntimeError):  # the loop is closed
                asyncio.get_running_loop().run_in_executor(None, self._process.wait)


def _environment() -> dict[str, str]:
    """The environment of a worker, with only what it needs: a decoder must not see our keys and tokens."""
    known = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "HOME")
    ours = {name: os.environ[name] for name in known if name in os.environ}
    return {**ours, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}


def cpu_seconds(pid: int) -> float:
    """Seconds of processor time that a process has used; 0 if the system does not report them."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0
