"""Gantry's own image, and compose, for tests of containers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.engine import engine_here
from tests.support.parts import part, run_script, version_of
from tests.support.server import Server, Unavailable


def own_image(folder: Path) -> Server:
    """Gantry's own image, built from this checkout. The server's address is the image's name."""
    if not engine_here():
        raise Unavailable("no Docker engine")
    name = f"gantry:{folder.name.removeprefix('gantry-servers-').lower().strip('_-')}"
    environment = {**os.environ, "GANTRY_IMAGE": name, "GANTRY_PULL_SECONDS": "5"}
    run_script("build.sh", "gantry", environment)
    # Layers of older builds, which are no longer used.
    old = ("--filter", "label=org.opencontainers.image.title=Gantry", "--filter", "until=12h")
    subprocess.run(["docker", "image", "prune", "-f", *old], capture_output=True, check=False)
    size = _output("docker", "image", "inspect", "-f", "{{.Size}}", name)
    return Server("gantry", name, f"image of this checkout, {int(size) // 1_000_000} MB", image=name)


def compose(folder: Path) -> Server:
    """Docker's compose plugin. Its address is the command."""
    if not engine_here():
        raise Unavailable("no Docker engine")
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        return Server(
            "compose", "docker compose", f"docker compose {_output('docker', 'compose', 'version', '--short')}"
        )
    run_script("artefacts.sh", "compose", dict(os.environ))
    return Server("compose", str(part("compose", "COMPOSE") / "docker-compose"), f"compose {version_of('COMPOSE')}")


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
