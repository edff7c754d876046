"""Gantry's own image under a real engine, as careful people run it: nothing to write on, no capability, no root."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest

from gantry.common.net import Peer
from tests.support import waiting as asking
from tests.support.dcmtk import ok
from tests.support.objects import study
from tests.support.ports import free_port
from tests.support.servers import required

pytestmark = pytest.mark.timeout(600)  # the first of them builds the image

CAREFULLY = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp")


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def eventually(condition: Callable[[], bool], outcome: str, seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not {outcome} after {seconds:g} s"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def image() -> str:
    return required("gantry").address


Run = Callable[..., str]


@pytest.fixture
def run(image: str) -> Iterator[Run]:
    """Starts a container; its id."""
    containers: list[str] = []

    def start(*arguments: str, command: tuple[str, ...] = ()) -> str:
        containers.append(docker("run", "-d", *CAREFULLY, *arguments, image, *command))
        return containers[-1]

    yield start
    for container in containers:
        docker("rm", "-f", "-v", container)


def health(container: str) -> str:
    return docker("inspect", "-f", "{{.State.Health.Status}}", container)


def test_everything_runs_in_one_container_and_what_it_keeps_outlives_it(run: Run, tmp_path: Path) -> None:
    port, volume = free_port(), f"gantry-test-{free_port()}"
    (tmp_path / "gantry.yaml").write_text(
        "peers:\n  - {ae_title: MODALITY, from: [0.0.0.0/0], may: [store, find, commit, echo]}\n"
    )
    arguments = (
        *("-p", f"127.0.0.1:{port}:11112", "-v", f"{volume}:/var/lib/gantry"),
        *("-v", f"{tmp_path / 'gantry.yaml'}:/etc/gantry.yaml:ro", "-e", "GANTRY_CONFIG=/etc/gantry.yaml"),
        *("--health-interval", "1s"),
    )
    peer = Peer("127.0.0.1", port, "GANTRY", "MODALITY")
    files = study(tmp_path / "sent", 5)
    uid = str(pydicom.dcmread(files[0].path, stop_before_pixels=True).StudyInstanceUID)
    try:
        first = run(*arguments)
        eventually(lambda: health(first) == "healthy", "healthy")
        eventually(lambda: docker_ready(first), "ready")
        ok("storescu", "-aet", "MODALITY", "-aec", "GANTRY", "127.0.0.1", port, *[file.path for file in files])
        asking.wait_searchable(peer, uid, 5)
        assert asking.commit(peer, files) == (5, 0)
        docker("stop", "-t", "30", first)
        assert json.loads(docker("inspect", "-f", "{{json .State}}", first))["ExitCode"] == 0
        second = run(*arguments)
        eventually(lambda: docker_ready(second), "ready")
        asking.wait_searchable(peer, uid, 5)
        assert "Traceback" not in docker("logs", second)
    finally:
        for container in docker("ps", "-aq", "--filter", f"volume={volume}").split():
            docker("rm", "-f", "-v", container)
        docker("volume", "rm", "-f", volume)


def docker_ready(container: str) -> bool:
    done = subprocess.run(
        ["docker", "exec", container, "gantry", "health", "--ready"], capture_output=True, text=True, check=False
    )
    return done.returncode == 0 and done.stdout == "ready\n"


def test_the_container_is_nobody_of_importance_and_cannot_write(run: Run) -> None:
    container = run("-e", "GANTRY_LAB=true")
    eventually(lambda: docker_ready(container), "ready")
    script = "import os; print(os.getuid(), open('/proc/1/status').read().split('CapEff:')[1].split()[0])"
    uid, capabilities = docker("exec", container, "/opt/gantry/bin/python", "-c", script).split()
    assert uid != "0"
    assert int(capabilities, 16) == 0
    touched = subprocess.run(
        ["docker", "exec", container, "/opt/gantry/bin/python", "-c", "open('/opt/gantry/x', 'w')"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Read-only file system" in touched.stderr


@pytest.mark.parametrize("role", ["ingest", "door"])
def test_a_single_role_is_healthy_on_its_own_port(run: Run, role: str) -> None:
    container = run("-e", f"GANTRY_ROLE={role}", "-e", "GANTRY_DOOR__INGEST=[nobody:1]", "--health-interval", "1s")
    eventually(lambda: health(container) == "healthy", "healthy")
    docker("stop", "-t", "30", container)
    assert docker("inspect", "-f", "{{.State.ExitCode}}", container) == "0"


def test_the_image_holds_what_runs_and_nothing_else(image: str) -> None:
    script = (
        "import shutil, pathlib, sysconfig, sys\n"
        "assert not any(map(shutil.which, ('gcc', 'cc', 'make', 'git', 'pip', 'pip3'))), 'a tool'\n"
        "site = pathlib.Path(sysconfig.get_paths()['purelib'])\n"
        "assert not list(site.glob('pytest*')) and not list(site.glob('pip*')), 'a package'\n"
        "assert not [p for p in site.rglob('tests') if p.is_dir()], 'tests'\n"
    )
    done = subprocess.run(
        ["docker", "run", "--rm", *CAREFULLY, "--entrypoint", "/opt/gantry/bin/python", image, "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    labels = json.loads(docker("image", "inspect", "-f", "{{json .Config.Labels}}", image))
    assert labels["org.opencontainers.image.title"] == "Gantry"
    # Debian is 75 to 120 MB of it, OHIF 65.
    assert int(docker("image", "inspect", "-f", "{{.Size}}", image)) < 450_000_000
