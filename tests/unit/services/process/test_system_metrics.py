"""What the process and its machine have to say when they are asked."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from gantry.common.config.load import load_settings
from gantry.common.telemetry.logs import Lines
from gantry.common.telemetry.metrics import Metrics
from gantry.services.process.system_metrics import SystemMetrics


def looked(data: Path, **more: object) -> tuple[SystemMetrics, Metrics]:
    metrics = Metrics()
    system = SystemMetrics(load_settings(None, {}, {"data": data, **more}), metrics)
    system.refresh()
    return system, metrics


@pytest.mark.parametrize("store", ["objects", "log", "index"])
def test_an_embedded_store_says_how_much_is_free(tmp_path: Path, store: str) -> None:
    (tmp_path / "objects").mkdir()
    _, metrics = looked(tmp_path)
    disk = os.statvfs(tmp_path)
    size = metrics.registry.get_sample_value("gantry_disk_size_bytes", {"store": store})
    free = metrics.registry.get_sample_value("gantry_disk_free_bytes", {"store": store})
    assert size == disk.f_blocks * disk.f_frsize
    assert free is not None
    assert 0 <= free <= size


def test_a_store_that_is_elsewhere_or_not_there_yet_says_nothing(tmp_path: Path) -> None:
    _, metrics = looked(tmp_path / "not" / "yet")
    assert metrics.registry.get_sample_value("gantry_disk_size_bytes", {"store": "log"}) is None


def test_lines_that_were_lost_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lines, "dropped", 3)
    system, metrics = looked(tmp_path)
    system.refresh()
    assert metrics.registry.get_sample_value("gantry_log_lines_dropped_total") == 3
    monkeypatch.setattr(Lines, "dropped", 5)
    system.refresh()
    assert metrics.registry.get_sample_value("gantry_log_lines_dropped_total") == 5


def test_the_build_is_named_with_its_python(tmp_path: Path) -> None:
    _, metrics = looked(tmp_path)
    (sample,) = next(iter(metrics.build_info.collect())).samples
    assert sample.value == 1
    assert sample.labels["python"] == platform.python_version()
    assert sample.labels["version"]


def test_the_process_is_told_of_beside_ours(tmp_path: Path) -> None:
    _, metrics = looked(tmp_path)
    assert (metrics.registry.get_sample_value("process_open_fds") or 0) > 0
