"""The archive outlives whoever reads its log."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from gantry.common.telemetry.logs import Lines
from tests.support.archive import ROOT

TELL = """
import sys
from gantry.common.telemetry.logs import Lines, get_logger, set_up_logs
set_up_logs("json", "info")
if len(sys.argv) > 1:
    sys.stdin.readline()  # until the reader of our standard error has gone
for n in range(1000):
    get_logger("test").info("a fact", n=n)
print(Lines.dropped)
"""


def test_lines_that_cannot_be_written_are_dropped_and_counted_on_a_full_disk() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", TELL], cwd=ROOT, stdout=subprocess.PIPE, stderr=full, text=True, check=True
        )
    assert done.stdout == "1000\n"


def test_lines_that_nobody_reads_any_more_are_dropped_and_counted() -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", TELL, "wait"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=writing, text=True,
    )  # fmt: skip
    os.close(writing)
    os.close(reading)
    out, _ = process.communicate("go on\n", timeout=60)
    assert (process.returncode, out) == (0, "1000\n")


def test_stream_that_is_closed_loses_lines_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lines, "dropped", 0)
    stream = io.StringIO()
    lines = Lines(stream)
    lines.write("one\n")
    lines.flush()
    assert stream.getvalue() == "one\n"
    stream.close()
    lines.write("two\n")
    lines.flush()
    assert Lines.dropped == 1
