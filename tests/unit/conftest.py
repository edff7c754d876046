"""A unit test is pure: it opens no socket, database or process, and waits for nothing. What needs one of these is an
integration test, and lies in tests/integration under the same path."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import pytest

_FORBIDDEN = {"socket.bind", "socket.connect", "sqlite3.connect", "subprocess.Popen", "os.fork", "time.sleep"}
_running: list[str] = []
_sleep = asyncio.sleep
_seen: list[str] = []


def _audit(event: str, _arguments: tuple[Any, ...]) -> None:
    if _running and event in _FORBIDDEN:
        _seen.append(event)


sys.addaudithook(_audit)


async def _no_waiting(delay: float, result: Any = None) -> Any:
    if delay > 0:
        _seen.append("asyncio.sleep")
    return await _sleep(delay, result)


@pytest.fixture(autouse=True)
def is_pure(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that is none of ours to keep here."""
    _seen.clear()
    _running.append(request.node.nodeid)
    asyncio.sleep = _no_waiting
    yield
    asyncio.sleep = _sleep
    _running.clear()
    assert not _seen, f"a unit test used {', '.join(sorted(set(_seen)))}: it belongs in tests/integration"
