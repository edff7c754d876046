"""The effects of `serve` on its process, and errors about stores before they are opened."""

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


def test_workers_cannot_share_a_port_for_https(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They would add their number to `http.port`, which is none."""

    async def supervise(workers: int) -> int:
        return workers

    monkeypatch.setattr("gantry.services.commands.serve._supervise", supervise)
    config = tmp_path / "gantry.yaml"
    for port, words in ((0, "cannot share http.tls_port"), (8080, "")):
        config.write_text(f"lab: true\nhttp: {{port: {port}, tls_port: 8443}}\n")
        done = CliRunner().invoke(serve, ["--workers", "2", "--config", str(config)])
        assert words in done.output
        assert done.exit_code == (1 if words else 2)


async def test_stores_that_nobody_has_opened_are_not_called_well(tmp_path: Path) -> None:
    settings = load_settings(None, {}, {"data": tmp_path, "lab": True, "dimse.port": 0, "http.port": 0})
    archive = Archive(settings, EVERY, None, SystemClock())
    for check in (archive._check_objects, archive._check_log, archive._check_index):
        with pytest.raises(DependencyUnavailable, match="not opened yet"):
            await check()
