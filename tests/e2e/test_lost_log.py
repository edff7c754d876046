"""The archive outlives whoever reads its log: it starts, stores and ends on a full disk, and without a reader."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import waiting as asking
from tests.support.archive import ROOT, RunningArchive
from tests.support.objects import study


def command(archive: RunningArchive) -> list[str]:
    ports = ["--dimse-port", str(archive.port), "--http-port", str(archive.http_port)]
    data = ["--config", str(archive.config), "--data", str(archive.folder / "data")]
    return [sys.executable, "-m", "gantry", "serve", *data, *ports, "--lab"]


@pytest.mark.parametrize("where", ["full disk", "reader gone"])
def test_archive_lives_on_without_its_log(tmp_path: Path, where: str) -> None:
    archive = RunningArchive(tmp_path)
    archive.log.write_text("")
    files = study(tmp_path / "sent", 3, size=16)
    reading, writing = os.pipe() if where == "reader gone" else (-1, os.open("/dev/full", os.O_WRONLY))
    archive.process = subprocess.Popen(
        command(archive), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing
    )
    os.close(writing)
    try:
        if reading >= 0:
            os.read(reading, 1)  # it has begun to speak
            os.close(reading)
        archive.wait_ready()
        for _ in range(3):
            asking.store(archive.peer, files)
        assert archive.http("/readyz") == (200, "ready\n")
        assert archive.metric("gantry_log_lines_dropped_total") > 0
        assert archive.stop() in (0, 120)  # Python's own, where it cannot flush what nobody takes
    finally:
        archive.kill()
