"""The chart as it is rendered: values that are refused, what each role gets, and that it can read its settings."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gantry.common.events import InstanceStored
from gantry.common.events.topics import TOPICS
from gantry.services.roles import Role, dimse_port, http_port
from tests.kubernetes.chart import CHART, EXAMPLES, Rendered, refusal, render, try_helm
from tests.support.archive import ROOT

PLAIN = ROOT / "deploy" / "helm" / "examples" / "plain.yaml"
TEST_VALUES = ROOT / "tests" / "kubernetes" / "values.yaml"
ROLES = {"door", "ingest", "indexer", "query", "retrieve", "commitment", "orders", "mixed"}
every_example = pytest.mark.parametrize("values", [*EXAMPLES, TEST_VALUES], ids=lambda path: path.stem)


@every_example
def test_helm_lint_finds_nothing(values: Path) -> None:
    done = try_helm("lint", "--strict", CHART, "-f", values)
    assert done.returncode == 0, done.stdout


def test_schema_of_values_is_that_of_the_settings() -> None:
    spec = importlib.util.spec_from_file_location("schema", ROOT / "deploy" / "helm" / "schema.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.FILE.read_text(encoding="utf-8") == module.text(), "python deploy/helm/schema.py makes it anew"


def test_plain_manifests_are_those_of_the_chart() -> None:
    render(PLAIN)  # skips where there is no helm
    script = ROOT / "deploy" / "helm" / "manifests.sh"
    made = subprocess.run(["sh", str(script), "-"], capture_output=True, text=True, check=True).stdout
    committed = (ROOT / "deploy" / "kubernetes" / "gantry.yaml").read_text(encoding="utf-8")
    assert committed == made, "make manifests makes them anew"


@every_example
def test_each_role_can_read_its_settings_and_listens_where_its_service_points(values: Path, tmp_path: Path) -> None:
    rendered = render(values)
    services = {m["spec"]["selector"]["app.kubernetes.io/component"]: m for m in rendered.of("Service").values()}
    for role in rendered.workloads():
        settings = rendered.settings(role, tmp_path)
        plays = frozenset(map(Role, rendered.environment(role)["GANTRY_ROLE"].split()))
        ports = {port["name"]: port["containerPort"] for port in rendered.container(role)["ports"]}
        assert ports["http"] == http_port(plays, settings.http.port)
        if plays != {Role.INDEXER}:
            assert ports["dicom"] == dimse_port(plays, settings.dimse.port)
        if role != "door":
            named = {port["name"]: port["port"] for port in services[role]["spec"]["ports"]}
            assert named == ports
        if settings.dimse.tls_port is not None and role == "door":
            assert ports["dicom-tls"] == settings.dimse.tls_port


@every_example
def test_the_door_is_given_every_pool_that_there_is(values: Path, tmp_path: Path) -> None:
    rendered = render(values)
    door = rendered.settings("door", tmp_path).door
    listening = set(rendered.workloads()) - {"door", "indexer"}
    pools = ("ingest", "query", "retrieve", "commitment", "orders", "mixed")
    assert {pool for pool in pools if getattr(door, pool)} == listening
    services = rendered.of("Service")
    for addresses in (*door.pools.values(), *door.web_pools.values(), door.hl7):
        for address in addresses:
            name, _, port = address.rpartition(":")
            assert int(port) in [one["port"] for one in services[name]["spec"]["ports"]]
            assert services[name]["spec"]["clusterIP"] == "None", "the door chooses among pods, not kube-proxy"


@every_example
def test_files_that_settings_name_are_mounted_in_every_pod_that_reads_them(values: Path, tmp_path: Path) -> None:
    rendered = render(values)
    for role in set(rendered.workloads()) - {"door"}:
        settings = rendered.settings(role, tmp_path)
        files = [settings.peers_file, settings.s3.secret_key_file, settings.s3.ca, settings.kafka.password_file]
        files += [
            settings.kafka.ca,
            settings.opensearch.password_file,
            settings.opensearch.ca,
            settings.http.tokens_file,
        ]
        files += [settings.tls.certificate, settings.tls.key, settings.tls.ca]
        mounted = _mounted_files(rendered, role)
        assert {str(file) for file in files if file is not None} <= mounted


def _mounted_files(rendered: Rendered, role: str) -> set[str]:
    places = {one["name"]: one["mountPath"] for one in rendered.container(role)["volumeMounts"]}
    files = {f"{places['peers']}/peers.yaml"}
    for volume in rendered.pod(role)["volumes"]:
        sources = volume.get("projected", {}).get("sources", [])
        items = [item for source in sources for one in source.values() for item in one["items"]]
        items += volume.get("secret", {}).get("items", [])
        files |= {f"{places[volume['name']]}/{item['path']}" for item in items}
    return files


FILES = (
    'files={"login.session_key_file": {"secret": "login", "key": "sessions"}, '
    '"audit.syslog_ca": {"configMap": "ca", "key": "ca.crt"}, '
    '"audit.evidence_key": {"secret": "evidence", "key": "key.pem", "roles": ["indexer"]}}'
)


def test_files_that_settings_name_come_from_secrets_to_all_or_to_the_roles_that_need_them(tmp_path: Path) -> None:
    login = 'settings.login={"issuer": "sso", "client_id": "gantry"}'
    rendered = render(PLAIN, FILES, login, 'otherFiles={"ris": {"secret": "hooks", "key": "ris"}}')
    for role in ROLES:
        settings, mounted = rendered.settings(role, tmp_path), _mounted_files(rendered, role)
        assert str(settings.login.session_key_file) == "/etc/gantry/files/login.session_key_file"
        files = [settings.login.session_key_file, settings.audit.syslog_ca, settings.audit.evidence_key]
        named = {str(file) for file in files if file is not None}
        assert named == {name for name in mounted if name.startswith("/etc/gantry/files/")}
        assert ("/etc/gantry/files/audit.evidence_key" in named) == (role == "indexer")
        assert "/etc/gantry/other/ris" in mounted
    (job, *_) = rendered.of("CronJob").values()
    (files,) = (v for v in job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"] if v["name"] == "files")
    assert "evidence" not in json.dumps(files)


def test_audit_records_outlive_their_pod_where_a_claim_is_given(tmp_path: Path) -> None:
    rendered = render(PLAIN, 'auditSpool={"claim": "audit"}')
    for role in ROLES:
        spool = rendered.settings(role, tmp_path).audit.spool
        (mount,) = (one for one in rendered.container(role)["volumeMounts"] if one["mountPath"] == str(spool))
        (volume,) = (one for one in rendered.pod(role)["volumes"] if one["name"] == mount["name"])
        assert volume["persistentVolumeClaim"] == {"claimName": "audit"}
    assert rendered.settings("ingest", tmp_path).audit.spool is not None
    assert render(PLAIN).settings("ingest", tmp_path).audit.spool is None


def test_in_shadow_mode_the_door_reaches_the_other_archive_and_the_bucket(tmp_path: Path) -> None:
    given = 'settings.door={"shadow": {"dimse": "old.example:4242", "url": "https://old.example:8043/dicom-web"}}'
    plain, shadow = render(PLAIN), render(PLAIN, given)
    before, after = (one.of("NetworkPolicy")["r-gantry-door"]["spec"]["egress"] for one in (plain, shadow))
    assert _ports(after) - _ports(before) == {4242, 8043, 9092, 9200, 7070}
    without_port = render(PLAIN, given.replace(":8043", ""))
    assert 443 in _ports(without_port.of("NetworkPolicy")["r-gantry-door"]["spec"]["egress"])
    assert shadow.settings("door", tmp_path).door.shadow.dimse == "old.example:4242"
    assert "GANTRY_S3__ACCESS_KEY" in shadow.environment("door")
    assert "GANTRY_S3__ACCESS_KEY" not in plain.environment("door")


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ('shadowSpool={"size": "20Gi"}', {"emptyDir": {"sizeLimit": "20Gi"}}),
        ('shadowSpool={"claim": "shadow"}', {"persistentVolumeClaim": {"claimName": "shadow"}}),
    ],
)
def test_the_door_has_a_spool_for_shadow_mode_and_nobody_else(tmp_path: Path, given: str, kind: object) -> None:
    rendered = render(PLAIN, 'settings.door={"shadow": {"dimse": "old.example:4242"}}', given)
    spool = rendered.settings("door", tmp_path).door.shadow.spool
    (mount,) = (one for one in rendered.container("door")["volumeMounts"] if one["mountPath"] == str(spool))
    (volume,) = (one for one in rendered.pod("door")["volumes"] if one["name"] == mount["name"])
    assert volume == {"name": "shadow", **kind}  # type: ignore[dict-item]
    assert not any(one["name"] == "shadow" for one in rendered.pod("ingest")["volumes"])


def test_pods_reach_what_settings_name_outside_and_nothing_more() -> None:
    given = (
        'settings.access={"issuers": [{"name": "sso", "url": "https://sso.example/r/x", "audience": ["gantry"]}]}',
        'settings.webhooks=[{"name": "ris", "url": "http://ris.example:8099/in", "secret_file": "/x"}]',
        'settings.audit={"syslog": "arr.example:6514"}',
        'settings.subscriptions={"endpoints": ["https://ehr.example:8447/fhir/"], "key_file": "/x"}',
        'settings.http={"url": "https://archive.example"}',
    )
    before, after = (
        {n: m["spec"] for n, m in render(PLAIN, *more).of("NetworkPolicy").items()} for more in ((), given)
    )
    for role in ROLES:
        name = f"r-gantry-{role}"
        assert _ports(after[name]["egress"]) - _ports(before[name]["egress"]) >= {8099, 6514, 8447}
        assert 443 in _ports(after[name]["egress"])
    narrow = 'networkPolicy.services=[{"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]}]'
    egress = render(PLAIN, *given, narrow).of("NetworkPolicy")["r-gantry-query"]["spec"]["egress"]
    assert {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]} in egress
    assert 6514 not in _ports(egress)


def test_query_reaches_the_archives_that_its_queries_span() -> None:
    federated = render(PLAIN, 'settings.federation={"archives": [{"ae_title": "WORKSTATION"}]}').of("NetworkPolicy")
    assert {104, 11113} <= _ports(federated["r-gantry-query"]["spec"]["egress"])


_PLAYED_BY = {
    "operations": "ingest",
    "query": "query",
    "retrieve": "retrieve",
    "commitment": "commitment",
    "frontdoor": "door",
    "commands": "",
}
"""Which role's process runs a room of services that opens associations; `operations` goes with ingest."""


def test_every_room_that_opens_associations_is_one_of_a_role_that_reaches_peers() -> None:
    called = {
        path.relative_to(ROOT / "services").parts[0]
        for path in (ROOT / "services").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gantry.common.net")
        if {"connect", "associate"} & {alias.name for alias in node.names}
    }
    assert called == set(_PLAYED_BY), "who opens associations needs network policies that let it"
    policies = render(PLAIN, 'settings.federation={"archives": [{"ae_title": "WORKSTATION"}]}').of("NetworkPolicy")
    for role in set(_PLAYED_BY.values()) - {"", "door"}:
        assert {104, 11113} <= _ports(policies[f"r-gantry-{role}"]["spec"]["egress"]), role


def test_networks_of_peers_that_are_added_later_are_opened_beside_those_that_peers_name() -> None:
    rule = '{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 4104, "protocol": "TCP"}]}'
    before, after = (
        render(PLAIN, *more).of("NetworkPolicy") for more in ((), (f"networkPolicy.moreDestinations=[{rule}]",))
    )
    for role in ROLES:
        egress = [one[f"r-gantry-{role}"]["spec"]["egress"] for one in (before, after)]
        more = [json.loads(rule)] if role in ("ingest", "retrieve", "commitment", "mixed") else []
        assert [one for one in egress[1] if one not in egress[0]] == more, role


def test_the_door_gets_no_secret_of_a_store() -> None:
    rendered = render(ROOT / "deploy" / "helm" / "examples" / "on-premises.yaml")
    assert {file.rsplit("/", 1)[1] for file in _mounted_files(rendered, "door")} == {
        *("peers.yaml", "http-tokens", "door-key", "tls.crt", "tls.key", "ca.crt")
    }
    assert not [name for name in rendered.environment("door") if name.startswith(("GANTRY_S3", "GANTRY_KAFKA"))]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ('image={"tga": "x"}', "additional properties 'tga' not allowed"),
        ('settings.dimse={"prot": 3}', "additional properties 'prot' not allowed"),
        ('peers=[{"ae_title": "CT1", "hots": "x"}]', "additional properties 'hots' not allowed"),
        ('roles.door={"replica": 1}', "additional properties 'replica' not allowed"),
        ('settings.dimse={"port": 104}', "settings.dimse.port: the chart sets this one itself"),
        ('settings.http={"tls_port": 8443}', "settings.http.tls_port: in Kubernetes an Ingress ends TLS"),
        ('settings.kafka={"instance_id": "x"}', "settings.kafka.instance_id: the chart sets this one itself"),
        ("settings.lab=true", "settings.lab: the chart sets this one itself"),
        ('settings.storage.log="sqlite:///x"', 'settings.storage.log: "sqlite:///x" does not begin with kafka://'),
        (
            'files={"login.sesion_key_file": {"secret": "x", "key": "y"}}',
            "additional properties 'login.sesion_key_file'",
        ),
        ('files={"access.users_file": {"key": "y"}}', "files.access.users_file: from a secret or a configMap"),
        ('otherFiles={"x": {"key": "y"}}', "otherFiles.x: from a secret or a configMap"),
        (
            'roles.query.autoscaling={"enabled": true, "cpu": 0}',
            "roles.query.autoscaling has nothing to go by: say cpu, or keda.associations.prometheus",
        ),
        ("podCidrs=[]", "podCidrs: name the addresses of pods"),
        ('roles.door={"enabled": false}', "roles.door.enabled: the door is the only way in"),
        ('roles.indexer={"enabled": false}', "roles.indexer.enabled: without an indexer nothing"),
        (
            'roles={"mixed": {"enabled": false}, "query": {"enabled": false}}',
            "roles.query.enabled: somebody has to play this role",
        ),
    ],
)
def test_values_that_cannot_be_are_refused_in_words(given: str, words: str) -> None:
    assert words in refusal(PLAIN, given)


def test_pods_get_the_time_that_draining_takes_and_the_door_ten_seconds_before_it() -> None:
    rendered = render(PLAIN, "settings.drain=45.5")
    graces = {role: rendered.pod(role)["terminationGracePeriodSeconds"] for role in rendered.workloads()}
    assert graces == dict.fromkeys(ROLES - {"door"}, 56) | {"door": 66}
    assert rendered.container("door")["lifecycle"] == {"preStop": {"sleep": {"seconds": 10}}}


def test_members_of_consumer_groups_are_kafka_members_under_their_pods_names() -> None:
    rendered = render(PLAIN)
    kinds = {role: workload["kind"] for role, workload in rendered.workloads().items()}
    assert {role for role, kind in kinds.items() if kind == "StatefulSet"} == {"indexer", "commitment", "mixed"}
    for role in rendered.workloads():
        named = [one for one in rendered.container(role)["env"] if one["name"] == "GANTRY_KAFKA__INSTANCE_ID"]
        wanted = {"fieldRef": {"fieldPath": "metadata.name"}}
        assert [one["valueFrom"] for one in named] == ([wanted] if kinds[role] == "StatefulSet" else [])


def test_start_life_and_readiness_are_told_apart_and_the_door_is_ready_without_its_pools() -> None:
    rendered = render(PLAIN)
    for role in ROLES:
        container = rendered.container(role)
        asked = [container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
        assert asked == ["/startz", "/healthz", "/startz" if role == "door" else "/readyz"]


def test_all_pods_meet_the_restricted_profile() -> None:
    rendered = render(PLAIN, 'helmTest={"enabled": true}')
    pods = [rendered.pod(role) for role in ROLES]
    pods += [job["spec"]["jobTemplate"]["spec"]["template"]["spec"] for job in rendered.of("CronJob").values()]
    pods += [pod["spec"] for pod in rendered.of("Pod").values()]
    assert len(pods) == len(ROLES) + 4 + 1
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_scaling_by_cpu_takes_the_place_of_a_number_of_replicas() -> None:
    rendered = render(PLAIN, 'roles.query={"autoscaling": {"enabled": true, "minReplicas": 3, "maxReplicas": 9}}')
    workloads = rendered.workloads()
    assert {role for role in ROLES if "replicas" not in workloads[role]["spec"]} == {"query"}
    (scaler,) = rendered.of("HorizontalPodAutoscaler").values()
    assert scaler["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "r-gantry-query"}
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (3, 9)


@pytest.mark.parametrize(
    ("log", "brokers", "prefix"),
    [
        ("kafka://a:9092", "a:9092", "gantry"),
        ("kafka://a:9092,b:9093/", "a:9092,b:9093", "gantry"),
        ("kafka://a:9092,b:9093/blue", "a:9092,b:9093", "blue"),
    ],
)
def test_keda_scales_the_indexer_by_the_lag_of_its_own_group(log: str, brokers: str, prefix: str) -> None:
    rendered = render(PLAIN, f'settings.storage.log="{log}"', 'keda={"enabled": true}')
    (scaled,) = rendered.of("ScaledObject").values()
    assert scaled["spec"]["scaleTargetRef"]["name"] == "r-gantry-indexer"
    assert scaled["spec"]["triggers"][0]["metadata"] == {
        "bootstrapServers": brokers,
        "consumerGroup": f"{prefix}.indexer",
        "topic": f"{prefix}.instances",
        "lagThreshold": "2000",
    }
    assert "replicas" not in rendered.workloads()["indexer"]["spec"]
    assert not render(PLAIN).of("ScaledObject")


def test_partitions_that_the_chart_counts_indexers_against_are_those_of_the_topic() -> None:
    helpers = (CHART / "templates" / "_helpers.tpl").read_text(encoding="utf-8")
    assert f'{{{{- define "gantry.usefulIndexers" -}}}}{TOPICS[InstanceStored].partitions}{{{{- end -}}}}' in helpers


def test_keda_scales_roles_by_the_associations_that_prometheus_knows_of() -> None:
    on = 'roles.ingest.autoscaling={"enabled": true, "minReplicas": 1, "maxReplicas": 5, "cpu": 0}'
    prometheus = 'keda.associations={"prometheus": "http://p:9090", "selector": "namespace=\\"a\\"", "perPod": 7}'
    rendered = render(PLAIN, on, prometheus)
    (scaled,) = rendered.of("ScaledObject").values()
    assert scaled["spec"]["scaleTargetRef"]["name"] == "r-gantry-ingest"
    assert scaled["spec"]["triggers"] == [
        {
            "type": "prometheus",
            "metadata": {
                "serverAddress": "http://p:9090",
                "query": 'sum(gantry_door_open{pool="ingest",namespace="a"}) or vector(0)',
                "threshold": "7",
            },
        }
    ]
    down = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert (down["policies"][0]["value"], down["stabilizationWindowSeconds"]) == (1, 300)
    assert not rendered.of("HorizontalPodAutoscaler")
    assert "replicas" not in rendered.workloads()["ingest"]["spec"]
    both = render(PLAIN, on.replace('"cpu": 0', '"cpu": 60'), prometheus)
    (scaled,) = both.of("ScaledObject").values()
    assert scaled["spec"]["triggers"][1] == {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}}


def test_each_role_has_a_disruption_budget_that_a_pod_waiting_for_a_store_does_not_use_up() -> None:
    budgets = render(PLAIN, 'roles.ingest={"maxUnavailable": "25%"}').of("PodDisruptionBudget")
    assert set(budgets) == {f"r-gantry-{role}" for role in ROLES}
    assert {name: one["spec"]["maxUnavailable"] for name, one in budgets.items() if name != "r-gantry-ingest"} == {
        f"r-gantry-{role}": 1 for role in ROLES - {"ingest"}
    }
    assert budgets["r-gantry-ingest"]["spec"]["maxUnavailable"] == "25%"
    assert {one["spec"]["unhealthyPodEvictionPolicy"] for one in budgets.values()} == {"AlwaysAllow"}


def _ports(rules: list[dict[str, Any]]) -> set[int]:
    return {port["port"] for rule in rules for port in rule.get("ports", ())}


def test_roles_are_reached_from_the_door_alone_and_only_who_calls_peers_reaches_them() -> None:
    policies = {name.removeprefix("r-gantry-"): m["spec"] for name, m in render(PLAIN).of("NetworkPolicy").items()}
    assert set(policies) == {*ROLES, "job"}
    door = {
        "app.kubernetes.io/name": "gantry",
        "app.kubernetes.io/instance": "r",
        "app.kubernetes.io/component": "door",
    }
    for role in ROLES - {"door", "indexer"}:
        assert [rule["from"] for rule in policies[role]["ingress"]] == [[{"podSelector": {"matchLabels": door}}]]
    assert policies["indexer"]["ingress"] == policies["job"]["ingress"] == []
    assert policies["door"]["ingress"] == [{"ports": [{"port": 11112, "protocol": "TCP"}]}]
    stores = {53, 9092, 9200, 7070}
    assert {role: _ports(policies[role]["egress"]) - stores for role in policies} == {
        "door": {11113, 8081, 11114, 8082, 11115, 8083, 11116, 8084, 11117, 8086, 11112, 8080},
        "ingest": {104, 11113},
        "query": set(),
        "orders": set(),
        "indexer": set(),
        "job": set(),
        "retrieve": {104, 11113},
        "commitment": {104, 11113},
        "mixed": {104, 11113},
    }
    assert _ports(policies["door"]["egress"]) & stores == {53}
    called = [rule for rule in policies["retrieve"]["egress"] if _ports([rule]) == {104}]
    assert called[0]["to"] == [{"ipBlock": {"cidr": "192.0.2.3/32"}}]
    assert not render(PLAIN, 'networkPolicy={"enabled": false}').of("NetworkPolicy")


def test_who_calls_peers_reaches_the_receivers_and_servers_of_routes_as_well() -> None:
    receivers = '[{"name": "RIS", "host": "192.0.2.30", "port": 2575}, {"name": "EHR", "host": "ehr", "port": 2576}]'
    servers = '[{"name": "C", "url": "https://c.example/rs"}, {"name": "N", "url": "https://n.example:8443/rs"}]'
    routing = f'settings.routing={{"receivers": {receivers}, "servers": {servers}}}'
    policies = {
        name.removeprefix("r-gantry-"): m["spec"] for name, m in render(PLAIN, routing).of("NetworkPolicy").items()
    }
    outside = {2575, 2576, 443, 8443}
    assert {role for role in policies if _ports(policies[role]["egress"]) >= outside} == {
        *("ingest", "retrieve", "commitment", "mixed")
    }
    assert not any(_ports(policies[role]["egress"]) & outside for role in ("query", "orders", "indexer"))
    (told,) = [rule for rule in policies["retrieve"]["egress"] if _ports([rule]) == {2575}]
    assert told["to"] == [{"ipBlock": {"cidr": "192.0.2.30/32"}}]


def test_peers_of_somebody_elses_configmap_may_be_anywhere() -> None:
    rendered = render(PLAIN, 'existingPeers="theirs"')
    assert "r-gantry-peers" not in rendered.of("ConfigMap")
    volumes = {one["name"]: one for one in rendered.pod("retrieve")["volumes"]}
    assert volumes["peers"]["configMap"] == {"name": "theirs"}
    egress = rendered.of("NetworkPolicy")["r-gantry-retrieve"]["spec"]["egress"]
    assert {"ports": [{"port": 1, "endPort": 65535, "protocol": "TCP"}]} in egress


def test_a_change_of_peers_restarts_nothing_and_a_change_of_settings_every_pod() -> None:
    def checksums(*given: str) -> set[str]:
        workloads = render(PLAIN, *given).workloads().values()
        return {one["spec"]["template"]["metadata"]["annotations"]["checksum/settings"] for one in workloads}

    assert checksums() == checksums("peers=[]")
    assert not checksums() & checksums('settings.logs={"level": "debug"}')


def test_large_numbers_survive_helm(tmp_path: Path) -> None:
    rendered = render(PLAIN, 'settings.dimse={"max_object": 34359738368}', 'settings.upkeep={"verify_rate": 1e9}')
    settings = rendered.settings("ingest", tmp_path)
    assert (settings.dimse.max_object, settings.upkeep.verify_rate) == (34359738368, 1e9)


def test_services_believe_the_pods_network_and_the_door_only_who_is_named(tmp_path: Path) -> None:
    rendered = render(PLAIN)
    assert [str(one) for one in rendered.settings("ingest", tmp_path).dimse.proxy_from] == ["10.244.0.0/16"]
    assert rendered.settings("door", tmp_path).dimse.proxy_from == ()
    given = 'door={"proxyFrom": ["192.0.2.7/32", "192.0.2.8/32"], "httpProxyFrom": ["192.0.2.9/32"]}'
    door = render(PLAIN, given).settings("door", tmp_path)
    assert [str(one) for one in door.dimse.proxy_from] == ["192.0.2.7/32", "192.0.2.8/32"]
    assert [str(one) for one in door.http.proxy_from] == ["192.0.2.9/32"]


KEY = "/etc/gantry/secrets/door-key"


def _mounts_key(pod: dict[str, Any]) -> bool:
    sources = [one for volume in pod["volumes"] for one in volume.get("projected", {}).get("sources", [])]
    items = [item for one in sources for item in one.get("secret", {}).get("items", [])]
    return {"key": "key", "path": "door-key"} in items


def test_door_and_services_get_their_key_from_a_secret_and_jobs_none(tmp_path: Path) -> None:
    rendered = render(PLAIN, 'secrets.doorKey={"name": "theirs", "key": "key"}')
    for role in ROLES:
        assert str(rendered.settings(role, tmp_path).door.key_file) == KEY, role
        assert _mounts_key(rendered.pod(role)), role
    for job in rendered.of("CronJob").values():
        assert not _mounts_key(job["spec"]["jobTemplate"]["spec"]["template"]["spec"])


def test_who_opens_the_object_store_gets_the_keys_that_objects_are_encrypted_with_and_the_door_none(
    tmp_path: Path,
) -> None:
    rendered = render(PLAIN, 'secrets.encryption={"name": "theirs", "keys": "all"}')
    mounted = "/etc/gantry/secrets/encryption"
    for role in ROLES:
        assert (mounted in _mounted_files(rendered, role)) == (role != "door"), role
        assert (str(rendered.settings(role, tmp_path).encryption.key_file) == mounted) == (role != "door"), role
    for name, job in rendered.of("CronJob").items():
        pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        environment = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}
        assert environment.get("GANTRY_ENCRYPTION__KEY_FILE") == (None if "canary" in name else mounted), name


def test_the_door_gets_the_key_before_services_ask_for_it(tmp_path: Path) -> None:
    rendered = render(PLAIN, 'secrets.doorKey={"name": "theirs", "key": "key", "services": false}')
    assert {role for role in ROLES if rendered.settings(role, tmp_path).door.key_file} == {"door"}
    assert {role for role in ROLES if _mounts_key(rendered.pod(role))} == {"door"}


def test_no_key_is_asked_for_where_none_is_named(tmp_path: Path) -> None:
    rendered = render(PLAIN, 'secrets.doorKey={"name": ""}')
    assert not [role for role in ROLES if rendered.settings(role, tmp_path).door.key_file]
    assert "settings.door.key_file" in refusal(PLAIN, 'settings.door={"key_file": "/etc/key"}')


@pytest.mark.parametrize(("plain", "names"), [("true", ["dicom", "dicom-tls"]), ("false", ["dicom-tls"])])
def test_the_door_is_reached_over_tls_beside_plain_dicom_or_alone(plain: str, names: list[str]) -> None:
    rendered = render(PLAIN, 'secrets.tls={"name": "tls"}', f"door.service.plain={plain}")
    service = rendered.of("Service")["r-gantry"]
    assert [port["name"] for port in service["spec"]["ports"]] == names
    assert service["spec"]["externalTrafficPolicy"] == "Local"


HL7 = ("settings.hl7.port=2575", 'settings.hl7.admit=["192.0.2.0/24"]')


def test_messages_come_in_at_a_port_of_the_door_where_settings_open_it(tmp_path: Path) -> None:
    assert "r-gantry-hl7" not in render(PLAIN).of("Service")
    source = '[{"ipBlock": {"cidr": "192.0.2.0/24"}}]'
    rendered = render(PLAIN, *HL7, 'hl7.service={"type": "LoadBalancer"}', f"networkPolicy.messages={source}")
    service = rendered.of("Service")["r-gantry-hl7"]["spec"]
    assert (service["type"], service["externalTrafficPolicy"]) == ("LoadBalancer", "Local")
    assert service["selector"]["app.kubernetes.io/component"] == "door"
    assert service["ports"] == [{"name": "hl7", "port": 2575, "targetPort": "hl7"}]
    assert rendered.settings("door", tmp_path).door.hl7 == ("r-gantry-orders:2575",)
    assert not rendered.settings("door", tmp_path).hl7.proxy_from
    behind = rendered.settings("orders", tmp_path).hl7
    assert (behind.port, behind.tls, [str(one) for one in behind.proxy_from]) == (2575, False, ["10.244.0.0/16"])
    opened = {role for role in ROLES if "hl7" in {port["name"] for port in rendered.container(role)["ports"]}}
    assert opened == {"door", "orders", "mixed"}
    policies = rendered.of("NetworkPolicy")
    port = [{"port": 2575, "protocol": "TCP"}]
    assert {"from": json.loads(source), "ports": port} in policies["r-gantry-door"]["spec"]["ingress"]
    door, orders = (_pods_of(rendered, role) for role in ("door", "orders"))
    assert {"from": [door], "ports": port} in policies["r-gantry-orders"]["spec"]["ingress"]
    assert {"to": [orders], "ports": port} in policies["r-gantry-door"]["spec"]["egress"]
    assert {"from": json.loads(source), "ports": port} not in policies["r-gantry-orders"]["spec"]["ingress"]
    assert _ports(rendered.of("NetworkPolicy")["r-gantry-query"]["spec"]["ingress"]) == {11114, 8082}


def test_messages_go_to_who_plays_all_roles_where_nobody_plays_orders_alone(tmp_path: Path) -> None:
    rendered = render(PLAIN, *HL7, "roles.orders.enabled=false")
    assert rendered.settings("door", tmp_path).door.hl7 == ("r-gantry-mixed:2575",)
    policies = rendered.of("NetworkPolicy")
    port = [{"port": 2575, "protocol": "TCP"}]
    assert {"from": [_pods_of(rendered, "door")], "ports": port} in policies["r-gantry-mixed"]["spec"]["ingress"]


def _pods_of(rendered: Rendered, role: str) -> dict[str, Any]:
    selector = rendered.of("NetworkPolicy")[f"r-gantry-{role}"]["spec"]["podSelector"]
    return {"podSelector": selector}


def test_monitoring_finds_every_role_and_reaches_it(tmp_path: Path) -> None:
    rendered = render(PLAIN, 'serviceMonitor={"enabled": true}', 'networkPolicy.monitoring=[{"namespaceSelector": {}}]')
    (monitor,) = rendered.of("ServiceMonitor").values()
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    found = [m for m in rendered.of("Service").values() if wanted <= m["metadata"]["labels"].items()]
    assert {m["spec"]["selector"]["app.kubernetes.io/component"] for m in found} == ROLES
    for role in ROLES:
        rules = rendered.of("NetworkPolicy")[f"r-gantry-{role}"]["spec"]["ingress"]
        http = {port["name"]: port["containerPort"] for port in rendered.container(role)["ports"]}["http"]
        assert {"from": [{"namespaceSelector": {}}], "ports": [{"port": http, "protocol": "TCP"}]} in rules


def test_alert_rules_of_the_chart_are_those_of_prometheus_with_links_to_ones_own_pages() -> None:
    assert render(PLAIN).of("PrometheusRule") == {}
    given = 'prometheusRule={"enabled": true, "labels": {"release": "p"}, "runbooks": "https://wiki.example/"}'
    (rule,) = render(PLAIN, given).of("PrometheusRule").values()
    assert rule["metadata"]["labels"]["release"] == "p"
    text = (ROOT / "deploy" / "monitoring" / "rules.yaml").read_text()
    assert rule["spec"] == YAML(typ="safe").load(text.replace("docs/runbooks/", "https://wiki.example/"))


def test_jobs_stand_ready_and_run_by_themselves_only_where_told() -> None:
    rendered = render(PLAIN, 'jobs.sweep={"suspend": false, "arguments": ["--all"]}')
    jobs = {name.removeprefix("r-gantry-"): job["spec"] for name, job in rendered.of("CronJob").items()}
    assert {name: job["suspend"] for name, job in jobs.items()} == {
        "sweep": False,
        "verify": True,
        "reindex": True,
        "restore": True,
    }
    arguments = {
        name: job["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"] for name, job in jobs.items()
    }
    assert arguments == {
        "sweep": ["sweep", "--all"],
        "verify": ["verify"],
        "reindex": ["reindex"],
        "restore": ["restore"],
    }


def test_the_phantoms_ae_title_is_admitted_from_pods_and_only_where_it_is_wanted() -> None:
    def titles(*given: str) -> str:
        return str(render(PLAIN, *given).of("ConfigMap")["r-gantry-peers"]["data"]["peers.yaml"])

    assert "GANTRY_TEST" in titles('helmTest={"enabled": true}')
    assert "GANTRY_TEST" not in titles('helmTest={"enabled": false}')


def test_a_canary_is_there_where_it_is_wanted_reaches_the_door_alone_and_is_scraped() -> None:
    assert "r-gantry-canary" not in render(PLAIN).of("Deployment")
    wanted = 'canary={"enabled": true, "every": 30, "arguments": ["--deadline=60"]}'
    given = wanted, 'networkPolicy={"modalities": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}'
    rendered = render(PLAIN, *given, 'serviceMonitor={"enabled": true}')
    (container,) = rendered.of("Deployment")["r-gantry-canary"]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == [
        "canary",
        "GANTRY@r-gantry:11112",
        "--aet=GANTRY_CANARY",
        "--every=30",
        "--metrics-port=9105",
        "--deadline=60",
    ]
    assert "GANTRY_CANARY" in str(rendered.of("ConfigMap")["r-gantry-peers"]["data"]["peers.yaml"])
    own = rendered.of("NetworkPolicy")["r-gantry-canary"]["spec"]
    assert "'app.kubernetes.io/component': 'door'" in str(own["egress"])
    assert "'app.kubernetes.io/component': 'canary'" in str(
        rendered.of("NetworkPolicy")["r-gantry-door"]["spec"]["ingress"]
    )
    assert rendered.of("Service")["r-gantry-canary"]["metadata"]["labels"]["gantry/metrics"] == "yes"
