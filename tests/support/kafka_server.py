"""Kafka for tests: one broker, as a container or as a process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support import memory
from tests.support.answering import kafka_answers, wait_for
from tests.support.engine import SESSION, run_container
from tests.support.parts import JAVA, java_of, spawn, version_of
from tests.support.ports import free_port
from tests.support.server import Server

_BROKER = {
    "group.initial.rebalance.delay.ms": "100",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "auto.create.topics.enable": "false",
    # The open files of a removed topic are closed at once, not after a minute.
    "log.segment.delete.delay.ms": "1000",
}
_DATA = "/var/lib/kafka/data"  # of the container


def _environment(port: int) -> dict[str, str]:
    return {
        "KAFKA_HEAP_OPTS": " ".join(JAVA),
        "KAFKA_NODE_ID": "1",
        "KAFKA_LOG_DIRS": _DATA,
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        **{f"KAFKA_{key.upper().replace('.', '_')}": value for key, value in _BROKER.items()},
    }


def contained(image: str, advertised: int) -> Server:
    """Start it in a container; `advertised` is the port to which it sends its clients, 0 for its own."""
    port = free_port()
    container = run_container(image, 9092, port, _environment(advertised or port), in_memory=_DATA)
    address = f"127.0.0.1:{port}"
    wait_for(lambda: kafka_answers(address, groups=not advertised), 240, image)
    return Server("kafka", address, f"container {image}", container)


def processed(folder: Path, advertised: int) -> Server:
    """Start it as a process."""
    folder.mkdir()
    port, quorum = free_port(2), free_port(2) + 1
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{quorum}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{quorum}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{advertised or port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": str(memory.new_folder(os.environ[SESSION]) or folder / "data"),
        **_BROKER,
    }
    (folder / "server.properties").write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    java = java_of("kafka")
    tool = [*java, "kafka.tools.StorageTool", "format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c", "server.properties"]
    subprocess.run(tool, cwd=folder, check=True, capture_output=True)
    command = [*java, "kafka.Kafka", "server.properties"]
    pid = spawn(folder, command)
    wait_for(lambda: kafka_answers(f"127.0.0.1:{port}", groups=not advertised), 240, "Kafka")
    return Server(
        "kafka",
        f"127.0.0.1:{port}",
        f"process, Kafka {version_of('KAFKA')}",
        pids=[pid],
        command=command,
        folder=str(folder),
    )
