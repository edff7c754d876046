"""A unit test is pure: it opens no socket, database or process, and waits for nothing. What needs one of these is an
integration test, and lies in tests/integration under the same path."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

_FORBIDDEN = {"socket.bind", "socket.connect", "sqlite3.connect", "subprocess.Popen", "os.fork"}
_running: list[str] = []
_sleep, _block = asyncio.sleep, time.sleep
_seen: list[str] = []


def _audit(event: str, _arguments: tuple[Any, ...]) -> None:
    if _running and event in _FORBIDDEN:
        _seen.append(event)


sys.addaudithook(_audit)


async def _no_waiting(delay: float, result: Any = None) -> Any:
    if delay > 0:
        _seen.append("asyncio.sleep")
    return await _sleep(delay, result)


def _no_blocking(seconds: float) -> None:
    _seen.append("time.sleep")
    _block(seconds)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    _seen.clear()
    _running.append(item.nodeid)
    asyncio.sleep, time.sleep = _no_waiting, _no_blocking
    yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Fail a test that is none of ours to keep here."""
    try:
        yield
    finally:
        asyncio.sleep, time.sleep = _sleep, _block
        _running.clear()
    assert not _seen, f"a unit test used {', '.join(sorted(set(_seen)))}: it belongs in tests/integration"
