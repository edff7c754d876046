"""How fast the embedded stores are: `python -m tests.bench.stores [FOLDER]`; the folder decides which disk it is."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_log
from gantry.common.clock import SystemClock
from tests.support.facts import stored


async def measure(name: str, count: int, callers: int, step: Callable[[int], Awaitable[None]]) -> None:
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await step(number)

    start, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(callers)))
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    print(
        f"{name:<28} {callers:>4} callers {count / seconds:>8.0f}/s {1000 * cpu / count:>7.3f} ms CPU each", flush=True
    )


async def files(folder: Path) -> None:
    store = await open_file_store(folder / "objects", low_water=0)
    serial = itertools.count()
    for size, count in ((10_000, 1500), (525_000, 600)):
        content = os.urandom(size)

        async def put(_: int, content: bytes = content) -> None:
            number = next(serial)
            await store.put(f"objects/default/{number >> 10:07x}/{number:032x}.dcm", [content[:400], content])

        for callers in (1, 4, 8, 16):
            await measure(f"object of {size} bytes", count, callers, put)
    await store.close()


async def log(folder: Path) -> None:
    events = await open_sqlite_log(folder / "log.db", SystemClock())

    async def append(number: int) -> None:
        await events.append(stored(number, f"1.2.{number % 50}"))

    for callers in (1, 4, 16, 100, 1000):
        await measure("event", 3000, callers, append)
    await events.close()


async def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        await files(Path(folder))
        await log(Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
