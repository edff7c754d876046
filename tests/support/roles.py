"""An archive as in a cluster: every role in its own process."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gantry.common.net import Peer
from gantry.services.roles import Role, dimse_port, http_port
from tests.support.archive import RunningArchive
from tests.support.ports import free_port


class RunningRoles:
    """One process of each role, but two of the indexer; and `asker`, which searches and retrieves in one process, to
    examine the content whatever is done to the others."""

    def __init__(self, folder: Path, environment: Mapping[str, str], settings: str = "") -> None:
        self._configured: dict[str, tuple[int, int]] = {}
        self.processes: dict[str, RunningArchive] = {}
        names = {"indexer-2": Role.INDEXER, **{role.value: role for role in Role if _is_service(role)}}
        for name, role in names.items():
            self._add(folder, name, environment, settings, "--role", role.value)
        self.asker = self._add(folder, "asker", environment, settings, "--role", "query", "--role", "retrieve")

    def _add(
        self, folder: Path, name: str, environment: Mapping[str, str], settings: str, *arguments: str
    ) -> RunningArchive:
        own = folder / name
        own.mkdir(parents=True)
        identity = f"{environment.get('GANTRY_KAFKA__INSTANCE_ID', 'gantry')}-{name}"
        archive = RunningArchive(own, *arguments, environment={**environment, "GANTRY_KAFKA__INSTANCE_ID": identity})
        archive.port, archive.http_port = free_port(6), free_port(7)
        archive.write_policy([], settings)
        self.processes[name] = archive
        self._configured[name] = archive.port, archive.http_port
        return archive

    def peer(self, role: Role) -> Peer:
        """The address of a role."""
        archive = self.processes[role.value]
        return replace(archive.peer, port=dimse_port(frozenset({role}), self._configured[role.value][0]))

    def start(self, *names: str, ready: bool = True) -> None:
        """Start the named processes, or all of them, at the same time."""
        chosen = names or tuple(self.processes)
        for name in chosen:
            archive = self.processes[name]
            archive.port, archive.http_port = self._configured[name]
            archive.start(ready=False)
            if name != "asker":
                role = Role(name.partition("-")[0])
                archive.http_port = http_port(frozenset({role}), archive.http_port)
        if ready:
            for name in chosen:
                self.processes[name].wait_ready(60.0)

    def pause(self, name: str) -> None:
        self._signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self._signal(name, signal.SIGCONT)

    def kill(self, name: str) -> None:
        self.processes[name].kill()

    def stop(self, name: str) -> int:
        """Send SIGTERM; returns the exit code."""
        return self.processes[name].stop(40.0)

    def end(self) -> None:
        """End all processes, whatever state they are in."""
        for archive in self.processes.values():
            archive.kill()

    def logs(self) -> str:
        """The last lines of every process."""
        tails = []
        for name, archive in self.processes.items():
            lines = archive.log.read_text().splitlines()[-15:] if archive.log.exists() else []
            tails.append("\n".join([f"--- {name}", *lines]))
        return "\n".join(tails)

    def _signal(self, name: str, number: signal.Signals) -> None:
        process = self.processes[name].process
        assert process is not None
        os.kill(process.pid, number)


def _is_service(role: Role) -> bool:
    """Whether a role is a service, not one in front of the services."""
    return role.value in ("ingest", "indexer", "query", "retrieve", "commitment", "orders")
