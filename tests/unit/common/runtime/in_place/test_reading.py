"""A head of ours and the rest of somebody else's are read as one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gantry.common.runtime.in_place.reading import JoinedReader


class Rest:
    """A `BlobReader` of bytes."""

    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        self.left = content
        self.closed = False

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        done = 0
        for buffer in buffers:
            count = min(len(buffer), len(self.left))
            buffer[:count] = self.left[:count]
            self.left = self.left[count:]
            done += count
        return done

    async def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("size", [1, 3, 4, 5, 100])
@pytest.mark.parametrize("buffers", [1, 3])
async def test_all_bytes_come_in_order_into_buffers_of_any_size(size: int, buffers: int) -> None:
    rest = Rest(b"their data set")
    reader = JoinedReader(memoryview(b"head"), rest, 18)
    got = b""
    while True:
        targets = [bytearray(size) for _ in range(buffers)]
        count = await reader.readinto([memoryview(buffer) for buffer in targets])
        got += b"".join(targets)[:count]
        if not count:
            break
        assert count == min(size * buffers, 18 - len(got) + count), "all buffers are filled unless the object ends"
    assert got == b"headtheir data set"
    assert reader.size == 18
    await reader.close()
    assert rest.closed


async def test_a_range_within_the_head_asks_the_rest_for_nothing() -> None:
    reader = JoinedReader(memoryview(b"ea"), Rest(b""), 18)
    buffer = bytearray(10)
    assert await reader.readinto([memoryview(buffer)]) == 2
    assert await reader.readinto([memoryview(buffer)]) == 0
