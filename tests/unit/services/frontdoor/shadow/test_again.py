"""Work that is long goes in steps, and others have their turns between them."""

from __future__ import annotations

import asyncio

from gantry.services.frontdoor.shadow.again import in_turns
from gantry.services.frontdoor.shadow.comparing import Steps


async def test_others_have_a_turn_after_each_step() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def steps() -> Steps[int]:
        for _ in range(5):
            yield
        return turns

    task = asyncio.create_task(other())
    assert await in_turns(steps()) >= 5
    task.cancel()
