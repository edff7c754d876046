"""A policy follows its file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gantry.common.clock import ManualClock
from gantry.common.config.peers_file import remove_peer
from gantry.common.config.reload import PolicyFile
from tests.unit.common.config.test_policy import TEXT


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "peers.yaml"
    path.write_text(TEXT)
    return path


async def test_changed_file_is_taken_and_a_bad_one_refused(file: Path) -> None:
    outcomes: list[str] = []
    followed = PolicyFile(file, "GANTRY", on_outcome=outcomes.append)
    clock = ManualClock()
    watching = asyncio.create_task(followed.watch(clock))

    async def pass_time() -> None:
        await asyncio.sleep(0)
        clock.advance(2.1)
        await asyncio.sleep(0.01)

    await pass_time()
    assert outcomes == []
    remove_peer(file, "CT1")
    await pass_time()
    assert outcomes == ["taken"]
    assert list(followed.current.peers) == ["WORKSTATION"]
    file.write_text("peers: nonsense\n")
    await pass_time()
    await pass_time()
    assert outcomes == ["taken", "refused"]
    assert list(followed.current.peers) == ["WORKSTATION"]
    file.unlink()
    await pass_time()
    assert list(followed.current.peers) == ["WORKSTATION"]
    file.write_text(TEXT)
    await pass_time()
    assert list(followed.current.peers) == ["CT1", "WORKSTATION"]
    watching.cancel()
