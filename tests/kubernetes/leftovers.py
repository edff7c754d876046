"""What a node leaves on this machine, and how it goes: processes, containers, rules of the network, its folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.support.archive import ROOT
from tests.support.parts import parts, version_of

PODS, SERVICES, DNS = "10.187.0.0/16", "10.188.0.0/16", "10.187.255.53"
"""Networks of this node alone; DNS is an address of the loopback interface, which pods reach as they reach others."""
MARK = "gantry-node-"
"""How the name of its folder begins."""
FORWARD = [
    ["-s", PODS, "-d", PODS, "-j", "ACCEPT"],
    ["-s", PODS, "-m", "conntrack", "--ctstate", "NEW", "-j", "NFQUEUE", "--queue-num", "100"],
]
"""Each stands before the one above it."""


def programs() -> Path:
    """The folder of Kubernetes' programs, built where they are not there. Raises `Unavailable`."""
    parts("kubernetes")
    return programs_here() or Path("/nonexistent")


def programs_here() -> Path | None:
    """The same if they are there already."""
    script = ROOT / "deploy" / "images" / "artefacts.sh"
    name = subprocess.run(["sh", str(script), "--kubernetes-name"], capture_output=True, text=True, check=True)
    folder = Path(version_of("CACHE")) / name.stdout.strip()
    return folder if folder.is_dir() else None


def remove_abandoned() -> None:
    """End what a session has left that was killed: its processes by their ids, and what they made."""
    for folder in Path(tempfile.gettempdir()).glob(f"{MARK}*"):
        with suppress(OSError, ValueError):
            known = json.loads((folder / "pids.json").read_text())
            if command_of(known["owner"]):
                continue
            for pid in known["pids"].values():
                if str(folder) in command_of(pid):
                    os.kill(pid, signal.SIGKILL)
        socket = folder / "run" / "containerd.sock"
        _kill_shims(socket)
        clean_network(folder, str((programs_here() or Path("/nonexistent")) / "kube-proxy"))
        remove_folder(folder)


def command_of(pid: int) -> str:
    """The command line of a process, "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def _kill_shims(socket: Path) -> None:
    """The shims of a containerd that is gone; the containers' processes end with their namespaces."""
    for entry in Path("/proc").glob("[0-9]*"):
        if f"-address {socket} " in command_of(int(entry.name)) + " ":
            with suppress(OSError):
                for task in entry.glob("task/*/children"):
                    for child in task.read_text().split():
                        os.kill(int(child), signal.SIGKILL)
                os.kill(int(entry.name), signal.SIGKILL)


def remove_containers(ctr: list[str]) -> None:
    """Kill and remove all containers; `ctr` is the command with its address."""

    def listed(kind: str) -> list[str]:
        return subprocess.run([*ctr, kind, "list", "-q"], capture_output=True, text=True, check=False).stdout.split()

    for name in listed("tasks"):
        subprocess.run([*ctr, "tasks", "kill", "-s", "SIGKILL", name], capture_output=True, check=False)
    deadline = time.monotonic() + 20
    while (tasks := listed("tasks")) and time.monotonic() < deadline:
        for name in tasks:
            subprocess.run([*ctr, "tasks", "rm", "-f", name], capture_output=True, check=False)
        time.sleep(0.2)
    for name in listed("containers"):
        subprocess.run([*ctr, "containers", "rm", name], capture_output=True, check=False)


def clean_network(folder: Path, kube_proxy: str) -> None:
    """Take back the rules, addresses and namespaces that the node of this folder has made."""
    if Path(kube_proxy).exists():
        subprocess.run([kube_proxy, "--cleanup"], capture_output=True, check=False, timeout=60)
    for rule in FORWARD:
        subprocess.run(["iptables", "-w", "-D", "FORWARD", *rule], capture_output=True, check=False)
    for table in ("mangle", "nat", "filter"):  # what the kubelet made, and nobody else's
        rules = subprocess.run(
            ["iptables", "-w", "-t", table, "-S"], capture_output=True, text=True, check=False
        ).stdout
        lines = [line.split() for line in rules.splitlines()]
        made = [line[1] for line in lines if line[0] == "-N" and line[1].startswith("KUBE-")]
        for line in lines:
            if line[0] == "-A" and line[1] not in made and any(word in made for word in line):
                subprocess.run(["sh", "-c", f"iptables -w -t {table} -D {' '.join(line[1:])}"], check=False)
        for flag in ("-F", "-X"):
            for chain in made:
                subprocess.run(["iptables", "-w", "-t", table, flag, chain], capture_output=True, check=False)
    # kube-proxy sets it for NodePorts on 127.0.0.1.
    subprocess.run(["sysctl", "-qw", "net.ipv4.conf.all.route_localnet=0"], capture_output=True, check=False)
    subprocess.run(["ip", "address", "del", f"{DNS}/32", "dev", "lo"], capture_output=True, check=False)
    results = Path("/var/lib/cni/results")
    for path in results.glob(f"{folder.name}-*"):
        with suppress(OSError, ValueError, KeyError):
            for interface in json.loads(path.read_text())["result"]["interfaces"]:
                if name := str(interface.get("sandbox", "")).removeprefix("/var/run/netns/"):
                    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
        path.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """Unmount what is mounted in it, and remove it."""
    mounted = [
        line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if str(folder) in line.split()[1]
    ]
    for place in reversed(mounted):
        subprocess.run(["umount", "-l", place], capture_output=True, check=False)
    for controller in Path("/sys/fs/cgroup").glob("*/kubepods"):
        for group in sorted([controller, *(p for p in controller.rglob("*") if p.is_dir())], reverse=True):
            with suppress(OSError):
                group.rmdir()
    _retry(lambda: shutil.rmtree(folder))


def _retry(call: Callable[[], object]) -> None:
    for _ in range(20):
        try:
            call()
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.5)
