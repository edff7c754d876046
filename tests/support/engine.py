"""The Docker engine of a test session."""

from __future__ import annotations

import os
import shutil
import subprocess

from tests.support import memory

SESSION = "GANTRY_TEST_SESSION"
"""The environment variable with the session's folder."""
LABEL = "gantry-test-session"


def engine_here() -> bool:
    """Whether there is an engine, and tests may use it."""
    return (
        os.environ.get("GANTRY_TEST_WITHOUT_DOCKER", "") == ""
        and shutil.which("docker") is not None
        and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    )


def image_here(image: str) -> bool:
    """Whether the image is in the engine's store, or could be pulled."""
    if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode == 0:
        return True
    try:
        return (
            subprocess.run(["docker", "pull", "-q", image], capture_output=True, check=False, timeout=300).returncode
            == 0
        )
    except subprocess.TimeoutExpired:
        return False


def set_up_testcontainers() -> None:
    """Configure testcontainers without its helper container, which must be pulled, and with published ports, also
    inside a container."""
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")
    os.environ.setdefault("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")


def run_container(
    image: str, inner: int, port: int, env: dict[str, str], command: str = "", in_memory: str = ""
) -> str:
    """Start a container whose port `inner` is published as `port` of the loopback interface; returns its id. Files
    below `in_memory` stay in memory if there is enough."""
    set_up_testcontainers()
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(image).with_kwargs(labels={LABEL: os.environ[SESSION]})
    # `with_bind_ports` publishes on every address of the machine.
    container.ports = {f"{inner}/tcp": ("127.0.0.1", port)}  # type: ignore[dict-item]
    for key, value in env.items():
        container.with_env(key, value)
    if command:
        container.with_command(command)
    if in_memory and (folder := memory.new_folder(os.environ[SESSION])):
        container.with_volume_mapping(str(folder), in_memory, "rw")
    container.start()
    return str(container.get_wrapped_container().id)
