"""How the door looks for the processes of its pools, without sockets."""

from __future__ import annotations

import asyncio
import socket
from itertools import pairwise

import pytest

from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.telemetry.metrics import Metrics
from gantry.services.frontdoor import behind
from gantry.services.frontdoor.behind import Behind


async def test_look_at_a_thousand_processes_lets_associations_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, seen = 0, list[int]()

    async def refused(_address: tuple[str, int], _timeout: float) -> socket.socket:
        nonlocal begun
        begun += 1
        raise ConnectionRefusedError

    async def others() -> None:
        while True:
            seen.append(begun)
            await asyncio.sleep(0)

    names = tuple(f"192.0.2.1:{port}" for port in range(20_000, 21_000))
    backends = Behind(Settings.model_validate({"door": {"retrieve": names}}), SystemClock(), Metrics())

    async def addresses(host: str, port: int) -> list[tuple[str, int]]:
        return [(host, port)]

    monkeypatch.setattr(behind, "connected", refused)
    monkeypatch.setattr(backends, "_addresses", addresses)
    turns = asyncio.create_task(others())
    await backends.look()
    turns.cancel()
    assert begun == len(names)
    assert max(after - before for before, after in pairwise(seen)) <= 100
