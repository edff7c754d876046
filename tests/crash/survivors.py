"""A child process that writes, tells on a pipe what was acknowledged, and is killed at random."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def acknowledged_before_a_kill(module: str, data: Path, seconds: float) -> list[str]:
    """Run `python -m module data`, SIGKILL it after it has run for about `seconds`; the lines it printed whole."""
    child = subprocess.Popen([sys.executable, "-m", module, str(data)], stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None
    first = child.stdout.readline()
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read()
    child.wait()
    whole = (first + rest).decode()
    return whole[: whole.rindex("\n")].split("\n")


def content_of(key: str) -> bytes:
    """The bytes that the child stores under `key`: mostly small, some that need a writer's buffers."""
    dice = random.Random(key)
    return dice.randbytes(dice.choice([10, 10_000, 100_000, 525_000, 1_300_000]))


async def forever(workers: int, step: object) -> None:
    async def work() -> None:
        while True:
            await step()  # type: ignore[operator]

    await asyncio.gather(*(work() for _ in range(workers)))
