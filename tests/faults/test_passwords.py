"""Passwords that are replaced while we run: real servers that ask for them, and from one moment on for another one."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.kafka import KafkaCluster, open_kafka_log
from gantry.common.adapters.opensearch import OpenSearchCluster, open_opensearch_index
from gantry.common.adapters.s3 import S3Bucket, open_s3_store
from gantry.common.clock import SystemClock
from gantry.common.config.secret_files import SecretFile
from gantry.common.errors import DependencyUnavailable
from gantry.common.ports.blobs import read_whole
from tests.support.answering import http_ok, wait_for
from tests.support.facts import stored
from tests.support.link import Link
from tests.support.parts import java_of, part, parts, spawn
from tests.support.ports import free_port
from tests.support.server import Unavailable
from tests.support.servers import required

pytestmark = pytest.mark.timeout(240)
FIRST, SECOND = "first-password", "second-password"


class Passworded:
    """A server that is a process, and is started anew with another password."""

    def __init__(self, folder: Path, start: Callable[[str], int]) -> None:
        self._start = start
        self._pid = start(FIRST)

    def restart(self, password: str) -> None:
        self.end()
        self._pid = self._start(password)

    def end(self) -> None:
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


@pytest.fixture
def password(tmp_path: Path) -> Path:
    (file := tmp_path / "password").write_text(FIRST + "\n")
    return file


def need(*names: str) -> None:
    try:
        parts(*names)
    except Unavailable as error:
        pytest.skip(str(error))


async def soon(call: Callable[[], Awaitable[object]]) -> None:
    """Call until it works: clients find out that a server is there again."""
    async with asyncio.timeout(60):
        while True:
            try:
                await call()
            except DependencyUnavailable:
                await asyncio.sleep(0.2)
            else:
                return


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[str, Passworded]]:
    """Kafka that asks for user name and password."""
    need("jre", "kafka")
    (folder := tmp_path / "kafka").mkdir()
    port, quorum, java = free_port(2), free_port(2) + 1, java_of("kafka")

    def start(secret: str) -> int:
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        users = f'username="broker" password="inside" user_broker="inside" user_gantry="{secret}";'
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{quorum}",
            "listeners": f"SASL_PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{quorum}",
            "advertised.listeners": f"SASL_PLAINTEXT://127.0.0.1:{port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
            "inter.broker.listener.name": "SASL_PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "listener.name.sasl_plaintext.plain.sasl.jaas.config": f"{login} {users}",
            "log.dirs": str(folder / "data"),
            "group.initial.rebalance.delay.ms": "100",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
        }
        (folder / "server.properties").write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        if not (folder / "data").exists():
            tool = [
                *java,
                "kafka.tools.StorageTool",
                "format",
                "-t",
                "5L6g3nShT-eMCtK--X86sw",
                "-c",
                "server.properties",
            ]
            subprocess.run(tool, cwd=folder, check=True, capture_output=True)
        return spawn(folder, [*java, "kafka.Kafka", "server.properties"])

    server = Passworded(folder, start)
    yield f"127.0.0.1:{port}", server
    server.end()


async def test_producers_and_consumers_sign_in_to_kafka_by_the_password_that_is_there_now(
    broker: tuple[str, Passworded], password: Path, tmp_path: Path
) -> None:
    address, server = broker
    secret = SecretFile(password, "kafka.password_file")
    sasl = {"sasl": "PLAIN", "username": "gantry", "password": secret}
    cluster = KafkaCluster((address,), f"t{uuid4().hex[:8]}", 1, 1, deadline=5.0, **sasl)  # type: ignore[arg-type]
    claims = await open_file_store(tmp_path / "claims", low_water=0)
    opened = []

    async def open_log() -> None:
        opened.append(await open_kafka_log(cluster, SystemClock(), claims))

    await soon(open_log)
    (log,) = opened
    try:
        async with log.consumer("indexer", ["instances"]) as consumer:
            await log.append(stored(1))
            records = await asyncio.wait_for(consumer.poll(), 30)
            await consumer.commit(records)
            password.write_text(SECOND + "\n")
            await asyncio.to_thread(server.restart, SECOND)
            await soon(lambda: log.append(stored(2)))
            batch = []
            async with asyncio.timeout(60):
                while not batch:
                    try:
                        batch = await consumer.poll()
                    except DependencyUnavailable:
                        await asyncio.sleep(0.2)
            assert batch[0].offset > records[-1].offset or batch[0].partition != records[-1].partition
            await soon(log.check)
    finally:
        await log.close()


async def test_opensearch_is_asked_by_the_password_that_is_there_now(password: Path) -> None:
    """Its own users are a plug-in's, which the server of the tests has not: the link before it asks for them."""
    server, port = required("opensearch"), free_port()
    link = Link(int(server.endpoint.rpartition(":")[2]), None, basic(FIRST))
    await link.start(port)
    secret = SecretFile(password, "opensearch.password_file")
    cluster = OpenSearchCluster(
        (f"127.0.0.1:{port}",), f"t{uuid4().hex[:8]}", replicas=0, username="gantry", password=secret
    )
    index = await open_opensearch_index(cluster, SystemClock())
    try:
        await index.check()
        link.expect(basic(SECOND))
        with pytest.raises(DependencyUnavailable):
            await index.check()
        password.write_text(SECOND)
        await index.check()
    finally:
        await index.close()
        await link.close()


def basic(secret: str) -> bytes:
    return base64.b64encode(f"gantry:{secret}".encode())


@pytest.fixture
def bucket_server(tmp_path: Path) -> Iterator[tuple[str, Passworded]]:
    need("s3")
    (tmp_path / "buckets").mkdir()
    port = free_port()
    binary = part("versitygw", "VERSITYGW") / "versitygw"
    command = [str(binary), "--port", f"127.0.0.1:{port}", "--health", "/health", "posix", str(tmp_path / "buckets")]

    def start(secret: str) -> int:
        keys = {"ROOT_ACCESS_KEY": "gantry", "ROOT_SECRET_KEY": secret, "VGW_KEEP_ALIVE": "true", "VGW_QUIET": "true"}
        pid = spawn(tmp_path, command, keys)
        wait_for(lambda: http_ok(f"http://127.0.0.1:{port}/health"), 60, "versitygw")
        return pid

    server = Passworded(tmp_path, start)
    yield f"http://127.0.0.1:{port}", server
    server.end()


async def test_a_bucket_is_signed_to_by_the_secret_key_that_is_there_now(
    bucket_server: tuple[str, Passworded], password: Path
) -> None:
    endpoint, server = bucket_server
    secret = SecretFile(password, "s3.secret_key_file")
    bucket = S3Bucket(
        "rotated", endpoint=endpoint, access_key="gantry", secret_key=secret, deadline=5.0, create=True,
        part_size=5 << 20,
    )  # fmt: skip
    store = await open_s3_store(bucket, SystemClock())
    try:
        await store.put("objects/a/b.dcm", [b"before"])
        await asyncio.to_thread(server.restart, SECOND)
        with pytest.raises(DependencyUnavailable):
            await store.put("objects/a/c.dcm", [b"between"])
        password.write_text(SECOND)
        await soon(lambda: store.put("objects/a/c.dcm", [b"after"]))
        assert await read_whole(store, "objects/a/b.dcm") == b"before"
        # What AWS's client library asks signs with it, too: listings, and objects in parts.
        assert {stat.key async for stat in store.list()} == {"objects/a/b.dcm", "objects/a/c.dcm"}
        writer = store.writer("objects/a/long.dcm")
        for _ in range(3):
            await writer.write(bytes(4 << 20))
        await writer.commit()
        assert (await store.stat("objects/a/long.dcm")).size == 12 << 20
    finally:
        await store.close()
