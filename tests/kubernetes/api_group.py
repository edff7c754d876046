"""A group of the API that a program beside the kubelet serves, as metrics servers do: a Service without a selector, and
the program's address."""

from __future__ import annotations

import json

from tests.kubernetes.leftovers import DNS
from tests.kubernetes.node import Node
from tests.support.answering import wait_for


def serve_group(node: Node, name: str, namespace: str, group: str, port: int) -> None:
    """Lead the API server to who serves a group (`metrics.k8s.io/v1beta1`) at a port of DNS's address; returns when it
    is there."""
    node.kubectl(
        "apply",
        "-f",
        "-",
        text=json.dumps({"apiVersion": "v1", "kind": "List", "items": _api(name, namespace, group, port)}),
    )

    def served() -> bool:
        return node.try_kubectl("get", "--raw", f"/apis/{group}").returncode == 0

    wait_for(served, 90, f"the API of {name}")


def _api(name: str, namespace: str, group: str, port: int) -> list[dict[str, object]]:
    service = {"name": name, "namespace": namespace}
    called, _, version = group.partition("/")
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": service,
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": port}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**service, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [DNS], "conditions": {"ready": True}}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{version}.{called}"},
            "spec": {
                "service": service,
                "group": called,
                "version": version,
                "insecureSkipTLSVerify": True,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
            },
        },
    ]
