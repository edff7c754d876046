"""Reads what happens in the archive from its Kafka topics (docs/changes.md), and prints a line for each event.

    pip install aiokafka msgpack
    python kafka_consumer.py HOST:PORT PREFIX GROUP

Name the group as you like, but do not begin it with PREFIX: those groups are the archive's own.
"""

import asyncio
import json
import sys

import msgpack
from aiokafka import AIOKafkaConsumer

TOPICS = ("instances", "conflicts", "commitment")
# InstanceStored carries the beginning of the object, with the patient's name in it: not for printing.
NOT_SHOWN = {"header", "bulk", "pixel_data"}


def event_of(value: bytes) -> tuple[str, int, dict[str, object]] | None:
    """Name, version and fields of an event; None for one that lies in the bucket, being too long (header `claim`)."""
    if not value:
        return None
    name, version, fields = msgpack.unpackb(value)
    return name, version, fields


async def main(brokers: str, prefix: str, group: str) -> None:
    consumer = AIOKafkaConsumer(
        *(f"{prefix}.{topic}" for topic in TOPICS),
        bootstrap_servers=brokers,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with consumer:
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    event = event_of(record.value)
                    if event is None:
                        continue
                    name, _, fields = event
                    shown = {key: value for key, value in fields.items() if key not in NOT_SHOWN}
                    print(json.dumps({"event": name, "key": record.key.decode(), **shown}), flush=True)
            # Only now: what was printed is done. After a crash in between it comes again.
            await consumer.commit()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
