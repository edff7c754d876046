"""A second release on the node, as a site has it that trusts nobody: stores that ask for TLS and passwords, DICOM over
TLS, a load balancer before the door that speaks PROXY protocol, and the release of the other tests as its shadow."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from typing import Any

from gantry.common.net import Peer
from tests.kubernetes.site import CHART, DCMTK, Site, make_debian_image
from tests.support.archive import ROOT
from tests.support.certificates import Authority, Pair
from tests.support.parts import version_of
from tests.support.preloaded import run_gantry

NAMESPACE, STORES, EDGE = "secured", "secured-stores", "edge"
RELEASE = "gantry"
_HAPROXY = "gantry-test-haproxy:bookworm"
_USER = 10001
"""Whom the pods of the chart run as; nobody gives him a folder of the node's disk."""


class Secured:
    """The release; `secrets` are its passwords, which a test replaces."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.node, self.folder = site, site.node, folder
        self.authority = Authority(folder / "authority", "hospital")
        self.passwords = {store: token_hex(12) for store in ("kafka", "s3", "opensearch")}
        self.token = token_hex(32)
        self.spool = self.node.folder / "audit-spool"

    def prepare(self) -> None:
        """Stores, load balancer and machines, and what the release names: Secrets, authorities, a volume."""
        make_debian_image(_HAPROXY, "haproxy")
        images = {name: version_of(f"{name.upper()}_IMAGE") for name in ("kafka", "s3", "opensearch")}
        self.node.load(_HAPROXY)
        for namespace in (NAMESPACE, STORES, EDGE):
            self.node.kubectl("create", "namespace", namespace)
        self.node.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        servers = self.authority.sign("stores", hosts=[f"*.{STORES}.svc.cluster.local"])
        self.make_secret("tls", self._files(servers), STORES)
        self.make_secret("passwords", self.passwords, STORES)
        text = (ROOT / "tests" / "kubernetes" / "secured.yaml").read_text()
        places = {"stores": STORES, "edge": EDGE, "namespace": NAMESPACE}
        for name, value in {**images, "haproxy": _HAPROXY, "dcmtk": DCMTK, **places}.items():
            text = text.replace(f"{{{name}}}", value)
        self.node.kubectl("apply", "-f", "-", text=text)
        self._make_secrets()
        self._make_volume()
        for namespace, kind, condition in ((EDGE, "pod", "Ready"), (STORES, "deployment", "Available")):
            wait = ("wait", kind, "--all", f"--for=condition={condition}", "--timeout=240s")
            self.node.kubectl("-n", namespace, *wait, seconds=260)

    def _make_secrets(self) -> None:
        self.make_secret("s3", {"access-key": "gantry", "secret-key": self.passwords["s3"]})
        for store in ("kafka", "opensearch"):
            self.make_secret(store, {"username": "gantry", "password": self.passwords[store]})
        self.make_secret("door", {"door-key": token_hex(32)})
        self.make_secret("tokens", {"tokens": f"viewer:{self.token}"})
        self.make_secret("dicom-tls", self._files(self.authority.sign("door-1")))
        made = run_gantry(["evidence", "new-key", self.folder / "evidence.pem"], {}, self.folder)
        assert made.returncode == 0, made.stderr
        self.make_secret("evidence", {"key.pem": (self.folder / "evidence.pem").read_text()})
        authority = f"--from-file=ca.crt={self.authority.ca}"
        self.node.kubectl("-n", NAMESPACE, "create", "configmap", "hospital-ca", authority)

    def _make_volume(self) -> None:
        """A folder of the node as a claim that all pods may write to."""
        self.spool.mkdir()
        os.chown(self.spool, _USER, _USER)
        common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
        volume = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": str(self.spool)}, **common}
        claim = {"resources": {"requests": {"storage": "1Gi"}}, "volumeName": "audit-spool", **common}
        for kind, spec in (("PersistentVolume", volume), ("PersistentVolumeClaim", claim)):
            manifest = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "audit-spool"}, "spec": spec}
            self.node.kubectl("-n", NAMESPACE, "apply", "-f", "-", text=json.dumps(manifest))

    def _files(self, pair: Pair) -> dict[str, str]:
        certificate, key = pair.certificate.read_text(), pair.key.read_text()
        return {
            "tls.crt": certificate,
            "tls.key": key,
            "ca.crt": self.authority.ca.read_text(),
            "both.pem": key + certificate,
        }

    def make_secret(self, name: str, values: dict[str, str], namespace: str = NAMESPACE) -> None:
        """A Secret, or what it holds from now on."""
        manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
        self.node.kubectl("-n", namespace, "apply", "-f", "-", text=json.dumps(manifest))

    def replace_certificate(self, name: str) -> None:
        """What the door shows from now on is another certificate of the same authority."""
        self.make_secret("dicom-tls", self._files(self.authority.sign(name)))

    def install(self) -> None:
        """`helm install`, and wait until every pod is ready."""
        repository, _, tag = self.site.image.partition(":")
        file = self.folder / "values.json"
        file.write_text(json.dumps(self._values()))
        self.node.helm(
            *("-n", NAMESPACE, "install", RELEASE, str(CHART), "-f", str(file)),
            *("--set", f"image.repository={repository},image.tag={tag}", "--wait", "--timeout", "5m"),
        )

    def upgrade(self, *arguments: str) -> None:
        """`helm upgrade` with values changed, until it is done."""
        command = ("-n", NAMESPACE, "upgrade", RELEASE, str(CHART), "--reuse-values", "--wait", "--timeout", "5m")
        self.node.helm(*command, *arguments)

    def _values(self) -> dict[str, Any]:
        networks = ["127.0.0.0/8", "10.187.0.1/32"]  # this machine, at the node's end of the pods' network
        balancer = f"{self.address('balancer')}/32"
        store = "{}.{}.svc.cluster.local".format
        return {
            "image": {"pullPolicy": "Never"},
            "settings": {
                "dimse": {"ae_title": "SECURED"},
                "storage": {
                    "objects": "s3://secured",
                    "log": f"kafka://{store('kafka', STORES)}:9093",
                    "index": f"opensearch://{store('search', STORES)}:9200/gantry",
                },
                "s3": {"endpoint": f"https://{store('s3', STORES)}:7070", "create_bucket": True},
                "kafka": {"replication": 1, "min_insync": 1, "session_timeout": 30.0, "tls": True},
                "opensearch": {"replicas": 0, "tls": True},
                "upkeep": {"seal_every": 2.0},
                "door": {"shadow": {"dimse": "gantry.gantry.svc.cluster.local:11112", "ae_title": "GANTRY"}},
            },
            "secrets": {
                "s3": {"name": "s3", "accessKey": "access-key"},
                "kafka": {"name": "kafka", "username": "username", "sasl": "SCRAM-SHA-512"},
                "opensearch": {"name": "opensearch", "username": "username"},
                "httpTokens": {"name": "tokens"},
                "doorKey": {"name": "door"},
                "tls": {"name": "dicom-tls"},
            },
            "authorities": {name: {"configMap": "hospital-ca"} for name in self.passwords},
            "files": {"audit.evidence_key": {"secret": "evidence", "key": "key.pem", "roles": ["indexer"]}},
            "auditSpool": {"claim": "audit-spool"},
            "shadowSpool": {"size": "64Mi"},
            "podCidrs": ["10.187.0.0/16"],
            "door": {"proxyFrom": [balancer], "httpProxyFrom": [balancer], "service": {"type": "NodePort"}},
            "peers": [
                {"ae_title": "MODALITY", "from": networks, "may": ["store", "find", "echo"]},
                {"ae_title": "SECURE", "from": networks, "may": ["store", "find", "echo"], "tls": True},
                {"ae_title": "SCANNER", "from": [f"{self.address('scanner')}/32"], "may": ["echo"]},
            ],
            "networkPolicy": {
                "web": [
                    {
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": EDGE}},
                        "podSelector": {"matchLabels": {"app": "balancer"}},
                    }
                ]
            },
            "defaults": {"replicas": 1, "resources": {"requests": {"cpu": "20m", "memory": "128Mi"}}},
            "roles": {role: {"enabled": False} for role in ("ingest", "query", "retrieve", "commitment", "orders")},
        }

    # ---- what is there

    def address(self, machine: str) -> str:
        """The address of a pod of the edge."""
        pod = self.node.kubectl("-n", EDGE, "get", "pod", machine, "-o", "jsonpath={.status.podIP}")
        assert pod, machine
        return pod

    def at(self, machine: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a pod of the edge."""
        return self.node.try_kubectl("-n", EDGE, "exec", machine, "--", *command)

    def kubectl(self, *arguments: str, text: str | None = None, seconds: float = 120.0) -> str:
        """`kubectl` in the release's namespace."""
        return self.node.kubectl("-n", NAMESPACE, *arguments, text=text, seconds=seconds)

    @cached_property
    def ports(self) -> dict[str, int]:
        """The door's ports on 127.0.0.1: `dicom` and `dicom-tls`."""
        service = json.loads(self.kubectl("get", "service", RELEASE, "-o", "json"))
        return {port["name"]: int(port["nodePort"]) for port in service["spec"]["ports"]}

    @property
    def peer(self) -> Peer:
        """The door as MODALITY calls it through the Service."""
        return Peer("127.0.0.1", self.ports["dicom"], "SECURED", "MODALITY")

    def lives(self) -> dict[str, int]:
        """Every pod of the release by its UID, with how often its process was started anew."""
        pods = self.node.get("pods", NAMESPACE, "-l", f"app.kubernetes.io/instance={RELEASE}")
        return {
            pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["restartCount"]
            for pod in pods
            if pod["metadata"]["labels"]["app.kubernetes.io/component"] in ("door", "indexer", "mixed")
        }

    def logs(self, role: str) -> str:
        """What the pods of a role have logged."""
        labels = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component={role}"
        return self.kubectl("logs", "-l", labels, "--tail=-1")

    def store_pod(self, name: str) -> str:
        """The UID of a store's pod."""
        (pod,) = self.node.get("pods", STORES, "-l", f"app={name}")
        return str(pod["metadata"]["uid"])

    def remove(self) -> None:
        """All of it."""
        self.node.try_helm("-n", NAMESPACE, "uninstall", RELEASE)
        for namespace in (NAMESPACE, STORES, EDGE):
            self.node.kubectl("delete", "namespace", namespace, "--wait=false")
        self.node.kubectl("delete", "persistentvolume", "audit-spool", "--wait=false")
