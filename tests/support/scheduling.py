"""Files of tests by worker, as pytest-xdist gives them out, mended: a run goes on when a worker dies.

Of a dead worker xdist hands out again all files it ever had, the ended ones too. Who gets such a file has nothing to
run, reports nothing and is given nothing more: the run waits for ever. It also hands out again the test that the worker
died of. Here what ended stays ended, and that test has failed; `tests.support.rerun` tries it once more, alone.
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """What xdist calls, with its names. A worker runs a test once it knows of the next one, so it is given two."""

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
    """What xdist asks; for other ways to give out tests it has its own answer."""
    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None
