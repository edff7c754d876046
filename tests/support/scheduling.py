"""Fixes pytest-xdist's distribution of test files to workers: a run continues when a worker dies.

xdist assigns all files of a dead worker again, including finished ones. A worker with such a file has nothing to run,
reports nothing and gets no more files: the run waits for ever. xdist also assigns again the test that killed the
worker. Here finished files stay finished, and that test has failed; `tests.support.rerun` runs it again, alone.
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """The interface that xdist calls. A worker runs a test only when it knows the next one, so it gets two."""

    def remove_node(self, node: WorkerController) -> str | None:
        files = self.assigned_work.pop(node)
        left = {file: tests for file, tests in files.items() if not all(tests.values())}
        if not left:
            return None
        file, tests = next(iter(left.items()))
        died: str = next(test for test, ended in tests.items() if not ended)
        tests[died] = True
        if all(tests.values()):
            del left[file]
        self.workqueue.update(left)
        for other in self.assigned_work:
            self._reschedule(other)
        return died

    def _reschedule(self, node: WorkerController) -> None:
        super()._reschedule(node)
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile | None:
    """A hook of xdist; for other distributions it uses its own scheduler."""
    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None
