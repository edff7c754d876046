"""The chart for several organisations: a release for each archive, and one for their common door."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.kubernetes.chart import CHART, Manifest, Rendered, refusal, render, try_helm
from tests.support.archive import ROOT

EXAMPLES = ROOT / "deploy" / "helm" / "examples" / "partitions"
PLAIN = ROOT / "deploy" / "helm" / "examples" / "plain.yaml"
ARCHIVES = ("north", "south")


def _release(name: str, *arguments: str) -> Rendered:
    return render(EXAMPLES / f"{name}.yaml", *arguments, release=name)


def _config(rendered: Rendered, name: str, key: str = "gantry.yaml") -> str:
    return str(rendered.of("ConfigMap")[name]["data"][key])


def _secrets() -> dict[tuple[str, str], str]:
    """What Secrets hold, by name and key: of each organisation its own."""
    made = {
        (f"{archive}-tokens", "tokens"): f"program:{archive}-program-token-of-32-characters" for archive in ARCHIVES
    }
    made |= {(f"{archive}-door", "door-key"): f"{archive}-door-key-of-at-least-32-characters" for archive in ARCHIVES}
    return made | {("north-login", "sessions"): "north-sessions-of-at-least-32-characters"}


def _door_files(folder: Path, door: Rendered, secrets: dict[tuple[str, str], str]) -> Path:
    """What the kubelet brings into a pod of the door, with `folder` for /etc/gantry. Returns its settings file."""
    configs = {name: m for archive in ARCHIVES for name, m in _release(archive).of("ConfigMap").items()}
    configs |= door.of("ConfigMap")
    places = {mount["name"]: mount["mountPath"] for mount in door.container("door")["volumeMounts"]}
    for volume in door.pod("door")["volumes"]:
        at = folder / places[volume["name"]].removeprefix("/etc/gantry").lstrip("/")
        for source in volume.get("projected", {}).get("sources", []):
            for kind, projection in source.items():
                for item in projection["items"]:
                    files = configs[projection["name"]]["data"] if kind == "configMap" else None
                    text = files[item["key"]] if files is not None else secrets[projection["name"], item["key"]]
                    file = at / item["path"]
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(text.replace("/etc/gantry", str(folder)))
    settings = folder / "gantry.yaml"
    # The certificate of the door is cert-manager's matter, and no partition's.
    text = _config(door, "door-gantry").replace("/etc/gantry", str(folder))
    read = YAML(typ="safe").load(text)
    del read["tls"], read["dimse"]["tls_port"]
    with settings.open("w") as out:
        YAML(typ="safe").dump(read, out)
    return settings


def _checked(settings: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gantry.services", "serve", "--role", "door", "--config", str(settings)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GANTRY_")}
    return subprocess.run(
        [*command, "--check-config"], capture_output=True, text=True, check=False, env=environment, timeout=60
    )


@pytest.mark.parametrize("name", ["door", *ARCHIVES])
def test_helm_lint_finds_nothing_in_the_releases_of_partitions(name: str) -> None:
    done = try_helm("lint", "--strict", CHART, "-f", EXAMPLES / f"{name}.yaml")
    assert done.returncode == 0, done.stdout


def test_the_door_reads_the_settings_that_the_archives_made_for_it(tmp_path: Path) -> None:
    certificates = "partitions[1].certificates=[]"
    settings = _door_files(tmp_path, _release("door", certificates), _secrets())
    done = _checked(settings)
    assert done.returncode == 0, done.stdout + done.stderr
    read = YAML(typ="safe").load((tmp_path / "partitions" / "north" / "gantry.yaml").read_text())
    for setting in (("http", "tokens_file"), ("door", "key_file"), ("login", "session_key_file")):
        assert Path(read[setting[0]][setting[1]]).is_file(), setting
    assert read["door"]["ingest"] == ["north-gantry-ingest.ns.svc:11113"]


def test_the_door_refuses_archives_that_share_a_token(tmp_path: Path) -> None:
    secrets = _secrets()
    secrets["south-tokens", "tokens"] = secrets["north-tokens", "tokens"]
    done = _checked(_door_files(tmp_path, _release("door", "partitions[1].certificates=[]"), secrets))
    assert done.returncode != 0
    assert "have one http.tokens_file" in done.stdout + done.stderr


def test_the_door_has_nothing_but_itself_and_no_secret_of_a_store() -> None:
    door = _release("door", 'jobs.verify={"suspend": false}', 'canary={"enabled": true}', 'keda={"enabled": true}')
    assert set(door.workloads()) == {"door"}
    assert not door.of("CronJob")
    assert not door.of("Pod")
    assert not door.of("ScaledObject")
    assert set(door.of("ConfigMap")) == {"door-gantry"}
    names = [variable["name"] for variable in door.container("door")["env"]]
    assert not [name for name in names if name.startswith(("GANTRY_S3", "GANTRY_KAFKA", "GANTRY_ENCRYPTION"))]


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_behind_that_door_has_none_of_its_own(name: str) -> None:
    archive = _release(name, 'canary={"enabled": true}')
    assert "door" not in archive.workloads()
    assert {f"{name}-gantry", f"{name}-gantry-web", f"{name}-gantry-hl7"}.isdisjoint(archive.of("Service"))
    called = YAML(typ="safe").load((EXAMPLES / f"{name}.yaml").read_text())["door"]["elsewhere"]["address"]
    (test,) = archive.of("Pod").values()
    environment = {variable["name"]: variable["value"] for variable in test["spec"]["containers"][0]["env"]}
    assert environment["ADDRESS"] == called
    canary = archive.workloads()["canary"]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert f"{name.upper()}@{called}" in canary


def test_ports_of_one_archive_are_open_all_the_way() -> None:
    door = _release("door")
    ports = {
        container_port["name"]: container_port["containerPort"] for container_port in door.container("door")["ports"]
    }
    for service, name, number in (("door-gantry", "dicom-1", 11113), ("door-gantry-hl7", "hl7-1", 2575)):
        assert {"name": name, "port": number, "targetPort": name} in door.of("Service")[service]["spec"]["ports"]
        assert ports[name] == number
    opened = door.of("NetworkPolicy")["door-gantry-door"]["spec"]["ingress"]
    assert {11112, 2762, 11113, 2575} <= {port["port"] for rule in opened for port in rule["ports"]}


def _lets_in(rules: list[dict[str, Any]], labels: Manifest, port: int) -> bool:
    """Whether a pod of the same namespace with these labels may reach a port."""
    for rule in rules:
        if port in [rule_port["port"] for rule_port in rule["ports"]]:
            for peer in rule.get("from", []):
                wanted = peer.get("podSelector", {}).get("matchLabels", {})
                if wanted and wanted.items() <= labels.items():
                    return True
    return False


@pytest.mark.parametrize("name", ARCHIVES)
def test_pods_of_an_archive_let_that_door_in_and_no_pod_of_another_archive(name: str) -> None:
    archive, other = _release(name), _release("north" if name == "south" else "south")
    door = _release("door").workloads()["door"]["spec"]["template"]["metadata"]["labels"]
    for role, policy in archive.of("NetworkPolicy").items():
        role = role.removeprefix(f"{name}-gantry-")
        if role in ("job", "canary", "indexer"):
            continue
        rules = policy["spec"]["ingress"]
        for port in archive.container(role)["ports"]:
            if port["name"] == "hl7" and role == "mixed":
                continue  # messages go to orders, where these have pods of their own
            assert _lets_in(rules, door, port["containerPort"]), (role, port)
            for stranger in other.workloads().values():
                labels = stranger["spec"]["template"]["metadata"]["labels"]
                assert not _lets_in(rules, labels, port["containerPort"])


@pytest.mark.parametrize("role", ["test", "canary"])
def test_a_door_that_names_its_modalities_lets_tests_and_canaries_of_its_archives_in(role: str) -> None:
    value = 'networkPolicy.modalities=[{"ipBlock": {"cidr": "192.0.2.0/24"}}]'
    rules = _release("door", value).of("NetworkPolicy")["door-gantry-door"]["spec"]["ingress"]
    labels = {"app.kubernetes.io/name": "gantry", "app.kubernetes.io/instance": "north"}
    for port in (11112, 11113):
        assert _lets_in(rules, {**labels, "app.kubernetes.io/component": role}, port)
        assert not _lets_in(rules, {**labels, "app.kubernetes.io/component": "query"}, port)


def _ports(rules: list[dict[str, Any]]) -> set[int]:
    return {port["port"] for rule in rules for port in rule.get("ports", ())}


def test_the_door_reaches_the_identity_providers_of_its_archives_and_has_their_authorities() -> None:
    authority = 'partitions[0].otherFiles={"sso.pem": {"configMap": "north-sso", "key": "ca.crt"}}'
    door = _release("door", authority)
    assert 443 in _ports(door.of("NetworkPolicy")["door-gantry-door"]["spec"]["egress"])
    (volume,) = [pod_volume for pod_volume in door.pod("door")["volumes"] if pod_volume["name"] == "partition-north"]
    projected = {"configMap": {"name": "north-sso", "items": [{"key": "ca.crt", "path": "other/sso.pem"}]}}
    assert projected in volume["projected"]["sources"]
    narrow = _release("door", 'networkPolicy.services=[{"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]}]')
    assert 443 not in _ports(narrow.of("NetworkPolicy")["door-gantry-door"]["spec"]["egress"])


def test_the_canary_reaches_the_pods_of_a_door_whose_service_has_another_port() -> None:
    archive = _release("north", 'canary={"enabled": true}', 'door.elsewhere.address="door-gantry:104"')
    assert {11112, 104} <= _ports(archive.of("NetworkPolicy")["north-gantry-canary"]["spec"]["egress"])


def test_an_archive_is_scaled_by_its_own_associations_alone() -> None:
    on = 'roles.ingest.autoscaling={"enabled": true, "minReplicas": 1, "maxReplicas": 5, "cpu": 0}'
    archive = _release("north", on, 'keda.associations={"prometheus": "http://p:9090"}')
    (scaled,) = archive.of("ScaledObject").values()
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    assert query == 'sum(gantry_door_open{pool="ingest",partition="north"}) or vector(0)'


def test_a_door_in_another_namespace_is_let_in_where_the_archive_names_it() -> None:
    where = '[{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "doors"}}}]'
    archive = _release("north", f"door.elsewhere.from={where}")
    (rule, *_) = archive.of("NetworkPolicy")["north-gantry-query"]["spec"]["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "doors"}}}]


@pytest.mark.parametrize(
    ("example", "value", "words"),
    [
        ("door", 'door.elsewhere={"enabled": true}', "partitions: a release is the door of several archives, or one"),
        ("door", 'settings.door={"partitions": []}', "settings.door.partitions: the chart sets this one itself"),
        ("door", 'partitions=[{"name": "north"}]', "missing property 'configMap'"),
        ("door", 'partitions=[{"name": "a", "configMap": "b", "hots": []}]', "additional properties 'hots'"),
        (
            "door",
            'partitions=[{"name": "a", "configMap": "b", "tls_port": 2763}]',
            "partitions: a: tls_port needs secrets.tls",
        ),
        ("north", 'door.elsewhere.address=""', "door.elsewhere.address: HOST:PORT of that door"),
        ("north", 'door.elsewhere.partition=""', "door.elsewhere.partition: what the door's release calls"),
        ("north", 'storage={}', "additional properties 'storage'"),
    ],
)  # fmt: skip
def test_releases_of_partitions_that_cannot_be_are_refused_in_words(example: str, value: str, words: str) -> None:
    without_tls = ('secrets.tls={"name": ""}',) if "tls_port" in value else ()
    assert words in refusal(EXAMPLES / f"{example}.yaml", value, *without_tls)


def test_buckets_of_others_are_reached_at_their_own_ports() -> None:
    value = 'settings.storage.in_place=[{"name": "old", "url": "s3://old", "endpoint": "https://old.example:9020"}]'
    before, after = (render(PLAIN, *more).of("NetworkPolicy") for more in ((), (value,)))
    for name in ("r-gantry-ingest", "r-gantry-retrieve", "r-gantry-job"):
        opened = [
            {port["port"] for rule in policies[name]["spec"]["egress"] for port in rule.get("ports", ())}
            for policies in (before, after)
        ]
        assert opened[1] - opened[0] == {9020}
