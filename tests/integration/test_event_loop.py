"""Tests run on the event loop that `gantry serve` runs on."""

import asyncio

import pytest
import uvloop


@pytest.fixture
async def loop_of_fixtures() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def test_tests_and_their_fixtures_run_on_uvloop(loop_of_fixtures: asyncio.AbstractEventLoop) -> None:
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
    assert loop_of_fixtures is asyncio.get_running_loop()
