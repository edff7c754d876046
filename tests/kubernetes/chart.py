"""The chart as `helm template` renders it, without a cluster."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from gantry.common.config.load import load_settings
from gantry.common.config.settings import Settings
from tests.kubernetes.leftovers import programs_here
from tests.support.archive import ROOT
from tests.support.parts import version_of
from tests.support.servers import skip

CHART = ROOT / "deploy" / "helm" / "gantry"
EXAMPLES = sorted((ROOT / "deploy" / "helm" / "examples").glob("*.yaml"))
PLAIN = ROOT / "deploy" / "helm" / "examples" / "plain.yaml"
ROLES = {"door", "ingest", "indexer", "query", "retrieve", "commitment", "orders", "mixed"}
Manifest = dict[str, Any]


def tool(name: str) -> str:
    """helm or kubeconform: built here, or installed. Skips the test where there is none."""
    folder = programs_here()
    path = str(folder / name) if folder is not None else shutil.which(name)
    if path is None:
        skip(name, "deploy/images/artefacts.sh kubernetes builds it")
    return path


def try_helm(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`helm …`, without a cluster."""
    return subprocess.run(
        [tool("helm"), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", "HOME": tempfile.gettempdir(), "KUBECONFIG": "/nonexistent"},
    )


@cache
def try_render(values: Path, *arguments: str, release: str = "r") -> subprocess.CompletedProcess[str]:
    """`helm template` in the namespace `ns`, with more values as `--set-json` takes them."""
    sets = [word for argument in arguments for word in ("--set-json", argument)]
    return try_helm(
        "template", release, CHART, "-n", "ns", "-f", values, "--kube-version", version_of("KUBERNETES"), *sets
    )


def refusal(values: Path, *arguments: str) -> str:
    """Why a chart with these values is refused."""
    done = try_render(values, *arguments)
    assert done.returncode != 0, done.stdout[:500]
    return done.stderr


@dataclass(frozen=True)
class Rendered:
    """The manifests of a release."""

    manifests: list[Manifest]

    def of(self, kind: str) -> dict[str, Manifest]:
        """Those of a kind, by name."""
        return {m["metadata"]["name"]: m for m in self.manifests if m["kind"] == kind}

    def workloads(self) -> dict[str, Manifest]:
        """Deployments and StatefulSets by role."""
        both = [*self.of("Deployment").values(), *self.of("StatefulSet").values()]
        return {m["metadata"]["labels"]["app.kubernetes.io/component"]: m for m in both}

    def pod(self, role: str) -> Manifest:
        """The pod of a role."""
        return dict(self.workloads()[role]["spec"]["template"]["spec"])

    def container(self, role: str) -> Manifest:
        """The container of a role."""
        (only,) = self.pod(role)["containers"]
        return dict(only)

    def environment(self, role: str) -> dict[str, str]:
        """What the container of a role gets; what comes from elsewhere by the name of where it comes from."""
        return {
            variable["name"]: variable["value"] if "value" in variable else f"from {next(iter(variable['valueFrom']))}"
            for variable in self.container(role)["env"]
        }

    def settings(self, role: str, folder: Path) -> Settings:
        """What the archive in the container of a role reads. Raises `ConfigError`."""
        (config,) = (m for m in self.of("ConfigMap").values() if "gantry.yaml" in m["data"])
        file = folder / "gantry.yaml"
        file.write_text(config["data"]["gantry.yaml"])
        return load_settings(file, self.environment(role))


def render(values: Path, *arguments: str, release: str = "r") -> Rendered:
    """The chart with these values."""
    done = try_render(values, *arguments, release=release)
    assert done.returncode == 0, done.stderr
    return Rendered([m for m in YAML(typ="safe").load_all(done.stdout) if m])


def write_schemas(openapi: Manifest, folder: Path) -> None:
    """The schemas of a running API server as kubeconform reads them: a file for each kind, unknown keys refused."""
    definitions = {name: _strict(definition) for name, definition in openapi["definitions"].items()}
    for name, definition in openapi["definitions"].items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            group = kind["group"].split(".")[0]
            parts = [kind["kind"], *([group] if group else []), kind["version"]]
            needed = {kind_name: definitions[kind_name] for kind_name in _needed(name, definitions)}
            schema = {"$ref": f"#/definitions/{name}", "definitions": needed}
            (folder / f"{'-'.join(parts).lower()}.json").write_text(json.dumps(schema))


def _strict(node: Any) -> Any:
    """A schema of Swagger's as one of JSON Schema's, which refuses unknown keys."""
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("format") == "int-or-string":
        return {"type": ["integer", "string"]}
    made = {key: _strict(value) for key, value in node.items() if not key.startswith("x-") and key != "format"}
    if isinstance(node.get("properties"), dict):
        made["properties"] = {name: _strict(value) for name, value in node["properties"].items()}
        made.setdefault("additionalProperties", False)
    return made


def _needed(name: str, definitions: Manifest) -> set[str]:
    """A definition and those that it refers to."""
    needed, left = set[str](), [name]
    while left:
        name = left.pop()
        if name not in needed:
            needed.add(name)
            left += re.findall(r'"#/definitions/([^"]+)"', json.dumps(definitions[name]))
    return needed


def mounted_files(rendered: Rendered, role: str) -> set[str]:
    """The paths of all files that a role's container gets."""
    places = {mount["name"]: mount["mountPath"] for mount in rendered.container(role)["volumeMounts"]}
    files = {f"{places['peers']}/peers.yaml"}
    for volume in rendered.pod(role)["volumes"]:
        sources = volume.get("projected", {}).get("sources", [])
        items = [item for source in sources for projected in source.values() for item in projected["items"]]
        items += volume.get("secret", {}).get("items", [])
        files |= {f"{places[volume['name']]}/{item['path']}" for item in items}
    return files


def ports_of(rules: list[dict[str, Any]]) -> set[int]:
    """The ports that rules of a network policy name."""
    return {port["port"] for rule in rules for port in rule.get("ports", ())}
