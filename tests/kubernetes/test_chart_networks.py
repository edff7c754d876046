"""The chart's network policies: who reaches whom, by what its values and peers name."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from tests.kubernetes.chart import (
    PLAIN,
    ROLES,
    Rendered,
    ports_of,
    render,
)
from tests.support.archive import ROOT


def test_in_shadow_mode_the_door_reaches_the_other_archive_and_the_bucket(tmp_path: Path) -> None:
    value = 'settings.door={"shadow": {"dimse": "old.example:4242", "url": "https://old.example:8043/dicom-web"}}'
    plain, shadow = render(PLAIN), render(PLAIN, value)
    before, after = (rendering.of("NetworkPolicy")["r-gantry-door"]["spec"]["egress"] for rendering in (plain, shadow))
    assert ports_of(after) - ports_of(before) == {4242, 8043, 9092, 9200, 7070}
    without_port = render(PLAIN, value.replace(":8043", ""))
    assert 443 in ports_of(without_port.of("NetworkPolicy")["r-gantry-door"]["spec"]["egress"])
    assert shadow.settings("door", tmp_path).door.shadow.dimse == "old.example:4242"
    assert "GANTRY_S3__ACCESS_KEY" in shadow.environment("door")
    assert "GANTRY_S3__ACCESS_KEY" not in plain.environment("door")


def test_pods_reach_what_settings_name_outside_and_nothing_more() -> None:
    values = (
        'settings.access={"issuers": [{"name": "sso", "url": "https://sso.example/r/x", "audience": ["gantry"]}]}',
        'settings.webhooks=[{"name": "ris", "url": "http://ris.example:8099/in", "secret_file": "/x"}]',
        'settings.audit={"syslog": "arr.example:6514"}',
        'settings.subscriptions={"endpoints": ["https://ehr.example:8447/fhir/"], "key_file": "/x"}',
        'settings.http={"url": "https://archive.example"}',
    )
    before, after = (
        {n: m["spec"] for n, m in render(PLAIN, *more).of("NetworkPolicy").items()} for more in ((), values)
    )
    for role in ROLES:
        name = f"r-gantry-{role}"
        assert ports_of(after[name]["egress"]) - ports_of(before[name]["egress"]) >= {8099, 6514, 8447}
        assert 443 in ports_of(after[name]["egress"])
    narrow = 'networkPolicy.services=[{"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]}]'
    egress = render(PLAIN, *values, narrow).of("NetworkPolicy")["r-gantry-query"]["spec"]["egress"]
    assert {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]} in egress
    assert 6514 not in ports_of(egress)


def test_query_reaches_the_archives_that_its_queries_span() -> None:
    federated = render(PLAIN, 'settings.federation={"archives": [{"ae_title": "WORKSTATION"}]}').of("NetworkPolicy")
    assert {104, 11113} <= ports_of(federated["r-gantry-query"]["spec"]["egress"])


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
        assert {104, 11113} <= ports_of(policies[f"r-gantry-{role}"]["spec"]["egress"]), role


def test_networks_of_peers_that_are_added_later_are_opened_beside_those_that_peers_name() -> None:
    rule = '{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 4104, "protocol": "TCP"}]}'
    before, after = (
        render(PLAIN, *more).of("NetworkPolicy") for more in ((), (f"networkPolicy.moreDestinations=[{rule}]",))
    )
    for role in ROLES:
        egress = [policies[f"r-gantry-{role}"]["spec"]["egress"] for policies in (before, after)]
        more = [json.loads(rule)] if role in ("ingest", "retrieve", "commitment", "mixed") else []
        assert [egress_rule for egress_rule in egress[1] if egress_rule not in egress[0]] == more, role


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
    assert {role: ports_of(policies[role]["egress"]) - stores for role in policies} == {
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
    assert ports_of(policies["door"]["egress"]) & stores == {53}
    called = [rule for rule in policies["retrieve"]["egress"] if ports_of([rule]) == {104}]
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
    assert {role for role in policies if ports_of(policies[role]["egress"]) >= outside} == {
        *("ingest", "retrieve", "commitment", "mixed")
    }
    assert not any(ports_of(policies[role]["egress"]) & outside for role in ("query", "orders", "indexer"))
    (egress_rule,) = [rule for rule in policies["retrieve"]["egress"] if ports_of([rule]) == {2575}]
    assert egress_rule["to"] == [{"ipBlock": {"cidr": "192.0.2.30/32"}}]


def test_peers_of_somebody_elses_configmap_may_be_anywhere() -> None:
    rendered = render(PLAIN, 'existingPeers="theirs"')
    assert "r-gantry-peers" not in rendered.of("ConfigMap")
    volumes = {volume["name"]: volume for volume in rendered.pod("retrieve")["volumes"]}
    assert volumes["peers"]["configMap"] == {"name": "theirs"}
    egress = rendered.of("NetworkPolicy")["r-gantry-retrieve"]["spec"]["egress"]
    assert {"ports": [{"port": 1, "endPort": 65535, "protocol": "TCP"}]} in egress


def test_services_believe_the_pods_network_and_the_door_only_who_is_named(tmp_path: Path) -> None:
    rendered = render(PLAIN)
    assert [str(network) for network in rendered.settings("ingest", tmp_path).dimse.proxy_from] == ["10.244.0.0/16"]
    assert rendered.settings("door", tmp_path).dimse.proxy_from == ()
    value = 'door={"proxyFrom": ["192.0.2.7/32", "192.0.2.8/32"], "httpProxyFrom": ["192.0.2.9/32"]}'
    door = render(PLAIN, value).settings("door", tmp_path)
    assert [str(network) for network in door.dimse.proxy_from] == ["192.0.2.7/32", "192.0.2.8/32"]
    assert [str(network) for network in door.http.proxy_from] == ["192.0.2.9/32"]


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
    assert (behind.port, behind.tls, [str(network) for network in behind.proxy_from]) == (
        2575,
        False,
        ["10.244.0.0/16"],
    )
    opened = {role for role in ROLES if "hl7" in {port["name"] for port in rendered.container(role)["ports"]}}
    assert opened == {"door", "orders", "mixed"}
    policies = rendered.of("NetworkPolicy")
    port = [{"port": 2575, "protocol": "TCP"}]
    assert {"from": json.loads(source), "ports": port} in policies["r-gantry-door"]["spec"]["ingress"]
    door, orders = (_pods_of(rendered, role) for role in ("door", "orders"))
    assert {"from": [door], "ports": port} in policies["r-gantry-orders"]["spec"]["ingress"]
    assert {"to": [orders], "ports": port} in policies["r-gantry-door"]["spec"]["egress"]
    assert {"from": json.loads(source), "ports": port} not in policies["r-gantry-orders"]["spec"]["ingress"]
    assert ports_of(rendered.of("NetworkPolicy")["r-gantry-query"]["spec"]["ingress"]) == {11114, 8082}


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
    services = [m for m in rendered.of("Service").values() if wanted <= m["metadata"]["labels"].items()]
    assert {m["spec"]["selector"]["app.kubernetes.io/component"] for m in services} == ROLES
    for role in ROLES:
        rules = rendered.of("NetworkPolicy")[f"r-gantry-{role}"]["spec"]["ingress"]
        http = {port["name"]: port["containerPort"] for port in rendered.container(role)["ports"]}["http"]
        assert {"from": [{"namespaceSelector": {}}], "ports": [{"port": http, "protocol": "TCP"}]} in rules


def test_a_canary_is_there_where_it_is_wanted_reaches_the_door_alone_and_is_scraped() -> None:
    assert "r-gantry-canary" not in render(PLAIN).of("Deployment")
    wanted = 'canary={"enabled": true, "every": 30, "arguments": ["--deadline=60"]}'
    values = wanted, 'networkPolicy={"modalities": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}'
    rendered = render(PLAIN, *values, 'serviceMonitor={"enabled": true}')
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
