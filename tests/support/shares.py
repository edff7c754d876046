"""Unit tests by worker: each collects a share of the files, and runs what it collected.

    pytest -n 2 -p tests.support.shares tests/unit

Else each worker of pytest-xdist collects all files, to agree with the others on what there is; with as many small tests
as ours this took longer than to run half of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import EachScheduling


def share_of(worker: int, workers: int, sizes: Iterable[tuple[str, int]]) -> frozenset[str]:
    """Names of one worker's files: sizes add up to about the same for each, and every file is of exactly one."""
    totals = [0] * workers
    mine = set()
    for name, size in sorted(sizes, key=lambda file: (-file[1], file[0])):
        least = min(range(workers), key=totals.__getitem__)
        totals[least] += size
        if least == worker:
            mine.add(name)
    return frozenset(mine)


def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        config.pluginmanager.register(_Share(config, int(worker["workerid"].removeprefix("gw")), worker["workercount"]))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> EachScheduling:
    """Every worker is sent all that it collected."""
    return EachScheduling(config, log)


class _Share:
    """What one worker does not collect."""

    def __init__(self, config: pytest.Config, worker: int, workers: int) -> None:
        files = {
            file for argument in config.args for file in (config.invocation_params.dir / argument).rglob("test_*.py")
        }
        self._mine = share_of(worker, workers, ((str(file), file.stat().st_size) for file in files))

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        return True if collection_path.suffix == ".py" and self._is_other(collection_path) else None

    def _is_other(self, path: Path) -> bool:
        return path.name.startswith("test_") and str(path) not in self._mine
