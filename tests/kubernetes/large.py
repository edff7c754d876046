"""A release of a thousand pods on simulated nodes, beside the running one."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.kubernetes import fake_nodes
from tests.kubernetes.node import Node
from tests.kubernetes.site import CHART, VALUES

LARGE = "large"
REPLICAS = {
    "door": 20,
    "ingest": 330,
    "indexer": 24,
    "query": 250,
    "retrieve": 340,
    "commitment": 12,
    "orders": 12,
    "mixed": 12,
}
DEPLOYMENTS = ("door", "ingest", "query", "retrieve", "orders")


class Large:
    """What the API server knows of it."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def helm(self, *more: str) -> None:
        """Install or upgrade it; returns when the API server has taken all of it."""
        numbers = {role: {"replicas": number, "resources": _RESOURCES} for role, number in REPLICAS.items()}
        self.node.helm(
            *("-n", LARGE, "upgrade", "--install", "gantry", str(CHART), "-f", str(VALUES), "--create-namespace"),
            *("--set-json", f"roles={json.dumps(numbers)}", "--set", "door.service.type=ClusterIP"),
            *("--set-json", f"defaults.nodeSelector={json.dumps(fake_nodes.LABEL)}"),
            *("--set-json", f"defaults.tolerations={json.dumps([{**fake_nodes.TAINT, 'operator': 'Equal'}])}"),
            *more,
        )

    def kubectl(self, *arguments: str, seconds: float = 120.0) -> str:
        """`kubectl` in its namespace."""
        return self.node.kubectl("-n", LARGE, *arguments, seconds=seconds)

    def status(self) -> dict[str, dict[str, int]]:
        """What the controllers say of each role: `replicas`, `availableReplicas`, `updatedReplicas` …"""
        items = json.loads(self.kubectl("get", "deployments,statefulsets", "-o", "json"))["items"]
        return {resource["metadata"]["labels"]["app.kubernetes.io/component"]: _state(resource) for resource in items}

    def is_whole(self, *roles: str) -> bool:
        """Whether the roles have all their pods, of the newest kind, available, and no others."""
        status = self.status()
        return all(_is_whole(status[role], REPLICAS[role]) for role in roles or REPLICAS)

    def places(self) -> list[tuple[str, str]]:
        """The role and the node of each pod that is not ending; the node is "" where it has none yet."""
        role, ending = ".metadata.labels.app\\.kubernetes\\.io/component", ".metadata.deletionTimestamp"
        columns = f"custom-columns=R:{role},N:.spec.nodeName,D:{ending}"
        rows = [line.split() for line in self.kubectl("get", "pods", "-o", columns, "--no-headers").splitlines()]
        return [(role, "" if node == "<none>" else node) for role, node, ending in rows if ending == "<none>"]

    def skew(self) -> dict[str, int]:
        """By how many pods of a role the zone with most is ahead of that with least."""
        zones: dict[str, Counter[str]] = defaultdict(Counter)
        for role, node in self.places():
            zones[role][node.removeprefix("fake-")[:1]] += 1
        return {role: max(counts.values()) - min(counts[z] for z in fake_nodes.ZONES) for role, counts in zones.items()}

    def budgets(self) -> dict[str, tuple[int, int]]:
        """How many pods of each role are healthy, and how many its budget wants at least."""
        items = json.loads(self.kubectl("get", "poddisruptionbudgets", "-o", "json"))["items"]
        statuses = {
            resource["metadata"]["labels"]["app.kubernetes.io/component"]: resource["status"] for resource in items
        }
        return {role: (int(s["currentHealthy"]), int(s["desiredHealthy"])) for role, s in statuses.items()}

    def slices(self, role: str) -> tuple[int, int, int]:
        """How many EndpointSlices the role's Service has, their addresses, and their bytes as JSON."""
        label = f"kubernetes.io/service-name=gantry-{role}"
        items = json.loads(self.kubectl("get", "endpointslices", "-l", label, "-o", "json"))["items"]
        addresses = {a for resource in items for endpoint in resource["endpoints"] for a in endpoint["addresses"]}
        return len(items), len(addresses), sum(len(json.dumps(resource, separators=(",", ":"))) for resource in items)


@contextmanager
def timed(words: str) -> Iterator[None]:
    """Prints how long it took."""
    started = time.monotonic()
    yield
    print(f"{words}: {time.monotonic() - started:.0f} s", flush=True)


_RESOURCES = {"requests": {"cpu": "200m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}


def _state(workload: dict[str, Any]) -> dict[str, int]:
    status = workload["status"]
    seen = int(status.get("observedGeneration", 0) >= workload["metadata"]["generation"])
    return {"seen": seen, **{key: number for key, number in status.items() if isinstance(number, int)}}


def _is_whole(status: dict[str, int], wanted: int) -> bool:
    counts = {status.get(key, 0) for key in ("replicas", "availableReplicas", "updatedReplicas")}
    return bool(status["seen"]) and counts == {wanted}
