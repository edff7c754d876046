"""DCMTK's programs as foreign peers, run as their users run them. Tests are skipped if they are not installed."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pydicom
import pytest
from pydicom.dataset import Dataset

from gantry.common.dicom.encoding.part10 import parse_meta
from tests.support.ports import free_port


def tool(name: str) -> str:
    """The path of a program; skips the test if it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: deploy/peers.sh installs it on Debian")
    return path


def run(
    name: str, *arguments: object, seconds: float = 60.0, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with both outputs in `stdout`."""
    command = [tool(name), *map(str, arguments)]
    return subprocess.run(
        command,
        timeout=seconds,
        cwd=cwd,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def ok(name: str, *arguments: object, seconds: float = 60.0, cwd: Path | None = None) -> str:
    """Run a program that must succeed; returns its output."""
    done = run(name, *arguments, seconds=seconds, cwd=cwd)
    assert done.returncode == 0, f"{done.args} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def content(path: Path) -> tuple[str, bytes]:
    """Transfer syntax and data set of a Part 10 file."""
    whole = path.read_bytes()
    meta = parse_meta(whole)
    return meta.transfer_syntax_uid, whole[meta.data_set_offset :]


def received(folder: Path) -> dict[str, Path]:
    """The files that a program of DCMTK has written, by SOP Instance UID (a file is named `CT.1.2.3`, or `1.2.3`)."""
    return {re.sub(r"^[A-Za-z]+\.", "", path.name): path for path in folder.iterdir()}


def find(address: Sequence[object], folder: Path, *arguments: object) -> list[Dataset]:
    """`findscu`'s answers, read with pydicom from the files that it extracts them to."""
    folder.mkdir(parents=True)
    ok("findscu", "-X", "-od", folder, *arguments, *address)
    return [pydicom.dcmread(path, force=True) for path in sorted(folder.iterdir())]


class StoreScp:
    """`storescp`, which writes objects as received."""

    def __init__(self, folder: Path, ae_title: str, *options: str, port: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.ae_title, self.port = folder, ae_title, port or free_port()
        self._command = [tool("storescp"), "+B", "-pm", *(options or ("+xa",)), "-od", str(folder), "-aet", ae_title]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [*self._command, str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_listening(self.port)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def received(self) -> dict[str, Path]:
        return received(self.folder)


def wait_listening(port: int, seconds: float = 30.0) -> None:
    """Wait until a port of this machine accepts connections."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port} after {seconds:g} s")
