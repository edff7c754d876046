"""Promises 1 and 4 on the whole archive, a real process: acknowledged means kept, and once in effect."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from tests.crash.conftest import MakeArchive
from tests.support.asking import Modality, expect_exactly, expect_kept, until
from tests.support.objects import study

_POINTS = [
    "after-blob-put=kill@23",
    "before-publish=kill@23",
    "after-publish=kill@23",
    "before-answer=kill@23",
    "before-commit=kill@1",
    "before-commit=kill@2",
]


@pytest.mark.parametrize("point", _POINTS)
async def test_what_was_acknowledged_is_kept_when_the_archive_dies(
    point: str, make_archive: MakeArchive, topology: str, tmp_path: Path
) -> None:
    archive = make_archive().start(failpoints=point)
    files = [file for _ in range(4) for file in study(tmp_path / "files", 15, series=3)]
    modality = Modality(archive.peer, files)
    await modality.send()
    again = 2 if point == "before-commit=kill@1" else 1  # what was applied comes again, and kills the indexer again
    if topology == "embedded" and point.startswith("before-commit") and len(os.sched_getaffinity(0)) > 1:
        # The indexer has a process of its own, which is started again.
        await until(lambda: archive.log.read_text().count("process ended, starting it again") >= again)
        archive.kill()
    else:
        assert archive.wait_dead() == -signal.SIGKILL
        for _ in range(again - 1):
            archive.start(ready=False, failpoints=point)
            assert archive.wait_dead() == -signal.SIGKILL
    archive.start()
    await expect_kept(archive, [modality])
    await modality.send_all()
    await expect_exactly(archive, files, tmp_path / "got")
    assert archive.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_was_acknowledged_is_kept_when_the_archive_is_killed_under_load(
    workers: int, make_archive: MakeArchive, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    dice = random.Random(seed)
    archive = make_archive("--workers", str(workers)).start()
    shared = study(tmp_path / "files", 80, series=2)
    modalities = [
        Modality(archive.peer, [*study(tmp_path / "files", 40), *shared[start::4]], window=1 + 3 * (start % 2))
        for start in range(4)
    ]
    for modality in modalities:
        dice.shuffle(modality.files)
    waits = []
    try:
        for _ in range(4 - workers):
            sending = [asyncio.create_task(modality.send()) for modality in modalities]
            waits.append(dice.uniform(0.01, 0.3))
            await asyncio.sleep(waits[-1])
            archive.kill()
            await asyncio.gather(*sending)
            archive.start()
            await expect_kept(archive, modalities)
        await asyncio.gather(*(modality.send_all() for modality in modalities))
        await expect_exactly(archive, [file for m in modalities for file in m.files], tmp_path / "got")
        assert archive.stop() == 0
        assert "cannot start" not in archive.log.read_text()
    except Exception as error:
        log = archive.log.read_text()
        raise AssertionError(f"seed {seed}, killed after {waits} s: {error!r}\n{log}") from error


async def test_a_worker_that_is_killed_costs_its_own_associations_and_comes_back(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive("--workers", "2").start()
    modalities = [Modality(archive.peer, study(tmp_path / "files", 60)) for _ in range(4)]
    sending = [asyncio.create_task(modality.send_all()) for modality in modalities]
    while not any(modality.acknowledged for modality in modalities):
        await asyncio.sleep(0.01)
    before = archive.workers()
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    await asyncio.gather(*sending)
    await expect_exactly(archive, [file for m in modalities for file in m.files], tmp_path / "got")
    await until(lambda: len(archive.workers()) == 2 and before[0] not in archive.workers())
    assert before[1] in archive.workers()
    assert archive.stop() == 0


async def test_workers_end_when_their_supervisor_is_killed(make_archive: MakeArchive) -> None:
    archive = make_archive("--workers", "2").start()
    workers = archive.workers()
    assert archive.process is not None
    os.kill(archive.process.pid, signal.SIGKILL)
    await until(lambda: not any(is_running(worker) for worker in workers))


async def test_a_shutdown_under_load_loses_nothing_and_is_no_failure(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive().start()
    modalities = [Modality(archive.peer, study(tmp_path / "files", 150), window=w) for w in (1, 4)]
    sending = [asyncio.create_task(modality.send()) for modality in modalities]
    await until(lambda: all(modality.acknowledged for modality in modalities))
    assert await asyncio.to_thread(archive.stop, 45.0) == 0
    await asyncio.gather(*sending)
    assert "Traceback" not in archive.log.read_text()
    archive.start()
    await expect_kept(archive, modalities)
    await asyncio.gather(*(modality.send_all() for modality in modalities))
    await expect_exactly(archive, [file for m in modalities for file in m.files], tmp_path / "got")
    assert archive.stop() == 0


def is_running(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
