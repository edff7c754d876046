"""The chart as it is rendered: values that are refused, what each role gets, and that it can read its settings."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from gantry.services.roles import Role, dimse_port, http_port
from tests.kubernetes.chart import (
    CHART,
    EXAMPLES,
    PLAIN,
    ROLES,
    mounted_files,
    refusal,
    render,
    try_helm,
)
from tests.support.archive import ROOT

TEST_VALUES = ROOT / "tests" / "kubernetes" / "values.yaml"
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
            assert int(port) in [port_entry["port"] for port_entry in services[name]["spec"]["ports"]]
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
        mounted = mounted_files(rendered, role)
        assert {str(file) for file in files if file is not None} <= mounted


def test_audit_records_outlive_their_pod_where_a_claim_is_given(tmp_path: Path) -> None:
    rendered = render(PLAIN, 'auditSpool={"claim": "audit"}')
    for role in ROLES:
        spool = rendered.settings(role, tmp_path).audit.spool
        (mount,) = (
            volume_mount
            for volume_mount in rendered.container(role)["volumeMounts"]
            if volume_mount["mountPath"] == str(spool)
        )
        (volume,) = (pod_volume for pod_volume in rendered.pod(role)["volumes"] if pod_volume["name"] == mount["name"])
        assert volume["persistentVolumeClaim"] == {"claimName": "audit"}
    assert rendered.settings("ingest", tmp_path).audit.spool is not None
    assert render(PLAIN).settings("ingest", tmp_path).audit.spool is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ('shadowSpool={"size": "20Gi"}', {"emptyDir": {"sizeLimit": "20Gi"}}),
        ('shadowSpool={"claim": "shadow"}', {"persistentVolumeClaim": {"claimName": "shadow"}}),
    ],
)
def test_the_door_has_a_spool_for_shadow_mode_and_nobody_else(tmp_path: Path, value: str, kind: object) -> None:
    rendered = render(PLAIN, 'settings.door={"shadow": {"dimse": "old.example:4242"}}', value)
    spool = rendered.settings("door", tmp_path).door.shadow.spool
    (mount,) = (
        volume_mount
        for volume_mount in rendered.container("door")["volumeMounts"]
        if volume_mount["mountPath"] == str(spool)
    )
    (volume,) = (pod_volume for pod_volume in rendered.pod("door")["volumes"] if pod_volume["name"] == mount["name"])
    assert volume == {"name": "shadow", **kind}  # type: ignore[dict-item]
    assert not any(pod_volume["name"] == "shadow" for pod_volume in rendered.pod("ingest")["volumes"])


@pytest.mark.parametrize(
    ("value", "words"),
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
def test_values_that_cannot_be_are_refused_in_words(value: str, words: str) -> None:
    assert words in refusal(PLAIN, value)


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
        named = [
            variable for variable in rendered.container(role)["env"] if variable["name"] == "GANTRY_KAFKA__INSTANCE_ID"
        ]
        wanted = {"fieldRef": {"fieldPath": "metadata.name"}}
        assert [variable["valueFrom"] for variable in named] == ([wanted] if kinds[role] == "StatefulSet" else [])


def test_start_life_and_readiness_are_told_apart_and_the_door_is_ready_without_its_pools() -> None:
    rendered = render(PLAIN)
    for role in ROLES:
        container = rendered.container(role)
        paths = [container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
        assert paths == ["/startz", "/healthz", "/startz" if role == "door" else "/readyz"]


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


def test_each_role_has_a_disruption_budget_that_a_pod_waiting_for_a_store_does_not_use_up() -> None:
    budgets = render(PLAIN, 'roles.ingest={"maxUnavailable": "25%"}').of("PodDisruptionBudget")
    assert set(budgets) == {f"r-gantry-{role}" for role in ROLES}
    assert {
        name: budget["spec"]["maxUnavailable"] for name, budget in budgets.items() if name != "r-gantry-ingest"
    } == {f"r-gantry-{role}": 1 for role in ROLES - {"ingest"}}
    assert budgets["r-gantry-ingest"]["spec"]["maxUnavailable"] == "25%"
    assert {budget["spec"]["unhealthyPodEvictionPolicy"] for budget in budgets.values()} == {"AlwaysAllow"}


def test_a_change_of_peers_restarts_nothing_and_a_change_of_settings_every_pod() -> None:
    def checksums(*arguments: str) -> set[str]:
        workloads = render(PLAIN, *arguments).workloads().values()
        return {workload["spec"]["template"]["metadata"]["annotations"]["checksum/settings"] for workload in workloads}

    assert checksums() == checksums("peers=[]")
    assert not checksums() & checksums('settings.logs={"level": "debug"}')


def test_large_numbers_survive_helm(tmp_path: Path) -> None:
    rendered = render(PLAIN, 'settings.dimse={"max_object": 34359738368}', 'settings.upkeep={"verify_rate": 1e9}')
    settings = rendered.settings("ingest", tmp_path)
    assert (settings.dimse.max_object, settings.upkeep.verify_rate) == (34359738368, 1e9)


@pytest.mark.parametrize(("plain", "names"), [("true", ["dicom", "dicom-tls"]), ("false", ["dicom-tls"])])
def test_the_door_is_reached_over_tls_beside_plain_dicom_or_alone(plain: str, names: list[str]) -> None:
    rendered = render(PLAIN, 'secrets.tls={"name": "tls"}', f"door.service.plain={plain}")
    service = rendered.of("Service")["r-gantry"]
    assert [port["name"] for port in service["spec"]["ports"]] == names
    assert service["spec"]["externalTrafficPolicy"] == "Local"


def test_alert_rules_of_the_chart_are_those_of_prometheus_with_links_to_ones_own_pages() -> None:
    assert render(PLAIN).of("PrometheusRule") == {}
    value = 'prometheusRule={"enabled": true, "labels": {"release": "p"}, "runbooks": "https://wiki.example/"}'
    (rule,) = render(PLAIN, value).of("PrometheusRule").values()
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
    def titles(*arguments: str) -> str:
        return str(render(PLAIN, *arguments).of("ConfigMap")["r-gantry-peers"]["data"]["peers.yaml"])

    assert "GANTRY_TEST" in titles('helmTest={"enabled": true}')
    assert "GANTRY_TEST" not in titles('helmTest={"enabled": false}')
