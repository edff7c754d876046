"""`gantry.services.process.descriptors`: limits that do not fit are refused before anybody is let in."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from gantry.common.clock import ManualClock
from gantry.common.config.settings import Settings
from gantry.services.process.descriptors import needed, watch
from gantry.services.roles import EVERY, Role
from tests.support.archive import ROOT

TRY = """
import resource, sys
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError
from gantry.services.process.descriptors import make_room
from gantry.services.roles import EVERY
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
try:
    make_room(Settings(), EVERY)
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
except ConfigError as error:
    print(error)
"""


def tried(soft: int, hard: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", TRY, str(soft), str(hard)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_soft_limit_is_raised_to_what_may_be_needed() -> None:
    want = needed(Settings(), EVERY)
    assert want > 2 * 1500 + 1000
    assert tried(1024, want + 1) == str(want)
    assert tried(want + 1, want + 1) == str(want + 1)  # never lowered


def test_hard_limit_that_does_not_fit_is_refused_in_words() -> None:
    output = tried(1024, 1024)
    assert "the system allows 1024" in output
    assert "dimse.max_associations 1500" in output
    assert "ulimit -n" in output


def test_role_without_a_dicom_port_needs_less() -> None:
    alone = needed(Settings(), frozenset({Role.INDEXER}))
    assert needed(Settings(), EVERY) - alone > 2 * Settings().dimse.max_associations


async def test_running_out_is_told_once_each_time(capfd: pytest.CaptureFixture[str]) -> None:
    clock, seen = ManualClock(), []
    watching = asyncio.create_task(watch(clock, seen.append))

    async def look() -> None:
        await asyncio.sleep(0)
        clock.advance(1.5)
        while not seen:
            await asyncio.sleep(0)
        seen.clear()

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    await look()
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        await look()
        await look()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    await look()
    watching.cancel()
    out, err = capfd.readouterr()
    assert (out + err).count("out of file descriptors") == 1
    assert (out + err).count("are there again") == 1
    assert highest >= 3


def test_archive_does_not_start_where_its_limits_do_not_fit(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "gantry",
        "serve",
        "--data",
        str(tmp_path),
        "--dimse-port",
        "0",
        "--http-port",
        "0",
    ]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 1024 && exec "$@"', "sh", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "the system allows 1024" in done.stderr
    assert "Traceback" not in done.stderr
