"""Stores objects for ever, in both ways, and prints the key of each that was acknowledged."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from gantry.common.adapters.files import open_file_store
from tests.crash.survivors import content_of, forever


async def main(root: Path) -> None:
    store = await open_file_store(root, low_water=0)
    numbers = itertools.count()

    async def step() -> None:
        number = next(numbers)
        key = f"objects/{number // 20}/{os.getpid()}-{number}"
        content = content_of(key)
        if number % 2:
            await store.put(key, [content])
        else:
            writer = store.writer(key)
            for at in range(0, len(content), 60_000):
                await writer.write(content[at : at + 60_000])
            await writer.commit()
        os.write(1, f"{key}\n".encode())

    await forever(8, step)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
