"""The tests; what failed once is run once more, alone, and named as unsteady where it passes then.

    python -m tests.support.rerun [--one-after-the-other] [arguments of pytest]

A test that fails now and then is a defect to be looked into. But it must not hold back a day's work: so it is said at
the end, in the lines that somebody reads. More than a few failures are no unsteadiness, and are not run again. Where
the run itself broke off, not a test in it, it is begun anew, once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_FAILED = 1
"""pytest's exit code where tests failed, and nothing else went wrong."""
_BROKE_OFF = Path(".pytest_cache/broke-off")
"""There where pytest or a worker of it failed, not a test. The exit code does not tell it: it was seen to be 0."""
_MOST = 20
_WORKERS = min(3, (os.cpu_count() or 2) + 1)
"""One more than processors: tests that harm servers wait much of their time. Each has its own servers, of 3 GB."""
_BY_FILE = ("--dist", "loadfile", "--no-loadscope-reorder")
"""In the order in which they were collected, which is ours (tests/conftest.py)."""
_LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")
_ONE_AFTER_THE_OTHER = "--one-after-the-other"
"""For tests that need the machine for themselves."""


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
    os.environ.pop("GANTRY_TESTS_UNTIL", None)  # what failed is never left
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
    """What pytest calls: this module is a plugin of the run that it starts."""
    _BROKE_OFF.parent.mkdir(exist_ok=True)
    _BROKE_OFF.touch()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
