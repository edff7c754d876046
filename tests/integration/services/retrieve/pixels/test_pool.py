"""Worker processes under jobs that crash, hang and eat, and under signals from outside."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gantry.services.retrieve.budget import Unavailable
from gantry.services.retrieve.pixels.pool import ConversionFailed, PoolLimits, Work, WorkerPool
from gantry.services.retrieve.pixels.spool import JobSpool
from tests.integration.common.net.conftest import eventually
from tests.support.jobs import CRASH, CRASH_ONCE, EAT, ECHO, SLEEP, SPIN, UNREADABLE

Run = Callable[..., Any]


@asynccontextmanager
async def pool_of(workers: int = 1, **limits: Any) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(workers, PoolLimits(**limits))
    try:
        yield pool
    finally:
        await pool.close()


async def run(pool: WorkerPool, work: Work, *arguments: Any, client: str = "one", data: bytes = b"") -> Any:
    read, out = await JobSpool.open(), await JobSpool.open()
    try:
        await read.write(data)
        done = await pool.run(work, arguments, read, out, client)
        return (done, await out.read(0, out.size)) if data else done
    finally:
        read.close()
        out.close()


def pid_in(file: Path) -> Callable[[], bool]:
    return lambda: file.exists() and file.read_text() != ""


async def test_a_job_reads_and_writes_files_and_its_worker_is_used_again() -> None:
    async with pool_of() as pool:
        data = os.urandom(3 << 20)
        assert await run(pool, ECHO, "a", data=data) == ("a", data)
        (worker,) = pool._idle
        assert await run(pool, ECHO, "b", data=data[:10]) == ("b", data[:10])
        assert [*pool._idle] == [worker]


async def test_a_worker_that_is_killed_costs_nobody_a_job(tmp_path: Path) -> None:
    async with pool_of(2) as pool:
        jobs = [asyncio.create_task(run(pool, SLEEP, 0.3, str(tmp_path / str(n)))) for n in range(6)]
        await eventually(pid_in(tmp_path / "0"))
        os.kill(int((tmp_path / "0").read_text()), signal.SIGKILL)
        assert await asyncio.gather(*jobs) == ["slept"] * 6


async def test_a_worker_that_is_killed_while_it_waits_costs_no_attempt() -> None:
    async with pool_of() as pool:
        for _ in range(4):
            assert await run(pool, ECHO, "a") == "a"
            os.kill(pool._idle[0].pid, signal.SIGKILL)


async def test_a_job_that_crashes_is_tried_again_and_then_at_fault(tmp_path: Path) -> None:
    async with pool_of(2) as pool:
        assert await run(pool, CRASH_ONCE, str(tmp_path / "mark")) == "well"
        innocent = [asyncio.create_task(run(pool, SLEEP, 0.05)) for _ in range(8)]
        with pytest.raises(ConversionFailed, match="twice"):
            await run(pool, CRASH)
        assert await asyncio.gather(*innocent) == ["slept"] * 8


async def test_a_job_that_hangs_is_ended_at_its_deadline_and_at_fault() -> None:
    async with pool_of(2, deadline=2.0) as pool:
        hanging = asyncio.create_task(run(pool, SPIN))
        assert await asyncio.gather(*(run(pool, ECHO, "a") for _ in range(8))) == ["a"] * 8
        begun = time.monotonic()
        with pytest.raises(ConversionFailed, match="longer than 2 s, twice"):
            await hanging
        assert time.monotonic() - begun < 12


async def test_jobs_of_workers_that_stand_still_are_done_by_others(tmp_path: Path) -> None:
    async with pool_of(2, deadline=2.0) as pool:
        await asyncio.gather(*(run(pool, SLEEP, 0.3) for _ in range(2)))
        for worker in pool._idle:
            os.kill(worker.pid, signal.SIGSTOP)
        assert await asyncio.gather(*(run(pool, ECHO, "a") for _ in range(8))) == ["a"] * 8


async def test_a_job_that_got_no_processor_time_is_not_at_fault() -> None:
    async with pool_of(deadline=1.5) as pool:
        with pytest.raises(Unavailable, match="longer"):
            await run(pool, SLEEP, 30.0)


async def test_the_deadline_does_not_count_the_queue() -> None:
    async with pool_of(deadline=1.5) as pool:
        assert await asyncio.gather(*(run(pool, SLEEP, 0.4) for _ in range(8))) == ["slept"] * 8


async def test_bytes_that_no_decoder_reads_are_the_object_s_fault_and_a_full_disk_is_not() -> None:
    async with pool_of() as pool:
        with pytest.raises(ConversionFailed, match=r"^cannot decode: OSError$"):
            await run(pool, UNREADABLE, 0)
        with pytest.raises(Unavailable, match="No space left"):
            await run(pool, UNREADABLE, errno.ENOSPC)


async def test_memory_of_a_worker_is_limited() -> None:
    async with pool_of(memory=700 << 20) as pool:
        assert await run(pool, EAT, 100 << 20) == 100 << 20
        with pytest.raises(ConversionFailed, match="more memory"):
            await run(pool, EAT, 800 << 20)


async def test_many_jobs_of_one_client_hold_no_other_up() -> None:
    async with pool_of() as pool:
        greedy = [asyncio.create_task(run(pool, SLEEP, 0.1, client="greedy")) for _ in range(50)]
        await asyncio.sleep(0.3)
        begun = time.monotonic()
        assert await run(pool, ECHO, "a", client="modest") == "a"
        assert time.monotonic() - begun < 1.0
        for task in greedy:
            task.cancel()
        await asyncio.gather(*greedy, return_exceptions=True)
        assert await run(pool, ECHO, "a") == "a"


async def test_no_more_jobs_wait_than_may() -> None:
    async with pool_of(most_waiting=4, most_waiting_of_one=3) as pool:
        jobs = [asyncio.create_task(run(pool, SLEEP, 0.2)) for _ in range(4)]
        await asyncio.sleep(0.05)
        with pytest.raises(Unavailable, match="too many"):
            await run(pool, ECHO, "a")
        other = asyncio.create_task(run(pool, ECHO, "a", client="two"))
        await asyncio.sleep(0.05)
        with pytest.raises(Unavailable, match="too many"):
            await run(pool, ECHO, "a", client="three")
        assert await asyncio.gather(*jobs, other) == ["slept"] * 4 + ["a"]


async def test_nobody_waits_longer_than_may() -> None:
    async with pool_of(patience=0.2) as pool:
        job = asyncio.create_task(run(pool, SLEEP, 1.0))
        await asyncio.sleep(0.1)
        with pytest.raises(Unavailable, match=r"within 0\.2 s"):
            await run(pool, ECHO, "a")
        assert await job == "slept"
        assert await run(pool, ECHO, "a") == "a"


async def test_who_gives_up_frees_its_worker_and_nobody_elses(tmp_path: Path) -> None:
    async with pool_of(2) as pool:
        given_up = asyncio.create_task(run(pool, SLEEP, 60.0, str(tmp_path / "pid")))
        other = asyncio.create_task(run(pool, SLEEP, 0.5))
        await eventually(pid_in(tmp_path / "pid"))
        given_up.cancel()
        assert isinstance((await asyncio.gather(given_up, return_exceptions=True))[0], asyncio.CancelledError)
        assert await other == "slept"
        assert await asyncio.gather(*(run(pool, SLEEP, 0.1) for _ in range(4))) == ["slept"] * 4
        pid = int((tmp_path / "pid").read_text())
        await eventually(lambda: not Path(f"/proc/{pid}").exists())


async def test_closing_ends_what_runs_and_what_waits_with_words() -> None:
    async with pool_of() as pool:
        jobs = [asyncio.create_task(run(pool, SLEEP, 60.0)) for _ in range(3)]
        await asyncio.sleep(0.5)
        await pool.close()
        ended = await asyncio.gather(*jobs, return_exceptions=True)
        assert [type(error) for error in ended] == [Unavailable] * 3


async def test_workers_know_no_secrets_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTRY_S3__SECRET_KEY", "hush")
    async with pool_of() as pool:
        assert await run(pool, ECHO, "a") == "a"
        environment = Path(f"/proc/{pool._idle[0].pid}/environ").read_bytes()
    assert b"PYTHONPATH=" in environment
    assert b"hush" not in environment
