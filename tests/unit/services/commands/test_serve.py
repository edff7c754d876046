"""What `serve` does to the process that runs it, and what is said of stores before they are opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from gantry.common.clock import SystemClock
from gantry.common.config.load import load_settings
from gantry.common.errors import DependencyUnavailable
from gantry.services.commands.serve import serve
from gantry.services.process.archive import Archive
from gantry.services.roles import EVERY


def test_umask_of_who_runs_it_is_as_before() -> None:
    before = os.umask(0o022)
    try:
        done = CliRunner().invoke(serve, ["--workers", "2", "--dimse-port", "0", "--lab"])
        assert "several processes share a port" in done.output
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


async def test_stores_that_nobody_has_opened_are_not_called_well(tmp_path: Path) -> None:
    settings = load_settings(None, {}, {"data": tmp_path, "lab": True, "dimse.port": 0, "http.port": 0})
    archive = Archive(settings, EVERY, None, SystemClock())
    for check in (archive._check_objects, archive._check_log, archive._check_index):
        with pytest.raises(DependencyUnavailable, match="not opened yet"):
            await check()
