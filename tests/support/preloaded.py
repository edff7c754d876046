"""`python -m gantry …` for tests, without the second and a half that it takes to import: a process that has imported
everything waits, and forks for each call.

It runs the same program with the same arguments, environment, folder and descriptors, in its own process, which can be
killed, waited for and counted like any other. That process starts its own children (indexer, decoders, writers) as
usual. With `GANTRY_TESTS_FORK=0` every process is started from scratch.
"""

from __future__ import annotations

import array
import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from tests.support.overheard import note

ROOT = Path(__file__).parents[2]
IMPORTS = os.pathsep.join((str(ROOT / "libs"), str(ROOT)))
"""PYTHONPATH of the processes that tests start: they run this tree, whichever one is installed."""
_LONGEST = 1 << 18
_SHOWS_PATIENTS = frozenset(
    (
        *("audit", "coerce", "conflicts", "find", "history", "hl7", "orders", "workitems"),
        *("import", "import-in-place", "left-in-place"),
    )
)
"""Commands that show patients on request, or whose files have patients' names."""
_MODULES = (
    "gantry.services.commands.serve",
    *(
        f"gantry.services.{role}.app"
        for role in (
            "ingest",
            "query",
            "retrieve",
            "commitment",
            "indexer",
            "maintenance",
            "lifecycle",
            "operations",
            "orders",
        )
    ),
    "gantry.services.webhooks.app",
    "gantry.services.completion.app",
    "gantry.services.indexer.rebuild",
    "gantry.services.commands.on_stores",
    "gantry.common.adapters.kafka",
    "gantry.common.adapters.s3",
    "gantry.common.adapters.opensearch",
)


class Forked:
    """A process of `gantry`, with the interface of `subprocess.Popen`."""

    def __init__(self, server: Preloaded, pid: int) -> None:
        self._server = server
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        if self.returncode is None:
            self.returncode = self._server.exit_of(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended. Raises `subprocess.TimeoutExpired`."""
        until = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired("gantry", timeout or 0.0)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal while it runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Preloaded:
    """The forking process of this test process."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        self._exits: dict[int, int] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.preloaded", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": IMPORTS, "OPENBLAS_NUM_THREADS": "1"},
            cwd=ROOT,
        )
        theirs.close()
        atexit.register(self.close)

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], stdout: IO[Any], stderr: IO[Any], cwd: Path
    ) -> Forked:
        """Run `gantry` with these arguments."""
        request = json.dumps({"arguments": list(arguments), "environment": dict(environment), "cwd": str(cwd)}).encode()
        assert len(request) < _LONGEST
        descriptors = array.array("i", [stdout.fileno(), stderr.fileno()])
        with self._lock:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
            self._ours.sendmsg([request], rights)
            while True:
                answer = self._read(60.0)
                if answer is None:
                    raise RuntimeError("the process that forks for tests does not answer")
                if "pid" in answer:
                    # An earlier process with this number was another one: in an hour of tests numbers are reused.
                    self._exits.pop(answer["pid"], None)
                    return Forked(self, answer["pid"])

    def exit_of(self, pid: int) -> int | None:
        """The exit code of a process that has ended."""
        with self._lock:
            while self._read(0.0) is not None:
                continue
            return self._exits.get(pid)

    def _read(self, seconds: float) -> dict[str, int] | None:
        if not select.select([self._ours], [], [], seconds)[0]:
            return None
        message = self._ours.recv(_LONGEST)
        if not message:
            raise RuntimeError("the process that forks for tests has ended")
        answer: dict[str, int] = json.loads(message)
        if "ended" in answer:
            self._exits[answer["ended"]] = answer["code"]
        return answer

    def close(self) -> None:
        """End it. Processes that it forked keep running."""
        self._ours.close()
        self._process.wait(10)


_SERVERS: dict[int, Preloaded] = {}


def gantry_process(
    arguments: Sequence[str], environment: Mapping[str, str], stdout: IO[Any], stderr: IO[Any], cwd: Path = ROOT
) -> Forked | subprocess.Popen[bytes]:
    """Start `gantry` with these arguments, and nothing on its standard input."""
    if os.environ.get("GANTRY_TESTS_FORK") == "0" or not hasattr(os, "fork"):
        return subprocess.Popen(
            [sys.executable, "-m", "gantry", *arguments],
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    if os.getpid() not in _SERVERS:
        _SERVERS[os.getpid()] = Preloaded()
    return _SERVERS[os.getpid()].start(arguments, environment, stdout, stderr, cwd)


def run_gantry(
    arguments: Sequence[object],
    environment: Mapping[str, str],
    folder: Path,
    *,
    timeout: float | None = None,
    cwd: Path = ROOT,
) -> subprocess.CompletedProcess[str]:
    """Run `gantry` to its end; its output is in files of `folder` meanwhile. Raises `subprocess.TimeoutExpired`."""
    words = [str(argument) for argument in arguments]
    out, err = (folder / f".{name}-{time.monotonic_ns()}" for name in ("out", "err"))
    with out.open("wb+") as stdout, err.open("wb+") as stderr:
        process = gantry_process(words, environment, stdout, stderr, cwd)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    output = out.read_text(encoding="utf-8", errors="replace"), err.read_text(encoding="utf-8", errors="replace")
    out.unlink()
    err.unlink()
    command = " ".join(["gantry", *words[:2]])
    note(f"what `{command}` said of an error", output[1])
    if not _SHOWS_PATIENTS & set(words[:2]):
        note(f"what `{command}` printed", output[0])
    return subprocess.CompletedProcess(["gantry", *words], code, *output)


# ---- the process that forks


def _serve(descriptor: int) -> None:
    from importlib import import_module

    for name in _MODULES:
        import_module(name)
    request = socket.socket(fileno=descriptor)
    # A byte for each child that has ended wakes the loop.
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([request.fileno(), reading], [], [])
        if reading in ready:
            with suppress(BlockingIOError):
                os.read(reading, 4096)
            _reap(request)
        if request.fileno() in ready:
            message, descriptors, _, _ = socket.recv_fds(request, _LONGEST, 2)
            if not message:
                os._exit(0)
            pid = os.fork()
            if not pid:
                _become(json.loads(message), descriptors)
            for file in descriptors:
                os.close(file)
            request.send(json.dumps({"pid": pid}).encode())


def _reap(connection: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        with suppress(OSError):
            connection.send(json.dumps({"ended": pid, "code": os.waitstatus_to_exitcode(status)}).encode())


def _become(request: dict[str, Any], descriptors: Sequence[int]) -> None:
    """Become `python -m gantry`, from its first line on. Does not return."""
    import random
    import runpy

    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, nothing), (1, descriptors[0]), (2, descriptors[1])):
            os.dup2(source, target)
        os.closerange(3, 256)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["cwd"])
        random.seed()
        from gantry.common.runtime import failpoints

        # The only part of the environment that is read at import.
        failpoints._ARMED = failpoints.parse(os.environ.get("GANTRY_FAILPOINTS", ""))
        sys.argv = [str(ROOT / "libs" / "gantry" / "__main__.py"), *request["arguments"]]
        try:
            runpy.run_module("gantry", run_name="__main__", alter_sys=False)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            if isinstance(end.code, str):
                sys.stderr.write(f"{end.code}\n")
        except BaseException:
            sys.excepthook(*sys.exc_info())
    finally:
        with suppress(Exception):
            sys.stdout.flush()
        with suppress(Exception):
            sys.stderr.flush()
        with suppress(Exception):
            atexit._run_exitfuncs()
        os._exit(code)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
