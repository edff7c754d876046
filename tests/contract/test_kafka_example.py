"""The example consumer of docs/examples, run as it is beside a real broker."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from uuid import uuid4

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.kafka import KafkaCluster, open_kafka_log
from gantry.common.clock import SystemClock
from gantry.common.events import HoldPlaced
from tests.support.facts import conflict, reported, stored
from tests.support.servers import required

ROOT = Path(__file__).parents[2]


def lines_of(address: str, prefix: str, group: str, count: int) -> list[dict[str, object]]:
    """What the example prints first; it is killed then."""
    command = [sys.executable, str(ROOT / "docs/examples/kafka_consumer.py"), address, prefix, group]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        alarm = threading.Timer(60, process.kill)
        alarm.start()
        try:
            assert process.stdout is not None
            return [json.loads(process.stdout.readline()) for _ in range(count)]
        finally:
            alarm.cancel()
            process.kill()


async def test_the_example_prints_every_event_and_goes_on_where_it_was(tmp_path: Path) -> None:
    server, prefix = required("kafka"), f"t{uuid4().hex[:10]}"
    cluster = KafkaCluster((server.address,), prefix=prefix, replication=1, min_insync=1)
    log = await open_kafka_log(cluster, SystemClock(), await open_file_store(tmp_path / "claims", low_water=0))
    try:
        hold = HoldPlaced("default", "", "1.2.3", "h", "trial", "who", 1)
        await log.append(stored(1), hold, conflict(2), reported("2.25.1"))
        lines = lines_of(server.address, prefix, f"other-{prefix}", 4)
    finally:
        await log.close()
    assert {line["event"]: line["key"] for line in lines} == {
        "InstanceStored": "1.2.3",
        "HoldPlaced": "1.2.3",
        "InstanceConflictFound": "1.2.3",
        "CommitmentReported": "2.25.1",
    }
    assert not any("header" in line for line in lines)
