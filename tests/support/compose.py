"""Runs deploy/compose.yaml under a project name of its own, on free ports of this machine, with deploy/compose.web.yaml
on top if needed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from gantry.common.net import Peer
from tests.support.answering import wait_for
from tests.support.archive import ROOT
from tests.support.ports import free_port
from tests.support.servers import required, skip

FILE, WEB_FILE = ROOT / "deploy" / "compose.yaml", ROOT / "deploy" / "compose.web.yaml"
ROLES = ("ingest", "indexer", "query", "retrieve", "commitment", "orders", "mixed")


class Composed:
    """The cluster. The end of the `with` removes everything that it created, including volumes and networks."""

    def __init__(self, folder: Path, peers: str) -> None:
        """Skips the test if there is no engine, no compose, or an image is not available."""
        self.image, compose = required("gantry"), required("compose")
        for server in ("KAFKA", "S3", "OPENSEARCH"):
            _need_image(server)
        self.project = f"gantry-test-{uuid4().hex[:8]}"
        self.port, self.http_port = free_port(), free_port()
        self._tokens = folder / "http_tokens"
        for name, text in (("peers.yaml", peers), ("s3_secret_key", uuid4().hex), ("door_key", uuid4().hex)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o644)  # the container's user is another one, whatever our umask is
        self._command = [*compose.address.split(), "-p", self.project, "-f", str(FILE)]
        self._environment = {
            **os.environ,
            "GANTRY_IMAGE": self.image.address,
            "GANTRY_PEERS": str(folder / "peers.yaml"),
            "GANTRY_S3_SECRET_KEY_FILE": str(folder / "s3_secret_key"),
            "GANTRY_DOOR_KEY": str(folder / "door_key"),
            "GANTRY_HTTP_TOKENS": str(self._tokens),
            "GANTRY_BIND": "127.0.0.1",
            "GANTRY_DICOM_PORT": str(self.port),
            "GANTRY_HTTP_PORT": str(self.http_port),
            "GANTRY_SUBNET": f"172.31.{random.randrange(1, 250)}.0/24",
            "GANTRY_HEALTH_INTERVAL": "30s",
            "OPENSEARCH_JAVA_OPTS": "-Xms512m -Xmx512m",
        }

    def __enter__(self) -> Self:
        try:
            self.up()
            wait_for(self.is_ready, 150, "the cluster")
        except BaseException:
            print(self("logs", "--no-color", "--tail", "30"))
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def __call__(self, *arguments: str) -> str:
        """`docker compose …`; its output."""
        done = self._run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def up(self, **scale: int) -> None:
        """Start the services that are not running, with the given numbers of containers."""
        scales = [word for name, count in scale.items() for word in ("--scale", f"{name}={count}")]
        self("up", "-d", "--no-recreate", *scales)

    def let_in(self, token: str) -> None:
        """Open DICOMweb to callers with the token: restart, with the second file, the services that it changes."""
        self._tokens.write_text(f"viewer:{token}\n")
        self._tokens.chmod(0o644)
        self._command += ["-f", str(WEB_FILE)]
        self("up", "-d", "--no-deps", "door", "ingest", "query", "retrieve")
        wait_for(self.is_ready, 150, "the cluster")

    def down(self) -> None:
        """Remove it with its volumes."""
        self("down", "-v", "--timeout", "20")

    def containers(self) -> list[dict[str, Any]]:
        """The rows of `docker compose ps -a`."""
        return [json.loads(line) for line in self("ps", "-a", "--format", "json").splitlines()]

    @property
    def peer(self) -> Peer:
        """The door, called by MODALITY."""
        return Peer("127.0.0.1", self.port, "GANTRY", "MODALITY")

    def http(self, path: str, token: str = "") -> tuple[int, str]:
        """The door's answer."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def is_ready(self) -> bool:
        """Whether the door and all services behind it accept work. The door only checks that a role listens; a role
        whose stores are still starting listens, too, and rejects for now."""
        if self.http("/readyz")[0] != 200:
            return False
        return all(self._run("exec", "-T", role, "gantry", "health", "--ready").returncode == 0 for role in ROLES)

    def backends(self, pool: str) -> int:
        """How many of a pool the door has found."""
        for line in self.http("/metrics")[1].splitlines():
            if line.startswith("gantry_door_backends{") and f'pool="{pool}"' in line:
                return int(float(line.rsplit(" ", 1)[1]))
        return 0


def _need_image(server: str) -> None:
    """Make sure that the image which compose will run is in the engine's store, or can be pulled."""
    versions = ROOT / "deploy" / "images" / "versions.sh"
    script = f'. "{versions}"; docker image inspect "${server}_IMAGE" || docker pull -q "${server}_IMAGE"'
    if subprocess.run(["sh", "-c", script], capture_output=True, check=False, timeout=300).returncode:
        skip("compose", f"no image for {server}")
