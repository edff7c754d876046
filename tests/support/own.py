"""Servers for a single test, which can pause, kill and restart them; containers or processes."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests.support.answering import http_ok, kafka_answers, wait_for
from tests.support.parts import spawn
from tests.support.server import Server
from tests.support.servers import start_own


class OwnServer:
    """Kafka, OpenSearch or S3; its data survives all that a test does to it."""

    def __init__(self, name: str, folder: Path, advertised: int = 0) -> None:
        self.server: Server = start_own(name, folder, advertised)
        self.advertised = advertised

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def port(self) -> int:
        """Its port on the loopback interface."""
        return int(self.server.endpoint.rpartition(":")[2])

    def pause(self) -> None:
        """Freeze it: it answers nothing, and its connections stay open."""
        self._do("pause", signal.SIGSTOP)

    def resume(self) -> None:
        self._do("unpause", signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL."""
        self._do("kill", signal.SIGKILL)
        for pid in self.server.pids:
            os.waitpid(pid, 0)

    def stop(self) -> None:
        """Send SIGTERM, and wait for the end."""
        if self.server.container:
            self._docker("stop", "-t", "30")
            return
        for pid in self.server.pids:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)

    def start(self) -> None:
        """Start it again, after `kill` or `stop`."""
        server = self.server
        if server.container:
            self._docker("start")
        else:
            server.pids = [spawn(Path(server.folder), server.command, server.environment, server.user)]

    def wait_ready(self, seconds: float = 240.0) -> None:
        """Wait until it answers."""
        if self.name == "kafka":
            # Check the server itself, not the address that it advertises.
            wait_for(lambda: kafka_answers(f"127.0.0.1:{self.port}", groups=False), seconds, self.name)
        else:
            # A node that was killed answers before it has found its indices again.
            health = "/_cluster/health?wait_for_status=yellow&timeout=1s"
            path = health if self.name == "opensearch" else "/health"
            wait_for(lambda: http_ok(f"{self.server.endpoint}{path}"), seconds, self.name)

    def remove(self) -> None:
        """End it and remove its data."""
        if self.server.container:
            self._docker("rm", "-f", "-v")
            return
        for pid in self.server.pids:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _do(self, verb: str, number: signal.Signals) -> None:
        if self.server.container:
            self._docker(verb)
        for pid in self.server.pids:
            os.killpg(pid, number)

    def _docker(self, *verb: str) -> None:
        subprocess.run(["docker", *verb, self.server.container], check=True, capture_output=True, timeout=120)
