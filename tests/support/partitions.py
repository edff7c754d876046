"""Archives of several organisations behind one door: each with its own settings, stores and key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any

from gantry.common.net import Peer
from tests.support.archive import RunningArchive
from tests.support.ports import free_port

EVERYTHING = "[store, find, retrieve, commit, echo]"


class Partition(RunningArchive):
    """One archive, in its own process. All its settings are in a file, which the door reads, too."""

    def __init__(
        self, folder: Path, name: str, stores: Mapping[str, str], ae_title: str = "", settings: str = ""
    ) -> None:
        """`settings` are lines of YAML for its file."""
        folder = folder / name
        folder.mkdir()
        super().__init__(folder, lab=False)
        self.name, self.ae_title = name, ae_title or name.upper()
        self.log = folder / f"{name}.txt"
        self.token = token_hex(16)
        (folder / "tokens").write_text(f"{name}-ris:{self.token} roles=administrator\n")
        (folder / "door-key").write_text(f"{token_hex(32)}\n")
        self.destination = free_port()
        http = self.http_port
        roles = ("ingest", "query", "retrieve", "commitment", "orders")
        self.sections: dict[str, Any] = {
            "data": str(folder / "data"),
            "dimse": {"ae_title": self.ae_title, "proxy_from": ["127.0.0.1"]},
            "http": {"tokens_file": str(folder / "tokens"), "proxy_from": ["127.0.0.1"], "may_delete": [f"{name}-ris"]},
            "door": {
                "key_file": str(folder / "door-key"),
                "mixed": [f"127.0.0.1:{self.port}"],
                **{f"http_{role}": [f"127.0.0.1:{http}"] for role in roles},
            },
            **_sections_of(stores),
        }
        self.policy = [
            f"{{ae_title: {title}, host: 127.0.0.1, port: {self.destination}, may: {EVERYTHING}, "
            "move_destination: true}"
            for title in ("MODALITY", "DEST")
        ]
        self.extra = settings
        self.write()

    def write(self) -> None:
        """Write the settings file. JSON is valid YAML."""
        lines = [f"{name}: {json.dumps(value)}" for name, value in self.sections.items()]
        self.write_policy(self.policy, "\n".join([*lines, self.extra]) + "\n")


class SharedDoor(RunningArchive):
    """The door in front of them. `peer_of` is the address of a partition for MODALITY, through the door."""

    def __init__(self, folder: Path, partitions: Mapping[Partition, Mapping[str, Any]], **sections: Any) -> None:
        folder = folder / "door"
        folder.mkdir()
        super().__init__(folder, "--role", "door", lab=False)
        self.partitions = {partition.name: partition for partition in partitions}
        entries = [
            {"name": partition.name, "settings": str(partition.config), **more}
            for partition, more in partitions.items()
        ]
        whole = {"door": {"look_every": 0.3, "partitions": entries}, **sections}
        self.write_policy([], "\n".join(f"{name}: {json.dumps(value)}" for name, value in whole.items()) + "\n")

    def peer_of(self, partition: Partition, **more: Any) -> Peer:
        return replace(self.peer, called_ae_title=partition.ae_title, calling_ae_title="MODALITY", **more)


def _sections_of(stores: Mapping[str, str]) -> dict[str, Any]:
    """The environment from `tests.support.topology`, as sections of a settings file."""
    settings: dict[str, Any] = {}
    for variable, value in stores.items():
        section, _, name = variable.removeprefix("GANTRY_").lower().partition("__")
        settings.setdefault(section, {})[name] = int(value) if value.isdigit() else value
    return settings
