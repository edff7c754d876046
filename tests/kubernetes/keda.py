"""KEDA on the node: its operator, its server of metrics and its admission webhooks as programs beside the kubelet,
looking names up as pods do.

Built from its own sources by `deploy/images/artefacts.sh keda`.
"""

from __future__ import annotations

import base64
import json
import socket
from contextlib import closing
from pathlib import Path

from tests.kubernetes.api_group import serve_group
from tests.kubernetes.leftovers import DNS
from tests.kubernetes.node import Node
from tests.support.answering import wait_for
from tests.support.parts import parts, version_of
from tests.support.ports import free_port

_NAMESPACE = "keda"


def begin(node: Node) -> None:
    """KEDA's kinds, its operator, and the API of external metrics; returns when the API server has it. Raises
    `Unavailable` where it cannot be built."""
    parts("keda")
    programs = Path(version_of("CACHE")) / f"keda-{version_of('KEDA')}"
    for file in sorted((programs / "kinds").glob("*.yaml")):
        # The description of one of them is longer than what `apply` may note of it.
        node.kubectl("apply", "--server-side", "-f", str(file))
    node.kubectl("create", "namespace", _NAMESPACE)
    certificates = _certificates(node)
    grpc, secure = free_port(), free_port()
    # Where they ask who they are among their likes.
    namespaces = (f"{name}={_NAMESPACE}" for name in ("POD_NAMESPACE", "KEDA_CLUSTER_OBJECT_NAMESPACE"))
    names = ("env", *namespaces, "WATCH_NAMESPACE=")
    node.run_beside(
        "keda",
        *(*names, str(programs / "operator"), "--cert-dir", str(certificates)),
        *("--metrics-bind-address", f"127.0.0.1:{free_port()}"),
        *("--health-probe-bind-address", f"127.0.0.1:{free_port()}"),
        *("--metrics-service-bind-address", f"127.0.0.1:{grpc}"),
    )
    config = str(node.kubeconfig)
    node.run_beside(
        "keda-metrics",
        *(*names, str(programs / "adapter"), "--bind-address", DNS, "--secure-port", str(secure)),
        *("--port", str(free_port()), "--metrics-service-address", f"localhost:{grpc}"),
        *("--tls-cert-file", str(certificates / "tls.crt"), "--tls-private-key-file", str(certificates / "tls.key")),
        *("--cert-dir", str(certificates), "--lister-kubeconfig", config),
        *("--authentication-kubeconfig", config, "--authorization-kubeconfig", config),
    )
    serve_group(node, "keda-metrics-apiserver", _NAMESPACE, "external.metrics.k8s.io/v1beta1", secure)
    _begin_webhooks(node, programs, certificates, names)


def _begin_webhooks(node: Node, programs: Path, certificates: Path, names: tuple[str, ...]) -> None:
    """What the API server asks before it takes a ScaledObject; without an answer it takes none."""
    port, health = free_port(), free_port()
    node.run_beside(
        "keda-webhooks",
        *(*names, str(programs / "webhooks"), "--cert-dir", str(certificates), "--port", str(port)),
        *("--metrics-bind-address", f"127.0.0.1:{free_port()}", "--health-probe-bind-address", f"127.0.0.1:{health}"),
    )
    wait_for(lambda: _listens(port), 60, "KEDA's webhooks")
    authority = base64.b64encode((certificates / "tls.crt").read_bytes()).decode()
    path = "validate-keda-sh-v1alpha1-scaledobject"
    rule = {
        "apiGroups": ["keda.sh"],
        "apiVersions": ["v1alpha1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["scaledobjects"],
    }
    webhook = {
        "name": "vscaledobject.kb.io",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "rules": [rule],
        "clientConfig": {"url": f"https://localhost:{port}/{path}", "caBundle": authority},
    }
    manifest = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "keda-admission"},
        "webhooks": [webhook],
    }
    node.kubectl("apply", "-f", "-", text=json.dumps(manifest))


def _certificates(node: Node) -> Path:
    folder = node.folder / "keda"
    folder.mkdir()
    made = node.certificate("keda/tls", "localhost")
    (folder / "ca.crt").write_bytes(made.read_bytes())
    return folder


def _listens(port: int) -> bool:
    try:
        with closing(socket.create_connection(("127.0.0.1", port), 1.0)):
            return True
    except OSError:
        return False
