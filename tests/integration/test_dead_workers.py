"""A test run whose worker died continues, and ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_ENDS_AT_ONCE = "import pytest\n@pytest.mark.parametrize('i', range(3))\ndef test_it(i): pass\n"
_DIES = (
    "import os, time\ndef test_before(): pass\ndef test_dies(): time.sleep(2); os._exit(1)\ndef test_after(): pass\n"
)


def run_of(folder: Path, last: str) -> subprocess.CompletedProcess[str]:
    """Two workers; the last file is begun when all others have ended."""
    for name in "abcdef":
        (folder / f"test_{name}.py").write_text(_ENDS_AT_ONCE)
    (folder / "test_z.py").write_text(last)
    plugins = ("-p", "tests.support.scheduling", "-p", "no:cacheprovider")
    together = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
    command = [sys.executable, "-m", "pytest", "-q", *plugins, *together, "--rootdir", str(folder), str(folder)]
    environment = {"PYTHONPATH": str(_ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_what_ended_is_not_run_again_and_what_was_left_is(tmp_path: Path) -> None:
    ended = run_of(tmp_path, _DIES)
    assert ended.returncode == 1
    assert "1 failed, 20 passed" in ended.stdout
    assert "crashed while running 'test_z.py::test_dies'" in ended.stdout


def test_a_worker_that_dies_of_the_last_test_leaves_nothing_to_wait_for(tmp_path: Path) -> None:
    ended = run_of(tmp_path, "import os, time\ndef test_dies(): time.sleep(2); os._exit(1)\n")
    assert ended.returncode == 1
    assert "1 failed, 18 passed" in ended.stdout
