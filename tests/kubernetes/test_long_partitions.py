"""Two archives behind one door on a node: each a release, and a release that is the door alone (docs/partitions.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest
from ruamel.yaml import YAML

from tests.kubernetes.site import CHART, VALUES, Site
from tests.support.dcmtk import run

pytestmark = pytest.mark.timeout(900)

NAMESPACE = "pacs"
OWN_PORT = 11113


@pytest.fixture(scope="module")
def several(site: Site) -> Iterator[Site]:
    """Releases `north`, `south` and `door` in one namespace, on the stores of the node."""
    node = site.node
    node.kubectl("create", "namespace", NAMESPACE)
    node.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    secret = node.kubectl("-n", "gantry", "get", "secret", "gantry-s3", "-o", "json")
    copied = {key: value for key, value in json.loads(secret).items() if key in ("apiVersion", "kind", "data", "type")}
    node.kubectl("-n", NAMESPACE, "apply", "-f", "-", text=json.dumps(copied | {"metadata": {"name": "gantry-s3"}}))
    try:
        for name in ("north", "south"):
            for kind, key in (("door", "door-key"), ("tokens", "tokens")):
                value = token_hex(32) if kind == "door" else f"program:{token_hex(32)}"
                literal = f"--from-literal={key}={value}"
                node.kubectl("-n", NAMESPACE, "create", "secret", "generic", f"{name}-{kind}", literal)
            _install(site, name, _archive(name), "--wait=false")
        _install(site, "door", _door())
        for name in ("north", "south"):
            for workload in ("statefulset/{}-gantry-indexer", "statefulset/{}-gantry-mixed"):
                command = ("-n", NAMESPACE, "rollout", "status", workload.format(name), "--timeout=240s")
                node.kubectl(*command, seconds=260)
        yield site
    finally:
        for release in ("door", "north", "south"):
            node.try_helm("-n", NAMESPACE, "uninstall", release)
        node.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def _archive(name: str) -> dict[str, object]:
    """Values of one archive over those of the tests: all roles in one kind of pod."""
    values = YAML(typ="safe").load(VALUES.read_text())
    settings = values["settings"]
    del settings["hl7"]
    settings["dimse"]["ae_title"] = name.upper()
    settings["storage"] = {
        "objects": f"s3://partitions/{name}",
        "log": f"kafka://kafka.stores.svc.cluster.local:9092/{name}",
        "index": f"opensearch://opensearch.stores.svc.cluster.local:9200/{name}",
    }
    values["secrets"] |= {"doorKey": {"name": f"{name}-door"}, "httpTokens": {"name": f"{name}-tokens"}}
    own = OWN_PORT if name == "south" else 11112
    values["door"] = {"elsewhere": {"enabled": True, "partition": name, "address": f"door-gantry:{own}"}}
    values["roles"] = {role: {"enabled": False} for role in ("ingest", "query", "retrieve", "commitment", "orders")}
    return dict(values)


def _door() -> dict[str, object]:
    def partition(name: str, **signs: object) -> dict[str, object]:
        secrets = {"httpTokens": {"name": f"{name}-tokens"}, "doorKey": {"name": f"{name}-door"}}
        return {"name": name, "configMap": f"{name}-gantry-partition", "secrets": secrets, **signs}

    return {
        "image": {"pullPolicy": "Never"},
        "door": {"service": {"type": "NodePort"}},
        "partitions": [partition("north"), partition("south", port=OWN_PORT)],
        "roles": {"door": {"replicas": 1, "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}}}},
    }


def _install(site: Site, release: str, values: dict[str, object], *more: str) -> None:
    repository, _, tag = site.image.partition(":")
    file = Path(site.node.folder) / f"{release}.json"
    file.write_text(json.dumps(values))
    site.node.helm(
        *("-n", NAMESPACE, "upgrade", "--install", release, str(CHART), "-f", str(file)),
        *("--set", f"image.repository={repository},image.tag={tag}", "--wait", "--timeout", "5m", *more),
    )


@pytest.mark.parametrize("name", ["north", "south"])
def test_helm_test_of_an_archive_goes_by_the_common_door(several: Site, name: str) -> None:
    several.node.helm("-n", NAMESPACE, "test", name, "--timeout", "4m")
    lines = several.node.kubectl("-n", NAMESPACE, "logs", f"{name}-gantry-test").splitlines()
    assert lines[-1] == "phantom: committed"


def test_association_with_signs_of_two_archives_is_refused_at_the_door(several: Site) -> None:
    ports = json.loads(several.node.kubectl("-n", NAMESPACE, "get", "service", "door-gantry", "-o", "json"))
    node_ports = {port["port"]: port["nodePort"] for port in ports["spec"]["ports"]}
    caller = ("-aet", "MODALITY")
    assert run("echoscu", *caller, "-aec", "NORTH", "127.0.0.1", node_ports[11112]).returncode == 0
    assert run("echoscu", *caller, "-aec", "SOUTH", "127.0.0.1", node_ports[OWN_PORT]).returncode == 0
    astray = run("echoscu", *caller, "-aec", "NORTH", "127.0.0.1", node_ports[OWN_PORT])
    assert astray.returncode != 0
    assert "Called AE Title Not Recognized" in astray.stdout
