"""S3 for tests: versitygw, as a container or as a process."""

from __future__ import annotations

from pathlib import Path

from tests.support.answering import http_ok, wait_for
from tests.support.engine import run_container
from tests.support.parts import part, spawn, version_of
from tests.support.ports import free_port
from tests.support.server import Server

_KEYS = ("gantry", "gantrysecret")
# Keep connections open, as all other S3 servers do by default.
_S3 = {"ROOT_ACCESS_KEY": _KEYS[0], "ROOT_SECRET_KEY": _KEYS[1], "VGW_KEEP_ALIVE": "true", "VGW_QUIET": "true"}


def contained(image: str, _: int) -> Server:
    """Start it in a container."""
    port = free_port()
    container = run_container(image, 7070, port, _S3, "--port :7070 --health /health posix /tmp")
    address = f"http://127.0.0.1:{port}"
    wait_for(lambda: http_ok(f"{address}/health"), 60, image)
    return Server("s3", f"{address} {_KEYS[0]} {_KEYS[1]}", f"container {image}", container)


def processed(folder: Path, _: int) -> Server:
    """Start it as a process."""
    (folder / "data").mkdir(parents=True)
    port = free_port()
    binary = part("versitygw", "VERSITYGW") / "versitygw"
    command = [str(binary), "--port", f"127.0.0.1:{port}", "--health", "/health", "posix", str(folder / "data")]
    pid = spawn(folder, command, _S3)
    wait_for(lambda: http_ok(f"http://127.0.0.1:{port}/health"), 60, "versitygw")
    address = f"http://127.0.0.1:{port} {_KEYS[0]} {_KEYS[1]}"
    return Server(
        "s3",
        address,
        f"process, versitygw {version_of('VERSITYGW')}",
        pids=[pid],
        command=command,
        environment=_S3,
        folder=str(folder),
    )
