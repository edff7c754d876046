"""How the chart scales roles."""

from __future__ import annotations

import pytest

from gantry.common.events import InstanceStored
from gantry.common.events.topics import TOPICS
from tests.kubernetes.chart import (
    CHART,
    PLAIN,
    ROLES,
    render,
)


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
