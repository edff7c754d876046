"""The metrics server on the node, a program beside the kubelet: what HorizontalPodAutoscalers by CPU go by.

Built from its module by `deploy/images/artefacts.sh metrics`.
"""

from __future__ import annotations

from tests.kubernetes.api_group import serve_group
from tests.kubernetes.leftovers import DNS
from tests.kubernetes.node import Node
from tests.support.parts import part, parts
from tests.support.ports import free_port


def begin(node: Node) -> None:
    """Start it; returns when the API server has its group. Raises `Unavailable` where it cannot be built."""
    parts("metrics")
    config, port = str(node.kubeconfig), free_port()
    node.run_beside(
        "metrics-server",
        *(str(part("metrics-server", "METRICS_SERVER") / "metrics-server"), "--kubeconfig", config),
        *("--bind-address", DNS, "--secure-port", str(port), "--cert-dir", str(node.folder / "metrics-server")),
        *("--authentication-kubeconfig", config, "--authorization-kubeconfig", config),
        *("--kubelet-preferred-address-types", "Hostname", "--kubelet-use-node-status-port"),
        # The kubelet of the tests has signed its certificate itself.
        *("--kubelet-insecure-tls", "--kubelet-request-timeout", "8s", "--metric-resolution", "10s"),
    )
    serve_group(node, "metrics-server", "kube-system", "metrics.k8s.io/v1beta1", port)
