"""Runs the tests; a test that failed is run again, alone, and reported as unsteady if it then passes.

    python -m tests.support.rerun [--one-after-the-other] [arguments of pytest]

A test that fails now and then is a defect to investigate, but it must not stop a day's work: so it is reported at the
end, in the lines that people read. More than a few failures do not count as unsteady, and are not run again. If the run
itself broke off, and not a test in it, it is started again, once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_FAILED = 1
"""pytest's exit code if tests failed, and nothing else went wrong."""
_BROKE_OFF = Path(".pytest_cache/broke-off")
"""Exists if pytest or one of its workers failed, not a test. The exit code does not show that: it can be 0."""
_MOST = 20
_WORKERS = min(3, (os.cpu_count() or 2) + 1)
"""One more than processors: tests that harm servers wait much of their time. Each has its own servers, of 3 GB."""
_BY_FILE = ("--dist", "loadfile", "--no-loadscope-reorder")
"""Keeps our order of collection (tests/conftest.py)."""
_LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")
_ONE_AFTER_THE_OTHER = "--one-after-the-other"
"""For tests that need the whole machine."""


def main(arguments: list[str]) -> int:
    """The exit code of the last run."""
    _LAST_FAILED.unlink(missing_ok=True)
    together: tuple[str, ...] = ("-n", str(_WORKERS), *_BY_FILE, "--durations", "120")
    if _ONE_AFTER_THE_OTHER in arguments:
        arguments = [argument for argument in arguments if argument != _ONE_AFTER_THE_OTHER]
        together = ("-p", "no:xdist")
    code = _pytest(*together, *arguments)
    if _BROKE_OFF.exists():
        print("\nUNSTEADY: the run itself broke off, see INTERNALERROR above; it is begun anew", flush=True)
        code = _pytest(*together, *arguments)
        if _BROKE_OFF.exists():
            return code or _FAILED
    failed = sorted(json.loads(_LAST_FAILED.read_text())) if code == _FAILED and _LAST_FAILED.exists() else []
    if not failed or len(failed) > _MOST:
        return code
    print(f"\nonce more, alone: {len(failed)} that failed", flush=True)
    os.environ.pop("GANTRY_TESTS_UNTIL", None)  # failed tests are never left out
    code = _pytest("-p", "no:xdist", *failed)
    still = set(json.loads(_LAST_FAILED.read_text())) if _LAST_FAILED.exists() else set()
    for name in failed:
        print(f"{'failed twice' if name in still else 'UNSTEADY: failed, then passed alone'}: {name}", flush=True)
    return code


def _pytest(*arguments: str) -> int:
    _BROKE_OFF.unlink(missing_ok=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), *os.environ.get("PYTHONPATH", "").split()])}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.rerun", *arguments]
    return subprocess.run(command, env=environment, check=False).returncode


def pytest_internalerror() -> None:
    """A hook of pytest: this module is a plugin of the run that it starts."""
    _BROKE_OFF.parent.mkdir(exist_ok=True)
    _BROKE_OFF.touch()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
