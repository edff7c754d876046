"""What `make test` does with a test that failed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.archive import ROOT

_UNSTEADY = """
from pathlib import Path

def test_unsteady():
    mark = Path(__file__).with_suffix(".seen")
    seen = mark.exists()
    mark.touch()
    assert seen

def test_good():
    pass
"""
_BROKEN = """
def test_broken():
    assert False
"""


_BREAKS_OFF = """
from pathlib import Path

import pytest

@pytest.hookimpl
def pytest_runtest_protocol(item):
    mark = Path(__file__).with_suffix(".seen")
    if not mark.exists():
        mark.touch()
        raise RuntimeError("no test did this")
"""


def rerun(folder: Path, *arguments: str, **files: str) -> tuple[int, str]:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    command = [sys.executable, str(ROOT / "tests" / "support" / "rerun.py"), "-p", "no:randomly", *arguments]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    return run.returncode, run.stdout


def test_one_that_passes_alone_is_named_and_holds_nothing_back(tmp_path: Path) -> None:
    code, output = rerun(tmp_path, test_a=_UNSTEADY)
    assert code == 0
    assert "UNSTEADY: failed, then passed alone: test_a.py::test_unsteady" in output


def test_one_that_fails_again_fails_the_run(tmp_path: Path) -> None:
    code, output = rerun(tmp_path, test_a=_UNSTEADY, test_b=_BROKEN)
    assert code == 1
    assert "failed twice: test_b.py::test_broken" in output
    assert "UNSTEADY: failed, then passed alone: test_a.py::test_unsteady" in output


def test_many_failures_are_not_run_again(tmp_path: Path) -> None:
    code, output = rerun(tmp_path, test_b="\n".join(_BROKEN.replace("broken", f"broken{n}") for n in range(21)))
    assert code == 1
    assert "once more" not in output


def test_tests_that_need_the_machine_run_one_after_the_other_and_once_more_too(tmp_path: Path) -> None:
    code, output = rerun(tmp_path, "--one-after-the-other", test_a=_UNSTEADY, test_b=_BROKEN)
    assert code == 1
    assert "bringing up" not in output
    assert "failed twice: test_b.py::test_broken" in output
    assert "UNSTEADY: failed, then passed alone: test_a.py::test_unsteady" in output


def test_a_run_that_breaks_off_is_begun_anew(tmp_path: Path) -> None:
    code, output = rerun(tmp_path, conftest=_BREAKS_OFF, test_a="def test_good():\n    pass\n")
    assert code == 0
    assert "the run itself broke off" in output
    assert "1 passed" in output


def test_a_run_that_breaks_off_again_fails(tmp_path: Path) -> None:
    always = _BREAKS_OFF.replace("mark.touch()", "pass")
    code, output = rerun(tmp_path, conftest=always, test_a="def test_good():\n    pass\n")
    assert code != 0
    assert output.count("no tests ran") == 2
