"""Gantry on the node: its stores, the chart's release, and the ways to it from this machine."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

from gantry.common.net import Peer
from tests.kubernetes.node import Node
from tests.support.answering import wait_for
from tests.support.archive import ROOT
from tests.support.parts import version_of
from tests.support.ports import free_port
from tests.support.servers import required

CHART = ROOT / "deploy" / "helm" / "gantry"
VALUES = ROOT / "tests" / "kubernetes" / "values.yaml"
NAMESPACE, RELEASE = "gantry", "gantry"
ROLES = ("door", "ingest", "indexer", "query", "retrieve", "commitment", "orders", "mixed")
DCMTK = "gantry-test-dcmtk:bookworm"
_SECRET_KEY = "of-this-test-alone"


class Site:
    """The release on a node. Its namespace admits restricted pods only."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.image = ""

    def prepare(self) -> None:
        """Images, stores and namespaces."""
        self.image = required("gantry").address
        images = {name: version_of(f"{name.upper()}_IMAGE") for name in ("kafka", "s3", "opensearch")}
        make_debian_image(DCMTK, "dcmtk")
        self.node.make_pause_image()
        self.node.load(self.node.pause_image, self.image, DCMTK, *images.values())
        started = time.monotonic()
        text = (ROOT / "tests" / "kubernetes" / "stores.yaml").read_text()
        for name, value in {**images, "dcmtk": DCMTK, "secret_key": _SECRET_KEY}.items():
            text = text.replace(f'"{{{name}}}"', f'"{value}"')
        self.node.kubectl("apply", "-f", "-", text=text)
        self.node.kubectl("create", "namespace", NAMESPACE)
        self.node.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        self.kubectl(
            *("create", "secret", "generic", "gantry-s3"),
            *("--from-literal=access-key=gantry", f"--from-literal=secret-key={_SECRET_KEY}"),
        )
        self.kubectl("create", "secret", "generic", "gantry-door", f"--from-literal=door-key={token_hex(32)}")
        self.node.kubectl(
            *("-n", "stores", "wait", "deployment", "--all", "--for=condition=Available", "--timeout=240s"),
            seconds=260,
        )
        self.node.kubectl("-n", "peers", "wait", "pod", "--all", "--for=condition=Ready", "--timeout=60s")
        self.node.times["stores ready"] = time.monotonic() - started

    def install(self, *more: str) -> None:
        """`helm install`, and wait until every pod is ready."""
        repository, _, tag = self.image.partition(":")
        started = time.monotonic()
        self.node.helm(
            *("-n", NAMESPACE, "upgrade", "--install", RELEASE, str(CHART), "-f", str(VALUES)),
            *("--set", f"image.repository={repository},image.tag={tag}", "--wait", "--timeout", "5m", *more),
        )
        self.node.times.setdefault("roles ready", time.monotonic() - started)

    def upgrade(self, *arguments: str) -> None:
        """`helm upgrade` with values changed, until it is done; raises where it does not come to that."""
        command = ("-n", NAMESPACE, "upgrade", RELEASE, str(CHART), "--reuse-values", "--wait", "--timeout", "5m")
        self.node.helm(*command, *arguments)

    # ---- what is there

    def kubectl(self, *arguments: str, text: str | None = None, seconds: float = 120.0) -> str:
        """`kubectl` in the release's namespace."""
        return self.node.kubectl("-n", NAMESPACE, *arguments, text=text, seconds=seconds)

    def pods(self, role: str = "") -> list[dict[str, Any]]:
        """The pods of a role, or of all of them."""
        selector = f"app.kubernetes.io/instance={RELEASE}"
        return self.node.get(
            "pods", NAMESPACE, "-l", f"{selector},app.kubernetes.io/component={role}" if role else selector
        )

    def workload(self, role: str) -> str:
        """What kubectl calls a role's workload."""
        kind = "statefulset" if role in ("indexer", "commitment", "mixed") else "deployment"
        return f"{kind}/{RELEASE}-{role}"

    def wait_rolled_out(self, *roles: str, seconds: float = 240.0) -> None:
        """Return when the roles are what their workloads say, and ready."""
        for role in roles:
            self.kubectl("rollout", "status", self.workload(role), f"--timeout={seconds:g}s", seconds=seconds + 20)

    def uids(self, *roles: str) -> set[str]:
        """The roles' pods, those too that are ending."""
        return {
            pod["metadata"]["uid"]
            for pod in self.pods()
            if pod["metadata"]["labels"]["app.kubernetes.io/component"] in roles
        }

    def wait_gone(self, pods: set[str], seconds: float = 90.0) -> None:
        """Return when none of these pods is there any more."""
        wait_for(lambda: not pods & self.uids(*ROLES), seconds, "the end of the pods before")

    def logs(self, pod: str, *arguments: str) -> str:
        """What a pod has logged."""
        return self.kubectl("logs", pod, *arguments)

    def show(self) -> None:
        """What a person looks at first when something is wrong."""
        print(f"of the node's programs these have ended: {self.node.ended()}")
        print(self.node.try_kubectl("get", "pods", "-A", "-o", "wide").stdout)
        for pod in self.pods():
            name = pod["metadata"]["name"]
            print(f"---- {name}", self.node.try_kubectl("-n", NAMESPACE, "logs", name, "--tail=12").stdout, sep="\n")

    # ---- ways to it

    @property
    def node_port(self) -> int:
        """The door's port on 127.0.0.1."""
        (port,) = json.loads(self.kubectl("get", "service", RELEASE, "-o", "json"))["spec"]["ports"]
        return int(port["nodePort"])

    @property
    def peer(self) -> Peer:
        """The door as MODALITY calls it through the Service: whichever pod takes the connection."""
        return Peer("127.0.0.1", self.node_port, "GANTRY", "MODALITY")

    @contextmanager
    def forwarded(self, target: str = f"service/{RELEASE}", port: int = 11112) -> Iterator[int]:
        """`kubectl port-forward` to one pod; the port on 127.0.0.1."""
        local = free_port()
        command = [str(self.node.programs / "kubectl"), "-n", NAMESPACE, "port-forward", target, f"{local}:{port}"]
        process = subprocess.Popen(
            command,
            env={"KUBECONFIG": str(self.node.kubeconfig), "HOME": str(self.node.folder), "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Forwarding from 127.0.0.1"), line
            yield local
        finally:
            process.terminate()
            process.wait(10)

    def destination_received(self, folder: Path) -> dict[str, Path]:
        """What the C-MOVE destination has written, by SOP Instance UID."""
        command = "tar -c -C /received . | base64 -w0"
        text = self.node.kubectl("-n", "peers", "exec", "dest", "--", "sh", "-c", command)
        folder.mkdir()
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode(text))) as archive:
            archive.extractall(folder, filter="data")
        return {path.name.split(".", 1)[1]: path for path in folder.iterdir() if path.is_file()}

    def run_job(self, name: str, seconds: float = 180.0) -> str:
        """Run one of the chart's jobs that stand ready; what it printed. It must succeed."""
        return self.finish_job(self.begin_job(name), seconds)

    def begin_job(self, name: str) -> str:
        """Start one of them; what kubectl calls it."""
        job = f"{name}-{token_hex(3)}"
        self.kubectl("create", "job", f"--from=cronjob/{RELEASE}-{name}", job)
        return job

    def finish_job(self, job: str, seconds: float = 180.0) -> str:
        """Wait for its end, which must be success; what it printed."""

        def ended() -> bool:
            status = json.loads(self.kubectl("get", "job", job, "-o", "json"))["status"]
            return any(
                c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in status.get("conditions", [])
            )

        wait_for(ended, seconds, f"the job {job}")
        output = self.node.try_kubectl("-n", NAMESPACE, "logs", f"job/{job}").stdout
        status = json.loads(self.kubectl("get", "job", job, "-o", "json"))["status"]
        assert status.get("succeeded") == 1, output
        return output


def make_debian_image(name: str, package: str) -> None:
    """An image of Debian with one package more."""
    base = version_of("BASE_IMAGE")
    text = (
        f"FROM {base}\nRUN apt-get update -qq && "
        f"apt-get install -y -qq --no-install-recommends {package} >/dev/null && "
        "rm -rf /var/lib/apt/lists/*\n"
    )
    subprocess.run(
        ["docker", "build", "-q", "--network", "host", "-t", name, "-"],
        input=text.encode(),
        check=True,
        capture_output=True,
    )
