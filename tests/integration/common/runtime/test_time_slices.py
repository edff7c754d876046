"""Time slices, asked of the kernel that runs the tests; each in a process of its own, which it changes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.time_slices import takes_time_slices

pytestmark = pytest.mark.skipif(not takes_time_slices(), reason="a kernel before 6.12, or no Linux")

_TOLD = """
import os, re, subprocess, sys
from pathlib import Path
from gantry.common.runtime import time_slices
from gantry.common.runtime.time_slices import SHORT, USUAL, set_time_slice

def own(process="self"):
    return int(re.search(r"^se.slice +: +(\\d+)", Path(f"/proc/{process}/sched").read_text(), re.M)[1])
"""


def _said(script: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", _TOLD + script], check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


def test_a_process_gets_short_time_slices_without_any_privilege() -> None:
    assert _said("os.setuid(65534) if os.getuid() == 0 else None; print(set_time_slice(SHORT), own())") == "True 100000"


def test_what_it_starts_later_has_them_too_and_can_go_back_to_the_usual() -> None:
    child = "import sys; sys.stdin.read()"
    script = f"""
usual = own()
set_time_slice(SHORT)
with subprocess.Popen([sys.executable, "-c", {child!r}], stdin=subprocess.PIPE) as started:
    print(own(started.pid))
set_time_slice(USUAL)
print(own() == usual)
"""
    assert _said(script).split() == ["100000", "True"]


def test_policy_and_niceness_stay_as_they_are() -> None:
    script = """
os.nice(7)
os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
print(set_time_slice(SHORT), own(), os.nice(0), os.sched_getscheduler(0) == os.SCHED_BATCH)
"""
    assert _said(script) == "True 100000 7 True"


def test_a_process_of_an_idle_policy_is_left_alone() -> None:
    script = """
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
print(set_time_slice(SHORT), os.sched_getscheduler(0) == os.SCHED_IDLE)
"""
    assert _said(script) == "False True"


def test_a_machine_whose_calls_have_numbers_of_their_own_goes_on_as_before() -> None:
    script = """
usual = own()
time_slices.platform.machine = lambda: "s390x"
print(set_time_slice(SHORT), own() == usual)
"""
    assert _said(script) == "False True"
