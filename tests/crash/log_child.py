"""Appends and commits for ever, and prints the number of each event that was acknowledged."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import SystemClock
from tests.crash.survivors import forever
from tests.support.facts import stored


async def main(root: Path) -> None:
    log = await open_sqlite_log(root / "log.db", SystemClock())
    numbers = itertools.count(os.getpid() * 1_000_000)

    async def step() -> None:
        number = next(numbers)
        await log.append(stored(number))
        os.write(1, f"{number}\n".encode())

    async def consume() -> None:
        async with log.consumer("g", ["instances"]) as consumer:
            while True:
                records = await consumer.poll(10)
                await consumer.commit(records)
                os.write(1, f"committed {records[-1].offset}\n".encode())

    await asyncio.gather(forever(8, step), consume())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
