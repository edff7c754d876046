"""What the embedded log does beyond its port's contract."""

from __future__ import annotations

import asyncio
import fcntl
import multiprocessing
import os
import resource
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gantry.common.adapters.sqlite import SqliteLog, open_sqlite_log
from gantry.common.adapters.sqlite.database import Writer
from gantry.common.clock import ManualClock, SystemClock
from gantry.common.errors import DependencyUnavailable
from tests.support.facts import requested, stored

SPAWN = multiprocessing.get_context("spawn")
DAY = 24 * 3600


async def offsets(log: SqliteLog) -> list[int]:
    return [record.offset async for record in log.replay("instances")]


async def test_retention_removes_what_is_old_and_committed_by_all(tmp_path: Path) -> None:
    clock = ManualClock()
    log = await open_sqlite_log(tmp_path / "log.db", clock)
    await log.append(*(stored(n) for n in range(4)), requested("1.9"))
    async with log.consumer("fast", ["instances"]) as fast, log.consumer("slow", ["instances"]) as slow:
        records = await fast.poll()
        await fast.commit(records)
        await slow.commit((await slow.poll())[:2])
        assert await log.remove_expired() == 0
        clock.advance(8 * DAY)
        assert await log.remove_expired() == 2
        assert await offsets(log) == [3, 4]
        await slow.commit(records)
        assert await log.remove_expired() == 2
        assert await offsets(log) == []
        assert await log.lag("fast") == {"instances": 0}
        await log.append(stored(9))
        assert await offsets(log) == [5]
    assert len([record async for record in log.replay("commitment")]) == 1
    await log.close()


async def test_group_that_joins_late_begins_after_what_was_removed(tmp_path: Path) -> None:
    clock = ManualClock()
    log = await open_sqlite_log(tmp_path / "log.db", clock)
    await log.append(stored(1), stored(2))
    clock.advance(8 * DAY)
    await log.remove_expired()
    async with log.consumer("late", ["instances"]) as late:
        assert await log.lag("late") == {"instances": 0}
        await log.append(stored(3))
        assert [record.offset for record in await late.poll()] == [3]
    await log.close()


def _hold_the_group(path: Path, ready: multiprocessing.synchronize.Event) -> None:
    async def main() -> None:
        log = await open_sqlite_log(path, SystemClock())
        async with log.consumer("g", ["instances"]) as consumer:
            await consumer.poll()
            ready.set()
            await asyncio.Event().wait()

    asyncio.run(main())


async def test_member_takes_over_when_another_process_is_killed(tmp_path: Path) -> None:
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    await log.append(stored(1))
    ready = SPAWN.Event()
    holder = SPAWN.Process(target=_hold_the_group, args=(tmp_path / "log.db", ready))
    holder.start()
    assert await asyncio.to_thread(ready.wait, 20)
    async with log.consumer("g", ["instances"]) as consumer:
        waiting = asyncio.create_task(consumer.poll())
        used = time.process_time()
        await asyncio.sleep(0.5)
        assert not waiting.done()
        assert time.process_time() - used < 0.1
        holder.kill()
        assert len(await asyncio.wait_for(waiting, 20)) == 1
    holder.join()
    # Its bell was removed by whoever rang it in vain.
    await log.append(stored(2))
    assert list((tmp_path / "log.db.wake").iterdir()) == []
    await log.close()


async def test_member_that_leaves_while_waiting_does_not_keep_the_place(tmp_path: Path) -> None:
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    await log.append(stored(1))
    async with log.consumer("g", ["instances"]) as first:
        await first.poll()
        async with log.consumer("g", ["instances"]) as second:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(second.poll(), 0.2)
            with pytest.raises(RuntimeError):
                await second.commit([])
    async with log.consumer("g", ["instances"]) as third:
        assert len(await asyncio.wait_for(third.poll(), 10)) == 1
    await log.close()


def _append(path: Path, count: int) -> None:
    async def main() -> None:
        log = await open_sqlite_log(path, SystemClock())
        for n in range(count):
            await log.append(stored(n))
        await log.close()

    asyncio.run(main())


async def test_appends_of_another_process_wake_a_consumer_without_polling(tmp_path: Path) -> None:
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    waits = []
    async with log.consumer("g", ["instances"]) as consumer:
        child = SPAWN.Process(target=_append, args=(tmp_path / "log.db", 200))
        child.start()
        seen = 0
        while seen < 200:
            records = await asyncio.wait_for(consumer.poll(), 20)
            now = time.time_ns() // 1000
            waits.append(now - records[-1].appended_at)
            seen += len(records)
    child.join()
    assert sorted(waits)[len(waits) // 2] < 100_000  # microseconds; the fallback timer would take up to a second
    await log.close()


async def test_append_is_given_up_after_the_deadline(tmp_path: Path) -> None:
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock(), deadline=0.2)
    turn = os.open(tmp_path / "log.db.lock", os.O_RDWR)
    fcntl.flock(turn, fcntl.LOCK_EX)
    with pytest.raises(DependencyUnavailable, match=r"no answer within 0\.2 s"):
        await log.append(stored(1))
    os.close(turn)
    await log.append(stored(2))
    await log.close()


async def test_log_that_cannot_grow_is_unavailable_and_recovers(tmp_path: Path) -> None:
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    await log.append(stored(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(DependencyUnavailable):
            await log.append(*(stored(n) for n in range(500)))
        with pytest.raises(DependencyUnavailable):
            await log.check()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await log.check()
    await log.append(stored(2))
    assert await offsets(log) == [1, 2]
    await log.close()


async def test_the_wal_is_as_long_as_it_will_be_before_the_first_append(tmp_path: Path) -> None:
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    wal = tmp_path / "log.db-wal"
    before = wal.stat().st_size
    assert before >= 4000 * 4096
    for n in range(50):
        await log.append(stored(n))
    assert wal.stat().st_size == before
    # What made it long is no part of the database, neither for a reader now nor after a crash.
    with sqlite3.connect(tmp_path / "log.db") as reader:
        assert not reader.execute("SELECT 1 FROM sqlite_master WHERE name = 'filling'").fetchall()
        assert reader.execute("PRAGMA page_count").fetchone()[0] < 200
        assert reader.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for name in ("log.db", "log.db-wal"):
        (tmp_path / f"crashed-{name}").write_bytes((tmp_path / name).read_bytes())
    crashed = await open_sqlite_log(tmp_path / "crashed-log.db", SystemClock())
    assert await offsets(crashed) == await offsets(log) == list(range(1, 51))
    await crashed.close()
    await log.close()


async def test_a_log_opens_where_there_is_no_room_for_a_long_wal(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
        await log.append(stored(1))
        assert await offsets(log) == [1]
        await log.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_work_that_raises_harms_no_other_in_its_group(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "x.db", "event log")

    def make(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE numbers(n INTEGER PRIMARY KEY)")

    def insert(number: int) -> Callable[[sqlite3.Connection], int]:
        def work(connection: sqlite3.Connection) -> int:
            connection.execute("INSERT INTO numbers VALUES(?)", (number,))
            return number

        return work

    await writer.run(make)
    results = await asyncio.gather(*(writer.run(insert(n)) for n in [1, 2, 2, 3, 1, 4]), return_exceptions=True)
    assert [r for r in results if isinstance(r, int)] == [1, 2, 3, 4]
    assert [type(r) for r in results if not isinstance(r, int)] == [sqlite3.IntegrityError] * 2
    await asyncio.to_thread(writer.close)
    rows = sqlite3.connect(tmp_path / "x.db").execute("SELECT n FROM numbers ORDER BY n").fetchall()
    assert rows == [(1,), (2,), (3,), (4,)]


async def test_damaged_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(DependencyUnavailable):
        await open_sqlite_log(tmp_path / "log.db", SystemClock())
