"""The processes that make small objects durable: what a caller sees when they are busy, killed or left behind."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from gantry.common.adapters.files import FileStore, open_file_store
from gantry.common.adapters.files.fsync_pool import SLOT
from gantry.common.errors import DependencyUnavailable


@pytest.fixture
async def store(tmp_path: Path) -> FileStore:
    opened = await open_file_store(tmp_path / "objects", low_water=0)
    yield opened  # type: ignore[misc]
    await opened.close()


def fsync_workers(parent: int) -> list[int]:
    children = []
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if b"fsync_worker.py" in Path(f"/proc/{child}/cmdline").read_bytes():
            children.append(int(child))
    return children


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 65535, 65536, 65537, SLOT - 1, SLOT, SLOT + 1])
async def test_object_of_any_size_around_a_slot_comes_back(store: FileStore, size: int) -> None:
    data = random.Random(size).randbytes(size)
    await store.put("a/b", [data[: size // 3], data[size // 3 :]])
    reader = await store.open("a/b")
    buffer = bytearray(size + 1)
    assert await reader.readinto([memoryview(buffer)]) == size
    assert bytes(buffer[:size]) == data
    assert reader.size == size
    await reader.close()


async def test_more_puts_at_once_than_there_are_slots_are_all_kept(store: FileStore) -> None:
    await asyncio.gather(*(store.put(f"k/{n}", [b"%d" % n * 100]) for n in range(200)))
    assert [(await store.stat(f"k/{n}")).size for n in (0, 99, 199)] == [100, 200, 300]


async def test_no_slot_is_lost_when_a_caller_is_cancelled_as_it_gets_one(store: FileStore) -> None:
    fsync_workers = store._fsync_pool
    assert fsync_workers is not None
    taken, fsync_workers._free = fsync_workers._free, []
    waiting = asyncio.create_task(fsync_workers._slot())
    await asyncio.sleep(0)
    fsync_workers._release(taken[0])  # given to the one that waits
    waiting.cancel()  # before it can take it
    await asyncio.gather(waiting, return_exceptions=True)
    assert fsync_workers._free == [taken[0]]
    fsync_workers._free = taken


async def test_put_is_refused_when_its_sealer_is_killed_and_the_next_one_is_kept(store: FileStore) -> None:
    for pid in fsync_workers(os.getpid()):
        os.kill(pid, signal.SIGSTOP)  # so that the put is under way when its process ends
    waiting = asyncio.create_task(store.put("k/1", [b"x" * 10]))
    await asyncio.sleep(0.05)
    for pid in fsync_workers(os.getpid()):
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(DependencyUnavailable, match="object store unavailable"):
        await waiting
    # It is refused as well where it went to a process of whose end nobody has heard yet: a sender comes again.
    async with asyncio.timeout(20):
        while True:
            with suppress(DependencyUnavailable):
                await store.put("k/2", [b"y"])
                break
            await asyncio.sleep(0.05)
    assert (await store.stat("k/2")).size == 1


async def test_put_goes_to_another_sealer_where_the_end_of_one_was_not_heard_of(store: FileStore) -> None:
    for pid in fsync_workers(os.getpid()):
        os.kill(pid, signal.SIGKILL)
        # Without letting the event loop hear of it. Its command line goes before its sockets do: only as a zombie has
        # it closed them.
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)
    await store.put("k/3", [b"z"])
    assert (await store.stat("k/3")).size == 1


async def test_sealers_are_scheduled_like_everybody_who_is_waited_for(store: FileStore) -> None:
    """At batch priority an object waited for its turn behind whatever else the machine did: half the speed beside two
    busy processes, and nothing won on a quiet one."""
    await asyncio.gather(*(store.put(f"k/{n}", [b"z"]) for n in range(20)))
    pids = fsync_workers(os.getpid())
    assert {os.sched_getscheduler(pid) for pid in pids} == {os.SCHED_OTHER}
    assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in pids} == {os.getpriority(os.PRIO_PROCESS, 0)}


async def test_no_sealer_is_left_when_the_store_is_closed(tmp_path: Path) -> None:
    store = await open_file_store(tmp_path / "objects", low_water=0)
    assert fsync_workers(os.getpid())
    await store.close()
    assert not fsync_workers(os.getpid())


async def test_sealers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom gantry.common.adapters.files import open_file_store\n"
        "async def main():\n    await open_file_store(Path(sys.argv[1]), low_water=0)\n"
        "    print('open', flush=True)\n    await asyncio.Event().wait()\nasyncio.run(main())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "objects")], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert await asyncio.to_thread(parent.stdout.readline) == b"open\n"
    children = fsync_workers(parent.pid)
    assert children
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(200):
        if not any(_runs(pid) for pid in children):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("a worker outlived its parent")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
