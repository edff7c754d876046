"""Autoscaling on a node, by KEDA itself: indexers by the lag of their group, ingest by open associations, up and down,
under a continuous load of stores."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path

import pytest

from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN
from gantry.common.net import Peer, connect
from tests.kubernetes.load import Load
from tests.kubernetes.node import Node
from tests.kubernetes.scaling import ready, wait_wanted
from tests.kubernetes.site import NAMESPACE, Site
from tests.monitoring.prometheus import Prometheus, prometheus
from tests.support.answering import wait_for

pytestmark = pytest.mark.timeout(900)

_CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture(scope="module")
def scaled(with_keda: Node, site: Site) -> Iterator[Site]:
    """The release on a node that has KEDA."""
    yield site
    site.upgrade("--set", "keda.enabled=false,keda.associations.prometheus=,roles.ingest.autoscaling.enabled=false")


def _wait_wanted(site: Site, role: str, number: int, seconds: float) -> None:
    wait_wanted(site, role, number, seconds, "keda", "keda-metrics", "keda-webhooks")


def test_indexers_follow_the_lag_of_their_group_up_and_down(scaled: Site, tmp_path: Path) -> None:
    scaled.upgrade(
        *("--set", "keda.enabled=true,keda.minReplicas=1,keda.maxReplicas=3,keda.lagThreshold=25"),
        *("--set", "keda.pollingInterval=5,keda.cooldownPeriod=20"),
    )
    _wait_wanted(scaled, "indexer", 1, 240)
    with Load(scaled.peer, tmp_path) as load:
        (only,) = ready(scaled, "indexer")
        scaled.node.pause_container(only)  # as a machine that is overloaded: nothing is indexed, all is taken
        try:
            _wait_wanted(scaled, "indexer", 3, 120)
            wait_for(lambda: len(ready(scaled, "indexer")) >= 2, 120, "more indexers")
        finally:
            scaled.node.pause_container(only, resume=True)
    print("indexers by lag:", load.in_words())
    load.check()
    load.check_polite()
    _wait_wanted(scaled, "indexer", 1, 300)


@contextmanager
def _associations(peer: Peer, number: int) -> Iterator[None]:
    """Associations that propose to store and are idle, as those of modalities between two images."""
    ready, end = threading.Event(), threading.Event()

    async def hold() -> None:
        async with AsyncExitStack() as stack:
            for _ in range(number):
                await stack.enter_async_context(connect(peer, [(_CT, [EXPLICIT_LITTLE_ENDIAN])]))
            ready.set()
            await asyncio.to_thread(end.wait)

    thread = threading.Thread(target=lambda: asyncio.run(hold()), name="idle associations")
    thread.start()
    assert ready.wait(60)
    try:
        yield
    finally:
        end.set()
        thread.join(60)


@contextmanager
def _watched(site: Site, folder: Path) -> Iterator[Prometheus]:
    """A Prometheus that scrapes both pods of the door."""
    with ExitStack() as stack:
        doors = [pod["metadata"]["name"] for pod in site.pods("door")]
        ports = [stack.enter_context(site.forwarded(f"pod/{door}", 8080)) for door in doors]
        yield stack.enter_context(prometheus(folder, *ports))


def test_ingest_follows_open_associations_up_and_down(scaled: Site, tmp_path: Path) -> None:
    with _watched(scaled, tmp_path) as watching:
        scaled.upgrade(
            *("--set", "roles.ingest.autoscaling.enabled=true,roles.ingest.autoscaling.minReplicas=1"),
            *("--set", "roles.ingest.autoscaling.maxReplicas=3,roles.ingest.autoscaling.cpu=0"),
            *("--set", f"keda.associations.prometheus=http://127.0.0.1:{watching.port},keda.associations.perPod=8"),
            *("--set", "keda.pollingInterval=5,keda.cooldownPeriod=20"),
        )
        _wait_wanted(scaled, "ingest", 1, 240)
        with Load(scaled.peer, tmp_path / "load") as load:
            with _associations(scaled.peer, 20):
                _wait_wanted(scaled, "ingest", 3, 120)
                wait_for(lambda: len(ready(scaled, "ingest")) == 3, 120, "three that are ready")
            _wait_wanted(scaled, "ingest", 1, 300)
            wait_for(lambda: len(scaled.pods("ingest")) == 1, 120, "the end of the others")
        print("ingest by associations:", load.in_words())
        load.check()
        load.check_polite()


def test_keda_takes_over_from_the_autoscaler_by_cpu_and_hands_back(scaled: Site) -> None:
    """KEDA's webhooks refuse a workload that has another autoscaler; at that moment it has the chart's own still."""
    by_cpu = "roles.query.autoscaling.enabled=true,roles.query.autoscaling.minReplicas=1,roles.query.autoscaling.cpu=70"
    prometheus = "keda.associations.prometheus={}".format
    before = scaled.uids("query")
    try:
        scaled.upgrade("--set", "roles.ingest.autoscaling.enabled=false")
        for url, autoscaler in (("", "gantry-query"), ("http://127.0.0.1:9", "keda-hpa-gantry-query")):
            scaled.upgrade("--set", by_cpu, "--set", prometheus(url))
            wait_for(lambda: _autoscalers(scaled, "gantry-query") == [autoscaler], 60, autoscaler)
        scaled.upgrade("--set", prometheus(""))
        wait_for(lambda: _autoscalers(scaled, "gantry-query") == ["gantry-query"], 60, "the one by CPU")
        second = _scaled_object(scaled, "gantry-query")
        done = scaled.node.try_kubectl("-n", NAMESPACE, "apply", "-f", "-", text=json.dumps(second))
        assert done.returncode == 0, done.stderr
        third = second | {"metadata": {"name": "another"}}
        done = scaled.node.try_kubectl("-n", NAMESPACE, "apply", "-f", "-", text=json.dumps(third))
        assert "already managed by" in done.stderr
    finally:
        scaled.node.try_kubectl("-n", NAMESPACE, "delete", "scaledobject", "by-hand")
        scaled.upgrade("--set", "roles.query.autoscaling.enabled=false")
    assert scaled.uids("query") == before


def _autoscalers(site: Site, workload: str) -> list[str]:
    autoscalers = site.node.get("horizontalpodautoscalers", NAMESPACE)
    return sorted(
        autoscaler["metadata"]["name"]
        for autoscaler in autoscalers
        if autoscaler["spec"]["scaleTargetRef"]["name"] == workload
    )


def _scaled_object(site: Site, workload: str) -> dict[str, object]:
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "by-hand"},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": workload},
            "minReplicaCount": 1,
            "triggers": [
                {
                    "type": "cron",
                    "metadata": {"timezone": "UTC", "start": "0 6 * * *", "end": "0 20 * * *", "desiredReplicas": "1"},
                }
            ],
        },
    }
