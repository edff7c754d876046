"""A real `gantry serve` process on free ports, with all data in a folder of the test."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from gantry.common.net import Peer
from tests.support.leaks import require_no_names
from tests.support.ports import free_port
from tests.support.preloaded import IMPORTS, ROOT, Forked, gantry_process

__all__ = ["IMPORTS", "ROOT", "RunningArchive"]


class RunningArchive:
    """An archive that a test can start, stop, kill and start again; its data stays."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        peers: Sequence[str] = (),
        lab: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` names the stores, if they are not embedded (`tests.support.topology`)."""
        self.folder = folder
        self.environment = dict(environment or {})
        self.port, self.http_port = free_port(), free_port(2)
        self.config = folder / "gantry.yaml"
        self.write_policy(peers)
        self.arguments = [*arguments, *(["--lab"] if lab else [])]
        self.process: Forked | subprocess.Popen[bytes] | None = None
        self.log = folder / "log.txt"
        self._looked_at = 0

    def write_policy(self, peers: Sequence[str], extra: str = "") -> None:
        lines = "".join(f"  - {peer}\n" for peer in peers)
        self.config.write_text(f"{extra}peers:\n{lines}" if peers else f"{extra}peers: []\n")

    @property
    def peer(self) -> Peer:
        return Peer("127.0.0.1", self.port, "GANTRY", "TEST_SCU")

    @property
    def address(self) -> str:
        return f"GANTRY@127.0.0.1:{self.port}"

    def start(self, *, ready: bool = True, failpoints: str = "", env: dict[str, str] | None = None) -> RunningArchive:
        environment = {
            **os.environ,
            **self.environment,
            "PYTHONPATH": IMPORTS,
            "GANTRY_FAILPOINTS": failpoints,
            **(env or {}),
        }
        with self.log.open("ab") as log:
            self.process = gantry_process(
                [
                    "serve",
                    "--config",
                    str(self.config),
                    "--data",
                    str(self.folder / "data"),
                    "--dimse-port",
                    str(self.port),
                    "--http-port",
                    str(self.http_port),
                    *self.arguments,
                ],
                environment,
                log,
                log,
            )
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"the archive ended with {self.process.returncode}:\n{self.log.read_text()}")
            if self.http("/readyz")[0] == 200:
                return
            time.sleep(0.05)
        raise AssertionError(f"the archive is not ready:\n{self.http('/readyz')}\n{self.log.read_text()}")

    def http(self, path: str, seconds: float = 30) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=seconds) as response:
                return response.status, response.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        total = 0.0
        for line in self.http("/metrics")[1].splitlines():
            if line.startswith((f"{name} ", f"{name}{{")):
                total += float(line.rsplit(" ", 1)[1])
        return total

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self, seconds: float = 20.0) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            metrics = self.http("/metrics", seconds=3)[1]
            self.process.send_signal(signal.SIGTERM)
            require_no_names("the metrics", metrics)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the archive does not stop:\n{self.log.read_text()}") from None
        self.process = None
        self._look_for_names()
        return code

    def workers(self) -> list[int]:
        """The process ids of a supervisor's workers."""
        assert self.process is not None
        pid = self.process.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except OSError:
            return []
        return [int(child) for child in children.split()]

    def kill(self) -> None:
        """Send SIGKILL, to the workers too, as a power cut ends processes."""
        if self.process is not None:
            workers = self.workers()
            self.process.kill()
            for worker in workers:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
            self.process.wait(10)
            self.process = None
            self._look_for_names()

    def _look_for_names(self) -> None:
        """Search for patients' names in the log since the last call."""
        if not self.log.exists():
            return
        with self.log.open("rb") as log:
            log.seek(self._looked_at)
            lines = log.read()
        self._looked_at += len(lines)
        require_no_names("the log", lines.decode("utf-8", "replace"))

    def wait_dead(self, seconds: float = 30.0) -> int:
        assert self.process is not None
        return self.process.wait(seconds)

    def rss(self) -> int:
        """Resident bytes."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
        return 0
