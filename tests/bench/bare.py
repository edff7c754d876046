"""A bare load generator: what an S3 server and a broker take when nobody speaks DICOM in front of them.

    python -m tests.bench.bare ENDPOINT KEY SECRET BUCKET BROKER TOPIC WORKERS COUNT OBJECT_BYTES EVENT_BYTES

Each worker puts an object, then has an event acknowledged (acks=all, idempotent), then does the next, as ingest must.
Everything that can be is done before the clock starts: the requests are signed in advance, the bytes are the same each
time. Prints the seconds.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import sys
import time
from urllib.parse import urlsplit
from uuid import uuid4

import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from gantry.common.adapters.s3.signing import Credentials, signed
from gantry.common.clock import SystemClock
from gantry.common.events import TOPICS, InstanceStored


def _requests(endpoint: str, key: str, secret: str, bucket: str, count: int, data: bytes) -> list[bytes]:
    """The heads of so many PUTs, signed."""
    folder, host = uuid4().hex, urlsplit(endpoint).netloc
    digest, now = hashlib.sha256(data).hexdigest(), SystemClock().now_us()
    heads = []
    for number in range(count):
        path = f"/{bucket}/{folder}/{number}"
        fields = {"host": host, "content-length": str(len(data))}
        headers = signed(Credentials(key, secret), "us-east-1", now, "PUT", path, {}, fields, digest)
        lines = [f"PUT {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        heads.append("\r\n".join(lines).encode())
    return heads


class _Connection:
    """One HTTP connection, opened again where the server closes it after an answer."""

    def __init__(self, endpoint: str) -> None:
        self._server = urlsplit(endpoint)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def put(self, head: bytes, data: bytes) -> None:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._server.hostname, self._server.port)
        reader, writer = self._streams
        writer.writelines((head, data))
        await writer.drain()
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not answer.startswith(b"http/1.1 200 ") or b"\r\ncontent-length: 0\r\n" not in answer:
            raise RuntimeError(answer.decode(errors="replace"))
        if b"\r\nconnection: close\r\n" in answer:
            writer.close()
            self._streams = None


async def main(
    endpoint: str,
    key: str,
    secret: str,
    bucket: str,
    broker: str,
    topic: str,
    workers: int,
    count: int,
    sizes: list[int],
) -> float:
    data, event = os.urandom(sizes[0]), os.urandom(sizes[1])
    heads = iter(_requests(endpoint, key, secret, bucket, count, data))
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await admin.create_topics([NewTopic(topic, TOPICS[InstanceStored].partitions, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all", enable_idempotence=True)
    await producer.start()
    await producer.send_and_wait(topic, event)

    async def work() -> None:
        connection = _Connection(endpoint)
        for number, head in enumerate(heads):
            await connection.put(head, data)
            await producer.send_and_wait(topic, event, key=b"%d" % number)

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(workers)))
    seconds = time.perf_counter() - started
    await producer.stop()
    return seconds


if __name__ == "__main__":
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    numbers = list(map(int, sys.argv[7:11]))
    endpoint, key, secret, bucket, broker, topic = sys.argv[1:7]
    print(uvloop.run(main(endpoint, key, secret, bucket, broker, topic, numbers[0], numbers[1], numbers[2:])))
