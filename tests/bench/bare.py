"""A bare load generator: what an S3 server and a broker take when nobody speaks DICOM in front of them.

    python -m tests.bench.bare ENDPOINT KEY SECRET BUCKET BROKER TOPIC WORKERS COUNT OBJECT_BYTES EVENT_BYTES

Each worker puts an object, then has an event acknowledged (acks=all, idempotent), then does the next, as ingest must.
Everything that can be is done before the clock starts: the URLs are signed in advance, the bytes are the same each
time. Prints the seconds.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from urllib.parse import urlsplit
from uuid import uuid4

import uvloop
from aiobotocore.session import get_session
from aiokafka import AIOKafkaProducer


async def _urls(endpoint: str, key: str, secret: str, bucket: str, count: int) -> list[str]:
    async with get_session().create_client(
        "s3", region_name="us-east-1", endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret
    ) as client:
        folder = uuid4().hex
        return [
            await client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": f"{folder}/{n}"})
            for n in range(count)
        ]


async def _put(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, url: str, data: bytes) -> None:
    parts = urlsplit(url)
    head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.writelines((head.encode(), data))
    await writer.drain()
    answer = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in answer.split(b"\r\n", 1)[0]:
        raise RuntimeError(answer.decode(errors="replace"))
    for line in answer.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            await reader.readexactly(int(line.split(b":")[1]))


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
    urls = iter(await _urls(endpoint, key, secret, bucket, count))
    server = urlsplit(endpoint)
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all", enable_idempotence=True)
    await producer.start()
    await producer.send_and_wait(topic, event)
    connections = [await asyncio.open_connection(server.hostname, server.port) for _ in range(workers)]

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for url in urls:
            await _put(reader, writer, url, data)
            await producer.send_and_wait(topic, event, key=url[-8:].encode())

    started = time.perf_counter()
    await asyncio.gather(*(work(*connection) for connection in connections))
    seconds = time.perf_counter() - started
    await producer.stop()
    return seconds


if __name__ == "__main__":
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    numbers = list(map(int, sys.argv[7:11]))
    print(uvloop.run(main(*sys.argv[1:7], numbers[0], numbers[1], numbers[2:])))  # type: ignore[arg-type]
