"""A commitment role that knows no instances and where to report: `DATA PORT KEEP_AFTER`. Prints its port."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.config.role_sections import Commitment
from gantry.common.net import Peer, Server
from gantry.common.ports.index import Location
from gantry.common.telemetry.metrics import Metrics
from gantry.services.commitment.app import build_services
from tests.support.network import OpenDoor, Silence


class NoInstances:
    async def resolve(self, partition: str, uids: Sequence[str]) -> dict[str, Location]:
        return {}


async def main(data: Path, report_to: int, keep_after: int) -> None:
    store = await open_file_store(data / "objects", low_water=0)
    log = await open_sqlite_log(data / "log.db", SystemClock())

    def contact(requester: str, ours: str) -> Peer | None:
        return Peer("127.0.0.1", report_to, requester, ours) if report_to else None

    settings = Commitment(in_flight_deadline=0.1, retry_first=0.1, retry_longest=0.2)
    parts = store, NoInstances(), log, contact, SystemClock(), Metrics()
    services, _, worker = await build_services(*parts, settings, keep_after)
    server = Server(services, OpenDoor(), Silence())
    print(await server.start("127.0.0.1", 0), flush=True)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
