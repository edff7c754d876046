"""Gantry's image in a container of a test, through testcontainers (not a dependency of Gantry: install it beside)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Self

from ruamel.yaml import YAML
from testcontainers.core.container import DockerContainer

from gantry.common.clock import SystemClock
from gantry.common.config.policy import ALL
from gantry.testing.client import OURS, Client

_DIMSE, _HTTP = 11112, 8080
_EVERYWHERE = ["0.0.0.0/0", "::/0"]
_READY_SECONDS = 60.0


class GantryContainer(Client):
    """Every role on embedded stores in one container, ready when it answers C-ECHO.

        with GantryContainer().admitting("CT1") as gantry:
            gantry.seed("tests/data")
            …                       # gantry.host, gantry.port, gantry.ae_title, gantry.http_url

    An image's port is reached through the engine's network, so the archive sees the engine's address as everybody's:
    AE titles are admitted from everywhere. `docker` is the container of testcontainers, for what else it can do.
    """

    def __init__(self, image: str = "gantry:dev") -> None:
        self._peers: list[dict[str, object]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="gantry-container-")
        self.docker = DockerContainer(image)
        self.docker.with_exposed_ports(_DIMSE, _HTTP)
        self.docker.with_env("GANTRY_CONFIG", "/etc/gantry/gantry.yaml")
        self.docker.with_volume_mapping(self._folder.name, "/etc/gantry", "ro")
        self.admitting(OURS)

    def admitting(self, ae_title: str, *, host: str | None = None, port: int | None = None) -> Self:
        """Let an AE title in, for everything. With `host` and `port`, as the container reaches them, it is also a
        C-MOVE destination, and gets storage commitment reports on an association of its own. Before `start`."""
        peer: dict[str, object] = {
            "ae_title": ae_title,
            "from": _EVERYWHERE,
            "may": sorted(right.value for right in ALL),
        }
        if host is not None and port is not None:
            peer |= {"host": host, "port": port, "move_destination": True}
        self._peers.append(peer)
        return self

    def start(self) -> Self:
        """Return when it answers. Raises `TimeoutError` where it does not within a minute, with the end of its log."""
        folder = Path(self._folder.name)
        folder.chmod(0o755)
        with (folder / "gantry.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe").dump({"peers": self._peers}, file)
        (folder / "gantry.yaml").chmod(0o644)  # the container's user is another one, whatever the umask here
        self.docker.start()
        clock = SystemClock()
        deadline = clock.monotonic() + _READY_SECONDS
        self.host = self.docker.get_container_host_ip()
        self.port = int(self.docker.get_exposed_port(_DIMSE))
        self.http_port = int(self.docker.get_exposed_port(_HTTP))
        while not self._answers():
            if clock.monotonic() > deadline:
                output = b"\n".join(self.docker.get_logs())[-2000:].decode(errors="replace")
                self.stop()
                raise TimeoutError(f"no C-ECHO within {_READY_SECONDS:g} s; the container said: {output}")
        return self

    def stop(self) -> None:
        """End it and remove it."""
        self.docker.stop()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        # The engine accepts connections before anybody listens behind it.
        code, _ = self.docker.exec(["gantry", "health", "--ready"])
        if code:
            return False
        self.echo()
        return True
