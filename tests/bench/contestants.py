"""The archives that are measured: each is started on a free port with a folder of its own, watched through /proc, ended
by pid."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

ROOT = Path(__file__).parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Usage:
    """Processor seconds and peak resident bytes of a server and its children."""

    cpu: float
    peak: int


def _kilobytes(text: str, field: str) -> int:
    """A number of /proc/PID/status or smaps_rollup; 0 where it is not told."""
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{field}:")), 0)


class Contestant:
    """One server while it runs."""

    def __init__(self, name: str, port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.name = name
        self.port = port
        self.http_port = 0
        self.process = process
        self.folder = folder

    def usage(self) -> Usage:
        cpu, peak = 0.0, 0
        for pid in _family(self.process.pid):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                status = Path(f"/proc/{pid}/status").read_text()
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            # utime, stime, and those of children that were waited for.
            cpu += sum(map(int, fields[11:15])) / _TICKS
            # What is shared with others (libraries, mostly) is counted by its share, as it is now.
            peak += _kilobytes(status, "VmHWM") - _kilobytes(rollup, "Rss") + _kilobytes(rollup, "Pss")
        return Usage(cpu, peak * 1024)

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Return when it says that it is ready, all of its processes."""
        deadline = time.monotonic() + seconds
        while not self.told("/readyz"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} is not ready")
            time.sleep(0.05)

    def told(self, path: str) -> str:
        """What its HTTP port answers with status 200, "" otherwise."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=5) as response:
                return str(response.read().decode())
        except OSError:
            return ""

    def end(self) -> None:
        """The process ends; what it stored stays."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def stop(self) -> None:
        """The process ends; what it stored makes room for the next one, and goes when the run has ended
        (`tests.bench.machine`)."""
        self.end()
        self.folder.rename(self.folder.with_name(f"{self.folder.name}-{uuid4().hex}"))


def _family(pid: int) -> list[int]:
    processes = [pid]
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return processes
    for child in children:
        processes += _family(int(child))
    return processes


def _launch(
    name: str, folder: Path, command: Callable[[int], list[str]], more: Mapping[str, str] | None = None
) -> Contestant:
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TCP_NODELAY": "1", **(more or {})}
    process = subprocess.Popen(
        command(port),
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{name} did not start")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    time.sleep(0.3)
    return Contestant(name, port, process, folder)


def gantry(
    folder: Path,
    *arguments: str,
    destination_port: int = 0,
    name: str = "gantry",
    environment: Mapping[str, str] | None = None,
    offset: int = 0,
    proxies: str = "",
    settings: str = "",
) -> Contestant:
    """Everything on: objects fsync'd, events committed, indexed. `environment` names other stores; a role alone listens
    `offset` ports above what it is told (`gantry.services.roles`); `settings` are more lines of its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "gantry.yaml"
    peer = f"  - {{ae_title: DEST, host: 127.0.0.1, port: {destination_port}, move_destination: true}}\n"
    config.write_text(("peers:\n" + peer if destination_port else "peers: []\n") + settings)
    http = free_port()
    contestant = _launch(
        name,
        folder,
        lambda port: [
            *("env", f"GANTRY_DIMSE__PROXY_FROM=[{proxies}]"),
            *(sys.executable, "-m", "gantry", "serve", "--lab", "--config", str(config)),
            *("--data", str(folder / "data"), "--dimse-port", str(port - offset), "--http-port", str(http - offset)),
            *arguments,
        ],
        environment,
    )
    contestant.http_port = http
    contestant.wait_ready()
    return contestant


def gantry_engine(folder: Path, *proxies: str, keep: bool = True) -> Contestant:
    """Our engine alone: bytes to files, no fsync, no event; or nowhere."""
    target = str(folder) if keep else os.devnull
    return _launch(
        "gantry engine",
        folder,
        lambda port: [sys.executable, "-m", "tests.bench.engine", str(port), target, *proxies],
    )


class Behind(Contestant):
    """The door before another contestant; the usage is the door's alone."""

    def __init__(self, backend: Contestant) -> None:
        folder = backend.folder.with_name(f"{backend.folder.name}-door")
        folder.mkdir(parents=True, exist_ok=True)
        self._backend = backend
        http = free_port()
        door = _launch(
            f"{backend.name} through the door",
            folder,
            lambda port: [
                *("env", f"GANTRY_DOOR__MIXED=[127.0.0.1:{backend.port}]", sys.executable, "-m", "gantry", "serve"),
                *("--role", "door", "--dimse-port", str(port), "--http-port", str(http)),
            ],
        )
        super().__init__(door.name, door.port, door.process, folder)

    def stop(self) -> None:
        super().stop()
        self._backend.stop()


def storescp(folder: Path, *, fork: bool) -> Contestant:
    options = ["--fork"] if fork else []
    name = "storescp --fork" if fork else "storescp"
    return _launch(name, folder, lambda port: ["storescp", *options, "-aet", "GANTRY", "-od", str(folder), str(port)])


def pynetdicom_storescp(folder: Path) -> Contestant:
    return _launch(
        "pynetdicom storescp",
        folder,
        lambda port: [sys.executable, "-m", "pynetdicom", "storescp", str(port), "-od", str(folder), "-q"],
    )


def orthanc(folder: Path, *, sync: bool, destination_port: int = 0, web: str = "") -> Contestant:
    """`web` is the DICOMweb plugin, where it is to speak that too."""
    folder.mkdir(parents=True, exist_ok=True)
    http = free_port() if web else 0

    def command(port: int) -> list[str]:
        config = {
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "HttpServerEnabled": bool(web),
            "HttpPort": http or 8042,
            "AuthenticationEnabled": False,
            "Plugins": [web] if web else [],
            "DicomWeb": {"Enable": True},
            "DicomAet": "GANTRY",
            "DicomPort": port,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True,
            "DicomAlwaysAllowMove": True,
            "SyncStorageArea": sync,
            "OverwriteInstances": True,
            "DicomModalities": {"dest": ["DEST", "127.0.0.1", destination_port or 1]},
        }
        (folder / "orthanc.json").write_text(json.dumps(config))
        return ["Orthanc", str(folder / "orthanc.json")]

    contestant = _launch("Orthanc" if sync else "Orthanc without sync", folder, command)
    contestant.http_port = http
    return contestant


def dcmqrscp(folder: Path, *, destination_port: int = 0) -> Contestant:
    storage = folder / "storage"
    storage.mkdir(parents=True, exist_ok=True)

    def command(port: int) -> list[str]:
        config = folder / "dcmqrscp.cfg"
        config.write_text(
            f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 32\n"
            f"HostTable BEGIN\ndest = (DEST, 127.0.0.1, {destination_port or 1})\nHostTable END\n"
            f"VendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\nGANTRY {storage} RW (20000, 10gb) ANY\nAETable END\n"
        )
        return ["dcmqrscp", "-c", str(config)]

    return _launch("dcmqrscp", folder, command)
