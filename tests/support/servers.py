"""Real Kafka, OpenSearch and S3 for a test session: one of each, started by the first worker whose test needs it.

The first choice is containers (testcontainers; image names by GANTRY_TEST_KAFKA_IMAGE and so on), the second the same
servers as plain processes from the parts of deploy/images/artefacts.sh. If neither is available, tests that need a
server are skipped by name. The session's closing lines show for each server what it ran on.

GANTRY_TEST_KAFKA=HOST:PORT, GANTRY_TEST_OPENSEARCH=URL and GANTRY_TEST_S3="URL KEY SECRET" name servers that are
running already.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.support import kafka_server, memory, opensearch_server, s3_server
from tests.support.engine import SESSION, engine_here, image_here
from tests.support.images import compose, own_image
from tests.support.parts import parts, version_of
from tests.support.server import Server, Unavailable

# ---- the session: one folder, shared by the workers


def begin() -> None:
    """Called by the process that controls the session, before its workers start."""
    if SESSION not in os.environ:
        _remove_abandoned()
        folder = Path(tempfile.mkdtemp(prefix="gantry-servers-"))
        (folder / "controller").write_text(str(os.getpid()))
        memory.begin(folder)
        os.environ[SESSION] = str(folder)


def end() -> list[str]:
    """End all started servers; returns a line per server with what it ran on."""
    folder = Path(os.environ.pop(SESSION, "/nonexistent"))
    lines = [_closing_line(folder, name) for name in (*_STARTERS, *_TOOLS)] if folder.is_dir() else []
    lines += _left_out(folder)
    _end_all(folder)
    return lines


def server(name: str) -> Server:
    """The session's server with that name; started if it is not running, and again if it died, so that only a few tests
    fail, and not all later ones. Raises `Unavailable`."""
    address = os.environ.get(f"GANTRY_TEST_{name.upper()}")
    if address:
        return Server(name, address, "given by the environment")
    folder = Path(os.environ[SESSION])
    state = folder / f"{name}.json"
    with _locked(folder / f"{name}.lock"):
        known = json.loads(state.read_text()) if state.exists() else {}
        if not known or _died(known):
            known = _started(name, folder, known)
            state.write_text(json.dumps(known))
    if "unavailable" in known:
        raise Unavailable(known["unavailable"])
    return Server(**known)


def _started(name: str, folder: Path, before: dict[str, Any]) -> dict[str, Any]:
    """Start a server, and record it for the session's other workers. A server that died is reported in the closing
    lines, with its last output."""
    if before:
        died = folder / f"{name}.died"
        with died.open("a") as log:
            log.write(f"{_last_words(before)}\n")
        _end_one(before, folder)
        folder = Path(tempfile.mkdtemp(prefix="again", dir=folder))
    try:
        return asdict(_start(name, folder))
    except Unavailable as error:
        return {"unavailable": str(error)}


def _last_words(known: dict[str, Any]) -> str:
    if known["container"]:
        logs = subprocess.run(["docker", "logs", "--tail", "3", known["container"]], capture_output=True, check=False)
        words = (logs.stdout + logs.stderr).decode(errors="replace")
    else:
        words = (Path(known["folder"]) / "log").read_text(errors="replace")
    return " / ".join(words.strip().splitlines()[-3:])


def _died(known: dict[str, Any]) -> bool:
    """Whether nothing listens at the server's address. A server that is only busy has not died."""
    if "unavailable" in known or known["name"] in _TOOLS:
        return False
    host, _, port = Server(**known).endpoint.rpartition("/")[2].partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        return isinstance(error, ConnectionRefusedError)
    return False


def required(name: str) -> Server:
    """The same for a test, which is skipped and counted for the closing lines if there is no server."""
    try:
        return server(name)
    except Unavailable as error:
        skip(name, str(error))


def skip(name: str, why: str) -> NoReturn:
    """Skip a test because a server or tool is missing, and count it for the closing lines."""
    with (Path(os.environ[SESSION]) / f"{name}.skipped").open("a") as counted:
        counted.write(".")
    pytest.skip(f"no {name}: {why}")


def note(name: str, text: str) -> None:
    """Record a text for the closing lines."""
    (Path(os.environ[SESSION]) / f"{name}.note").write_text(text)


_LEFT_TO = {"first": "make test", "rest": "make test-rest", "long": "make test-long"}
"""Notes with the number of tests that were left out, each with the command that runs them."""


def _left_out(folder: Path) -> list[str]:
    """Closing lines about tests that were not run."""
    idle, late = folder / "idle.note", folder / "time.skipped"
    left = {command: folder / f"{name}.note" for name, command in _LEFT_TO.items()}
    counts = {command: note.read_text() for command, note in left.items() if note.exists()}
    lines = [f"left to `{command}`: {count} tests" for command, count in counts.items() if count != "0"]
    if idle.exists() and idle.read_text():
        lines.append(f"tests/support/first.py or long.py NAMES WHAT THERE IS NOT: {idle.read_text()}")
    if late.exists():
        lines.append(f"NOT RUN, the time was over: {len(late.read_text())} tests")
    return lines


def _closing_line(folder: Path, name: str) -> str:
    address = os.environ.get(f"GANTRY_TEST_{name.upper()}")
    if address:
        return f"{name}: given by the environment"
    try:
        known = json.loads((folder / f"{name}.json").read_text())
    except OSError:
        return f"{name}: not asked for"
    if "unavailable" in known:
        skipped = folder / f"{name}.skipped"
        count = len(skipped.read_text()) if skipped.exists() else 0
        return f"{name}: not available ({known['unavailable']}); {count} tests skipped"
    died = folder / f"{name}.died"
    return f"{name}: {known['runs_on']}" + (f"; DIED: {died.read_text()}" if died.exists() else "")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_abandoned() -> None:
    """Remove the servers of a session whose controlling process was killed."""
    for folder in Path(tempfile.gettempdir()).glob("gantry-servers-*"):
        try:
            pid = int((folder / "controller").read_text())
        except (OSError, ValueError):
            continue
        if not Path(f"/proc/{pid}").exists():
            _end_all(folder)


def _end_all(folder: Path) -> None:
    for state in folder.glob("*.json"):
        _end_one(json.loads(state.read_text()), folder)
    memory.end(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _end_one(known: dict[str, Any], folder: Path) -> None:
    if known.get("image"):
        # The layers stay: the next session's image is built from them.
        subprocess.run(["docker", "rmi", "--no-prune", known["image"]], capture_output=True, check=False)
    if known.get("container"):
        subprocess.run(["docker", "rm", "-f", "-v", known["container"]], capture_output=True, check=False)
    for pid in known.get("pids", ()):
        # End only processes that we started: the number may have been reused.
        if str(folder).encode() in _environment(pid):
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


# ---- starting


def start_own(name: str, folder: Path, advertised: int = 0) -> Server:
    """Start a server for a single test, which may harm it; `own.OwnServer` ends it. Kafka advertises port `advertised`
    of the loopback interface to its clients, if that is not 0. Raises `Unavailable`."""
    folder.mkdir(parents=True, exist_ok=True)
    return _start(name, folder, advertised)


def _start(name: str, folder: Path, advertised: int = 0) -> Server:
    if name in _TOOLS:
        return _TOOLS[name](folder)
    contained, processed = _STARTERS[name]
    image = os.environ.get(f"GANTRY_TEST_{name.upper()}_IMAGE") or version_of(f"{name.upper()}_IMAGE")
    if engine_here() and image_here(image):
        return contained(image, advertised)
    why = "no Docker engine" if not engine_here() else f"no image {image}"
    try:
        parts(*(["jre"] if name != "s3" else []), name)
    except Unavailable as error:
        raise Unavailable(f"{why}; {error}") from error
    return processed(folder / name, advertised)


def remove_indices(prefix: str) -> None:
    """Remove a test's indices from the session's OpenSearch, since each uses some of its memory."""
    server = required("opensearch").address
    _delete(f"{server}/{prefix}-*")
    remove_templates(server, prefix)


def remove_templates(server: str, prefix: str) -> None:
    """Remove a test's index templates: with two thousand of them, each index that is made takes a second longer."""
    _delete(f"{server}/_index_template/{prefix}-*")


def _delete(url: str) -> None:
    with suppress(urllib.error.HTTPError):
        urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=30).close()


_TOOLS: dict[str, Callable[[Path], Server]] = {"gantry": own_image, "compose": compose}
_STARTERS: dict[str, tuple[Callable[[str, int], Server], Callable[[Path, int], Server]]] = {
    "kafka": (kafka_server.contained, kafka_server.processed),
    "opensearch": (opensearch_server.contained, opensearch_server.processed),
    "s3": (s3_server.contained, s3_server.processed),
}
