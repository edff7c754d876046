"""A door in front of one archive, with Orthanc as the other archive of shadow mode: three real processes."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from tests.support.archive import IMPORTS, RunningArchive
from tests.support.orthanc import Orthanc
from tests.support.ports import free_port
from tests.support.preloaded import run_gantry

ROLES = ("ingest", "query", "retrieve", "orders")
CALLERS = ("MODALITY", "STRANGER")
"""STRANGER has no permissions at Gantry, and all at Orthanc."""


class Shadowed:
    """Peers call `door`; `archive` is behind it, and `orthanc` beside it."""

    def __init__(self, folder: Path, stores: Mapping[str, str], shadow: Mapping[str, Any], more: str = "", *door: str):
        """`more` are other sections of the settings, `door` arguments of the door's command."""
        self.folder = folder
        port = free_port()
        trusting = {"GANTRY_DIMSE__PROXY_FROM": "[127.0.0.1]", "GANTRY_HTTP__PROXY_FROM": "[127.0.0.1]"}
        self.archive = RunningArchive(folder, lab=False, environment={**stores, **trusting})
        self.door = RunningArchive(folder, "--role", "door", *door, lab=False, environment=stores)
        self.door.log = folder / "door.txt"
        self.orthanc = Orthanc(folder, port, self.archive.port, self.archive.http_port)
        shadow = {"dimse": f"127.0.0.1:{port}", "ae_title": "ORTHANC", "again_after": 1.0, "timeout": 10.0, **shadow}
        if shadow.get("answers") != "other":
            shadow["url"] = f"http://127.0.0.1:{self.orthanc.http_port}/dicom-web"
        settings = {
            "mixed": [f"127.0.0.1:{self.archive.port}"],
            **{f"http_{role}": [f"127.0.0.1:{self.archive.http_port}"] for role in ROLES},
            "look_every": 0.5,
            "shadow": shadow,
        }
        may = "[store, find, retrieve, commit, echo, worklist]"
        peers = [f"{{ae_title: MODALITY, host: 127.0.0.1, may: {may}}}"]
        self.door.write_policy(peers, f"{more}door: {json.dumps(settings)}\n")

    def __enter__(self) -> Self:
        self.orthanc.__enter__()
        try:
            for caller in CALLERS:
                modality = {"AET": caller, "Host": "127.0.0.1", "Port": 104}
                self.orthanc.raw(f"/modalities/{caller}", json.dumps(modality).encode(), "PUT")
            self.archive.start()
            self.door.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.door.stop()
            self.archive.stop()
        finally:
            self.orthanc.__exit__()

    def count(self, name: str, **labels: str) -> float:
        """A metric of the door, over all its series that have these labels."""
        lines = re.findall(rf"^gantry_{name}(?:{{(.*)}})? (\S+)$", self.door.http("/metrics")[1], re.M)
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(float(value) for series, value in lines if all(label in series for label in wanted))

    def wait(self, reached: Callable[[], bool], words: str, seconds: float = 30.0) -> None:
        """Wait until the condition holds."""
        deadline = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < deadline, f"not {words}\n{self.door.log.read_text()[-3000:]}"
            time.sleep(0.1)

    def command(self, *arguments: str) -> str:
        """The output of `gantry shadow …` on the stores of the archive."""
        environment = {**os.environ, **self.archive.environment, "PYTHONPATH": IMPORTS}
        where = ("--config", str(self.door.config), "--data", str(self.folder / "data"))
        done = run_gantry(["shadow", *arguments, *where], environment, self.folder, timeout=60)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)
