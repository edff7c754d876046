"""kwok beside the kubelet: nodes and pods that the API server and its controllers believe in, and that run nothing.

Built from its module by `deploy/images/artefacts.sh kwok`. A pod is ready 6 to 9 seconds after it was given a node, and
gone 3 to 4.5 after it was told to end, as was measured of real ones.
"""

from __future__ import annotations

import json
from typing import Any

from tests.kubernetes.node import Node
from tests.support.answering import wait_for
from tests.support.parts import part, parts

ZONES = ("a", "b", "c")
TAINT = {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}
LABEL = {"type": "kwok"}
_READY_SECONDS, _ENDING_SECONDS = 6.0, 3.0


def begin(node: Node, a_zone: int) -> None:
    """So many nodes in each of three zones; returns when they are ready. Raises `Unavailable` where kwok cannot be
    built."""
    parts("kwok")
    stages = node.folder / "kwok.yaml"
    stages.write_text("\n---\n".join(json.dumps(stage) for stage in (_ready_stage(), _ending_stage())))
    node.run_beside(
        "kwok",
        *(str(part("kwok", "KWOK") / "kwok"), "--kubeconfig", str(node.kubeconfig), "--config", str(stages)),
        *("--manage-all-nodes=false", "--manage-nodes-with-annotation-selector", "kwok.x-k8s.io/node=fake"),
        *("--node-lease-duration-seconds", "40", "--cidr", "10.189.0.1/16"),
    )
    items = [_node(zone, number) for zone in ZONES for number in range(a_zone)]
    node.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    def are_ready() -> bool:
        text = node.kubectl("get", "nodes", "-l", "type=kwok", "-o", "json")
        conditions = [c for manifest in json.loads(text)["items"] for c in manifest["status"].get("conditions", [])]
        ready = [c for c in conditions if c["type"] == "Ready" and c["status"] == "True"]
        return len(ready) == len(items)

    wait_for(are_ready, 120, "nodes that are none")


def _node(zone: str, number: int) -> dict[str, Any]:
    name = f"fake-{zone}{number}"
    room = {"cpu": "64", "memory": "256Gi", "pods": "110"}
    labels = {**LABEL, "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone, "kubernetes.io/os": "linux"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"taints": [TAINT]},
        "status": {"allocatable": room, "capacity": room},
    }


def _stage(name: str, seconds: float, matches: list[dict[str, Any]], then: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {"matchExpressions": matches},
            "delay": {"durationMilliseconds": int(seconds * 1000), "jitterDurationMilliseconds": int(seconds * 1500)},
            "next": then,
        },
    }


def _ready_stage() -> dict[str, Any]:
    ending, address = ".metadata.deletionTimestamp", ".status.podIP"
    matches = [{"key": ending, "operator": "DoesNotExist"}, {"key": address, "operator": "DoesNotExist"}]
    return _stage("pod-ready", _READY_SECONDS, matches, {"statusTemplate": _STATUS})


def _ending_stage() -> dict[str, Any]:
    matches = [{"key": ".metadata.deletionTimestamp", "operator": "Exists"}]
    return _stage("pod-delete", _ENDING_SECONDS, matches, {"finalizers": {"empty": True}, "delete": True})


_STATUS = """{{ $now := Now }}
conditions:
{{ range $type := list "Initialized" "Ready" "ContainersReady" }}
- {lastTransitionTime: {{ $now | Quote }}, status: "True", type: {{ $type }}}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: true
  started: true
  restartCount: 0
  state: {running: {startedAt: {{ $now | Quote }}}}
{{ end }}
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ PodIPWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace | Quote }}
phase: Running
startTime: {{ $now | Quote }}
"""
