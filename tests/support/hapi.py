"""HAPI, the Java library that most interface engines use: runs the unchanged example of docs/examples/hl7."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.answering import wait_for
from tests.support.archive import ROOT


def prepared(folder: Path) -> Path:
    """Compile the example in a new folder. Skips the test if it is not available."""
    for program in ("mvn", "javac"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed, which this example is run with")
    shutil.copytree(ROOT / "docs" / "examples" / "hl7", folder)
    if _maven(folder, "dependency:resolve", "dependency:resolve-plugins").returncode:
        pytest.skip("Maven cannot fetch what the example needs")
    done = _maven(folder, "compile")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


def sent(folder: Path, *arguments: str) -> list[str]:
    """The output lines of `SendOrder`."""
    done = _maven(folder, "exec:java", f"-Dexec.args={' '.join(arguments)}")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return plain(done.stdout)


@contextmanager
def taking(folder: Path, port: int, count: int) -> Iterator[subprocess.Popen[str]]:
    """`TakeResults`, listening at a port; it ends after `count` messages."""
    command = ["mvn", "-q", "-B", "exec:java", "-Dexec.mainClass=TakeResults", f"-Dexec.args={port} {count}"]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        # Maven is slow on a busy machine, and a sender that fails waits longer each time.
        wait_for(lambda: _is_listened_at(port) or process.poll() is not None, 180, "TakeResults")
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _is_listened_at(port: int) -> bool:
    """Whether a program listens; checked without a connection, which the program would print."""
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


def plain(output: str) -> list[str]:
    """The lines of a program's output, without the colours that Maven writes before them."""
    return re.sub(r"\x1b\[\d*m", "", output).splitlines()


def _maven(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["mvn", "-q", "-B", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=400, check=False)
