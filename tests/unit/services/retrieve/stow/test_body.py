"""`gantry.services.retrieve.stow.body`: the bytes of one request are as many as its Content-Length says."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gantry.common.errors import Corrupt
from gantry.services.retrieve.opening import Opened
from gantry.services.retrieve.stow.body import StowBody


class Source:
    """An object that has these bytes, whatever the index says."""

    def __init__(self, content: bytes) -> None:
        self._left = content

    async def readinto(self, buffers: Sequence[memoryview]) -> int:
        (buffer,) = buffers
        count = min(len(buffer), len(self._left), 3)
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count


def opened(content: bytes, size: int, name: str) -> Opened:
    return cast(Opened, SimpleNamespace(source=Source(content), size=size, location=cast(Any, name)))


async def collect(body: StowBody, into: list[bytes]) -> None:
    async for piece in body.pieces():
        into.append(piece)


async def test_it_is_as_long_as_it_says_and_has_every_object() -> None:
    body = StowBody([opened(b"first object", 12, "a"), opened(b"", 0, "b"), opened(b"third", 5, "c")])
    sent: list[bytes] = []
    await collect(body, sent)
    whole = b"".join(sent)
    assert len(whole) == body.length
    assert (b"first object" in whole, b"third" in whole, body.broken) == (True, True, None)
    assert whole.count(b"Content-Type: application/dicom\r\n") == 3


@pytest.mark.parametrize("size", [11, 13], ids=["longer than the index says", "shorter"])
async def test_an_object_of_another_length_cuts_the_request_off_and_is_named(size: int) -> None:
    body = StowBody([opened(b"good", 4, "a"), opened(b"other object", size, "b"), opened(b"never", 5, "c")])
    sent: list[bytes] = []
    with pytest.raises(Corrupt, match="not as long"):
        await collect(body, sent)
    whole = b"".join(sent)
    assert body.broken is not None
    assert cast(Any, body.broken[0]) == "b"
    assert (b"good" in whole, b"never" in whole, len(whole) < body.length) == (True, False, True)
