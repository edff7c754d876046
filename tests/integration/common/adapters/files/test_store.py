"""What the file store does beyond its port's contract."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.common.adapters.files import FileStore, open_file_store
from gantry.common.errors import DependencyUnavailable
from gantry.common.ports.blobs import BlobStore, BlobWriter

MIB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


async def contents(store: BlobStore, key: str) -> bytes:
    reader = await store.open(key)
    buffer = bytearray(reader.size)
    assert await reader.readinto([memoryview(buffer)]) == reader.size
    await reader.close()
    return bytes(buffer)


async def stream(writer: BlobWriter, size: int) -> None:
    for _ in range(0, size, MIB // 2):
        await writer.write(bytes(MIB // 2))
    await writer.commit()


def temp_files(root: Path) -> list[Path]:
    return [path for path in (root / ".temp").rglob("*") if path.is_file()]


async def test_store_refuses_below_the_low_water_mark(tmp_path: Path) -> None:
    store = await open_file_store(tmp_path, low_water=1 << 60)
    with pytest.raises(DependencyUnavailable, match="low-water"):
        await store.put("k", [b"x"])
    with pytest.raises(DependencyUnavailable, match="low-water"):
        await store.check()
    writer = store.writer("w")
    with pytest.raises(DependencyUnavailable, match="low-water"):
        await stream(writer, 3 * MIB)
    await writer.abort()
    assert temp_files(tmp_path) == []
    assert [stat async for stat in store.list()] == []
    await store.close()


async def test_store_on_a_full_disk_is_unavailable_and_recovers(small_disk: Path) -> None:
    store = await open_file_store(small_disk, low_water=0)
    await store.put("first", [bytes(3 * MIB)])
    with pytest.raises(DependencyUnavailable, match="No space left"):
        await store.put("second", [bytes(2 * MIB)])
    writer = store.writer("third")
    with pytest.raises(DependencyUnavailable, match="No space left"):
        await stream(writer, 4 * MIB)
    await writer.abort()
    assert temp_files(small_disk) == []
    await store.delete("first")
    await store.put("second", [bytes(2 * MIB)])
    assert [stat.key async for stat in store.list()] == ["second"]
    await store.close()


async def test_store_on_a_read_only_disk_is_unavailable_for_writing_alone(small_disk: Path) -> None:
    store = await open_file_store(small_disk, low_water=0)
    await store.put("kept", [b"content"])
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(DependencyUnavailable, match="Read-only"):
        await store.put("k", [b"x"])
    with pytest.raises(DependencyUnavailable, match="Read-only"):
        await store.check()
    assert await contents(store, "kept") == b"content"
    with pytest.raises(DependencyUnavailable, match="Read-only"):
        await open_file_store(small_disk, low_water=0)
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    await store.put("k", [b"x"])
    await store.close()


def _leave_temp_files(root: Path, die: bool, ready: multiprocessing.synchronize.Event) -> None:
    async def main() -> None:
        store = await open_file_store(root, low_water=0)
        writer = store.writer("long")
        for _ in range(4):
            await writer.write(bytes(MIB))
        await writer.write(b"")
        ready.set()
        if die:
            os.kill(os.getpid(), 9)
        await asyncio.Event().wait()

    asyncio.run(main())


@pytest.mark.parametrize("die", [True, False])
async def test_start_removes_what_the_dead_left_and_nothing_of_the_living(tmp_path: Path, die: bool) -> None:
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    child = spawn.Process(target=_leave_temp_files, args=(tmp_path, die, ready))
    child.start()
    assert await asyncio.to_thread(ready.wait, 20)
    if die:
        child.join()
    before = temp_files(tmp_path)
    assert before
    store = await open_file_store(tmp_path, low_water=0)
    assert temp_files(tmp_path) == ([] if die else before)
    child.kill()
    child.join()
    await store.close()


async def test_orderly_stop_leaves_no_temp_folder(tmp_path: Path) -> None:
    store = await open_file_store(tmp_path, low_water=0)
    await store.put("k", [b"x"])
    await store.close()
    await store.close()
    assert list((tmp_path / ".temp").iterdir()) == []
    with pytest.raises(RuntimeError):
        await store.put("k", [b"x"])


async def test_cancelled_put_is_done_with_the_callers_buffers(tmp_path: Path) -> None:
    store = await open_file_store(tmp_path, low_water=0)
    content = random.Random(3).randbytes(4 * MIB)
    for n in range(20):
        buffer = bytearray(content)
        task = asyncio.create_task(store.put(f"k/{n}", [buffer]))
        await asyncio.sleep(n * 0.0002)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            buffer[:] = bytes(len(buffer))
    async for stat in store.list():
        assert await contents(store, stat.key) == content
    await store.close()


async def test_object_that_is_not_in_the_page_cache_is_read_whole(tmp_path: Path) -> None:
    store = await open_file_store(tmp_path, low_water=0)
    content = random.Random(4).randbytes(3 * MIB)
    await store.put("k", [content])
    fd = os.open(tmp_path / "k", os.O_RDONLY)
    os.posix_fadvise(fd, MIB, 0, os.POSIX_FADV_DONTNEED)  # the beginning stays cached: a read that is cut in two
    os.close(fd)
    assert await contents(store, "k") == content
    await store.close()


async def test_store_on_a_file_system_without_nowait_reads(small_disk: Path) -> None:
    """tmpfs knows no RWF_NOWAIT before Linux 6.x; either way the bytes come."""
    store = await open_file_store(small_disk, low_water=0)
    await store.put("k", [b"0123456789" * 1000])
    assert await contents(store, "k") == b"0123456789" * 1000
    await store.close()


async def test_cancelled_read_is_done_with_the_callers_buffers(tmp_path: Path) -> None:
    store = await open_file_store(tmp_path, low_water=0)
    await store.put("k", [b"x" * (8 * MIB)])
    reader = await store.open("k")
    reader._inline = False  # as on a file system without RWF_NOWAIT: every read takes a thread
    buffer = bytearray(8 * MIB)
    reading = asyncio.create_task(reader.readinto([memoryview(buffer)]))
    await asyncio.sleep(0.0005)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await reader.close()
    buffer[:] = bytes(len(buffer))
    await asyncio.sleep(0.05)
    assert not any(buffer)
    await store.close()


async def test_every_read_in_a_thread_gives_the_same_bytes(tmp_path: Path) -> None:
    store = await open_file_store(tmp_path, low_water=0)
    content = random.Random(5).randbytes(MIB + 17)
    await store.put("k", [content])
    reader = await store.open("k", offset=5, length=MIB)
    reader._inline = False
    first, second = bytearray(1000), bytearray(2 * MIB)
    assert await reader.readinto([memoryview(first), memoryview(second)]) == MIB
    assert bytes(first + second[: MIB - 1000]) == content[5 : MIB + 5]
    assert await reader.readinto([memoryview(first)]) == 0
    await reader.close()
    await store.close()


async def test_folder_removed_under_a_running_store_is_made_again(tmp_path: Path) -> None:
    store = await open_file_store(tmp_path, low_water=0)
    await store.put("a/b/one", [b"1"])
    (tmp_path / "a/b/one").unlink()
    (tmp_path / "a/b").rmdir()
    await store.put("a/b/two", [b"2"])
    assert await contents(store, "a/b/two") == b"2"
    await store.close()


async def test_key_below_an_object_is_refused(tmp_path: Path) -> None:
    store = await open_file_store(tmp_path, low_water=0)
    await store.put("a", [b"1"])
    with pytest.raises(ValueError):
        await store.put("a/b", [b"2"])
    await store.put("c/d", [b"3"])
    with pytest.raises(ValueError):
        await store.put("c", [b"4"])
    assert temp_files(tmp_path) == []
    await store.close()


async def test_failed_writer_takes_nothing_more(tmp_path: Path) -> None:
    store: FileStore = await open_file_store(tmp_path, low_water=0)
    writer = store.writer("k")
    await writer.write(b"x")
    await writer.commit()
    with pytest.raises(RuntimeError):
        await writer.write(b"y")
    with pytest.raises(RuntimeError):
        await writer.commit()
    assert await contents(store, "k") == b"x"
    await store.close()
