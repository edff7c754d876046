"""The chart's HorizontalPodAutoscaler on a node with a metrics server: up under load, and down again with drain."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes import cpu_metrics
from tests.kubernetes.load import Load
from tests.kubernetes.scaling import ready, wait_wanted
from tests.kubernetes.site import NAMESPACE, Site
from tests.support.answering import wait_for
from tests.support.server import Unavailable
from tests.support.servers import skip

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def measured(site: Site) -> Iterator[Site]:
    """The release on a node where the CPU of pods is known."""
    if os.environ.get("GANTRY_TEST_NODE"):
        skip("metrics-server", "a node that somebody holds ends without it")
    try:
        cpu_metrics.begin(site.node)
    except Unavailable as error:
        skip("metrics-server", str(error))
    yield site
    site.upgrade("--set", "roles.ingest.autoscaling.enabled=false")


def test_ingest_follows_its_cpu_up_and_down(measured: Site, tmp_path: Path) -> None:
    site = measured
    # A tenth of what a pod takes on an idle machine: beside other work it gets no more.
    site.upgrade(
        *("--set", "roles.ingest.resources.requests.cpu=50m,roles.ingest.autoscaling.enabled=true"),
        *("--set", "roles.ingest.autoscaling.minReplicas=1,roles.ingest.autoscaling.maxReplicas=3"),
        *("--set", "roles.ingest.autoscaling.cpu=80,roles.ingest.autoscaling.stabilization=20"),
    )
    wait_wanted(site, "ingest", 1, 240, "metrics-server")
    started = time.monotonic()
    with Load(site.peer, tmp_path / "many", senders=6, pause=0.0) as many:
        wait_wanted(site, "ingest", 3, 180, "metrics-server")
        print(f"three of ingest are wanted {time.monotonic() - started:.0f} s after the load began")
        wait_for(lambda: len(ready(site, "ingest")) == 3, 120, "three that are ready")
        print(site.node.kubectl("top", "pods", "-n", NAMESPACE))
    started = time.monotonic()
    with Load(site.peer, tmp_path / "few", senders=1, pause=4.0) as few:
        wait_wanted(site, "ingest", 1, 400, "metrics-server")
        wait_for(lambda: len(site.pods("ingest")) == 1, 120, "the end of the others")
    print(f"one again {time.monotonic() - started:.0f} s after it ended")
    for name, load in {"up": many, "down": few}.items():
        print(f"ingest by CPU, {name}:", load.in_words())
        load.check()
        load.check_polite()
