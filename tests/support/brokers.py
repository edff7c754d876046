"""Three Kafka brokers, so that some of them can be away. They run as processes, from the parts of
deploy/images/artefacts.sh: containers would need a network of their own to reach each other."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.support.answering import kafka_answers, wait_for
from tests.support.parts import java_of, parts, spawn
from tests.support.ports import free_port


class Brokers:
    """A cluster of three, each a broker and a controller."""

    def __init__(self, folder: Path) -> None:
        """Raises `Unavailable` if the parts are not available."""
        parts("jre", "kafka")
        self._ports = [free_port() for _ in range(3)]
        quorum = [free_port() for _ in range(3)]
        voters = ",".join(f"{node}@127.0.0.1:{port}" for node, port in enumerate(quorum, 1))
        self._folders = [folder / f"broker{node}" for node in (1, 2, 3)]
        self._pids: list[int | None] = [None, None, None]
        for node, (own, port, controller) in enumerate(zip(self._folders, self._ports, quorum, strict=True), 1):
            own.mkdir(parents=True)
            self._configure(own, node, port, controller, voters)
        for number in range(3):
            self.start(number)
        for number in range(3):
            self.wait_ready(number)

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self._ports)

    def start(self, number: int) -> None:
        own = self._folders[number]
        self._pids[number] = spawn(own, [*java_of("kafka"), "kafka.Kafka", "server.properties"])

    def wait_ready(self, number: int) -> None:
        wait_for(lambda: kafka_answers(f"127.0.0.1:{self._ports[number]}", groups=False), 240, f"broker {number}")

    def kill(self, number: int) -> None:
        pid, self._pids[number] = self._pids[number], None
        if pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def remove(self) -> None:
        for number in range(3):
            self.kill(number)

    def _configure(self, own: Path, node: int, port: int, controller: int, voters: str) -> None:
        properties = {
            "process.roles": "broker,controller",
            "node.id": str(node),
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": str(own / "data"),
            "group.initial.rebalance.delay.ms": "100",
            "offsets.topic.num.partitions": "4",
            "auto.create.topics.enable": "false",
        }
        (own / "server.properties").write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        tool = ["kafka.tools.StorageTool", "format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c", "server.properties"]
        subprocess.run([*java_of("kafka"), *tool], cwd=own, check=True, capture_output=True)
