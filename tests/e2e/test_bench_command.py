"""`gantry bench`: a part of a hospital's day, played against an archive that keeps up, and one that refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.archive import IMPORTS, RunningArchive
from tests.support.ports import free_port


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    running = RunningArchive(tmp_path_factory.mktemp("archive"))
    try:
        yield running.start()
    finally:
        running.stop()


def run(address: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "gantry", "bench", address, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": IMPORTS}
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_a_morning_is_stored_looked_at_and_measured(archive: RunningArchive) -> None:
    part = ("--studies", 120, "--hours", "9-10", "--speed", 900, "--images", 4)
    done = run(archive.address, *part, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["errors"] == []
    assert report["given_up"] == 0
    assert report["studies"] > 3
    assert report["images_sent"] == report["measured"]["store"]["count"] > report["studies"]
    assert 0 < report["measured"]["store"]["p50"] <= report["measured"]["store"]["p99"]
    assert report["measured"]["study fetched"]["count"] == report["measured"]["find"]["count"] > 0
    assert report["bytes_fetched"] > 0


def test_an_archive_that_is_not_there_is_an_error_with_a_number_not_a_trace() -> None:
    part = ("--studies", 2, "--speed", 1_000_000, "--images", 1)
    done = run(f"GANTRY@127.0.0.1:{free_port()}", *part)
    assert done.returncode == 1
    assert "abandoned after ten attempts" in done.stderr
    assert "Traceback" not in done.stderr
