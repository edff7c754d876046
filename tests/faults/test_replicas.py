"""Three brokers, replication 3, two in-sync replicas needed (the defaults): one may be away, two may not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.cli.store import send_files
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, expect_exactly
from tests.support.brokers import Brokers
from tests.support.objects import study
from tests.support.server import Unavailable

DEADLINE = 5.0


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[Brokers]:
    try:
        made = Brokers(tmp_path / "brokers")
    except Unavailable as error:
        pytest.skip(f"no brokers: {error}")
    yield made
    made.remove()


@pytest.mark.timeout(300)
async def test_too_few_in_sync_replicas_are_a700_within_the_deadline_and_one_less_is_nothing(
    brokers: Brokers, tmp_path: Path
) -> None:
    # Objects and index are embedded: only the log is looked at.
    archive = RunningArchive(tmp_path, environment={"GANTRY_STORAGE__LOG": f"kafka://{brokers.bootstrap}/replicas"})
    archive.write_policy([], f"storage: {{deadline: {DEADLINE:g}}}\nupkeep: {{archive: false, sweep_every: 0}}\n")
    await asyncio.to_thread(archive.start)
    try:
        first, second, refused = (study(tmp_path / name, 3) for name in ("a", "b", "c"))
        await Modality(archive.peer, first).send_all()
        brokers.kill(2)
        await Modality(archive.peer, second).send_all()
        await expect_exactly(archive, [*first, *second], tmp_path / "got")
        brokers.kill(1)
        loop = asyncio.get_running_loop()
        for file in refused:
            since, statuses = loop.time(), []
            await send_files(
                archive.peer, [file], timeout=30.0, done=lambda _, status, statuses=statuses: statuses.append(status)
            )
            assert statuses == [0xA700]
            assert loop.time() - since < DEADLINE + 3
        await asyncio.to_thread(brokers.start, 1)
        await asyncio.to_thread(brokers.wait_ready, 1)
        await Modality(archive.peer, refused).send_all(90)
        await expect_exactly(archive, [*first, *second, *refused], tmp_path / "after")
        assert archive.stop() == 0
    finally:
        archive.kill()
