"""The front door with every role in its own process, on one machine: embedded stores in one folder, and a key shared by
door and roles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex

from gantry.services.roles import Role, dimse_port, http_port
from tests.support.archive import RunningArchive

PARTS: Mapping[str, tuple[Role, ...]] = {
    "ingest": (Role.INGEST,),
    "query": (Role.QUERY,),
    "retrieve": (Role.RETRIEVE,),
    "commitment": (Role.COMMITMENT,),
    "orders": (Role.ORDERS,),
    "indexer": (Role.INDEXER,),
    "mixed": (Role.INGEST, Role.QUERY, Role.RETRIEVE, Role.COMMITMENT, Role.ORDERS),
}


class FrontDoor(RunningArchive):
    """The door, and the processes behind it in `parts`. A test uses it like any other archive."""

    def __init__(
        self,
        folder: Path,
        *,
        lab: bool = False,
        scale: Mapping[str, int] | None = None,
        environment: Mapping[str, str] | None = None,
        door: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` is for the processes behind the door, `door` for the door; `scale` is the number of processes
        of a part."""
        self.key = folder / "door-key"
        self.key.write_text(f"{token_hex(32)}\n")
        shared = {"GANTRY_DOOR__KEY_FILE": str(self.key)}
        super().__init__(folder, "--role", "door", lab=False, environment={**shared, **(door or {})})
        self.log = folder / "door.txt"
        behind = {
            **shared,
            "GANTRY_DIMSE__PROXY_FROM": "[127.0.0.1]",
            "GANTRY_HTTP__PROXY_FROM": "[127.0.0.1]",
            **(environment or {}),
        }
        self.parts = {
            name: [self._part(name, number, lab, behind) for number in range((scale or {}).get(name, 1))]
            for name in PARTS
        }
        for name, processes in self.parts.items():
            if name != "indexer":
                backends = ", ".join(f"127.0.0.1:{process.port}" for process in processes)
                self.environment[f"GANTRY_DOOR__{name.upper()}"] = f"[{backends}]"
        for name in ("ingest", "query", "retrieve", "commitment", "orders"):
            backends = ", ".join(f"127.0.0.1:{process.http_port}" for process in self.parts[name])
            self.environment[f"GANTRY_DOOR__HTTP_{name.upper()}"] = f"[{backends}]"
        self.environment.setdefault("GANTRY_DOOR__LOOK_EVERY", "0.5")

    def _part(self, name: str, number: int, lab: bool, environment: Mapping[str, str]) -> RunningArchive:
        # Two members of a group with the same name would evict each other repeatedly.
        member = environment.get("GANTRY_KAFKA__INSTANCE_ID")
        own = {} if member is None else {"GANTRY_KAFKA__INSTANCE_ID": f"{member}-{name}{number}"}
        process = RunningArchive(self.folder, lab=lab, environment={**environment, **own})
        process.log = self.folder / f"{name}{number}.txt"
        roles = frozenset(PARTS[name])
        # A single role listens at an offset from the given port; of an option given twice the later one applies.
        beside = dimse_port(roles, 1) - 1, http_port(roles, 1) - 1
        process.arguments += [
            "--dimse-port",
            str(process.port - beside[0]),
            "--http-port",
            str(process.http_port - beside[1]),
        ]
        process.arguments += [word for role in roles for word in ("--role", role.value)]
        return process

    def start(self, *, ready: bool = True, failpoints: str = "", env: dict[str, str] | None = None) -> FrontDoor:
        everyone = [process for processes in self.parts.values() for process in processes]
        for process in everyone:
            process.start(ready=False)
        for process in everyone:
            process.wait_ready()
        super().start(ready=ready, failpoints=failpoints, env=env)
        return self

    def stop(self, seconds: float = 20.0) -> int:
        codes = [super().stop(seconds)]
        codes += [process.stop(seconds) for processes in self.parts.values() for process in processes]
        return max(codes)

    def passed_on(self) -> dict[str, float]:
        """Associations that the door has forwarded so far, by pool."""
        lines = re.findall(r'^gantry_door_associations_total{.*pool="(\w+)".*} (\S+)$', self.http("/metrics")[1], re.M)
        return {pool: float(count) for pool, count in lines}

    def lines(self, name: str, word: str) -> list[str]:
        """The log lines of a part that contain a word."""
        return [line for process in self.parts[name] for line in process.log.read_text().splitlines() if word in line]
