"""What a thousand pods would do: how they are spread, what an emptied node may take, how long an update takes."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests.kubernetes import fake_nodes
from tests.kubernetes.large import DEPLOYMENTS, LARGE, REPLICAS, Large, timed
from tests.kubernetes.site import RELEASE, Site
from tests.support.answering import wait_for
from tests.support.server import Unavailable
from tests.support.servers import skip

pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def large(site: Site) -> Iterator[Large]:
    """A thousand pods, of which each has its node and is available."""
    if os.environ.get("GANTRY_TEST_NODE"):
        skip("kwok", "a node that somebody holds ends without it")
    try:
        fake_nodes.begin(site.node, 10)
    except Unavailable as error:
        skip("kwok", str(error))
    release = Large(site.node)
    release.helm()
    with timed("each of a thousand pods has a node"):
        wait_for(lambda: _placed(release) == sum(REPLICAS.values()), 600, "the scheduler")
    with timed("and is available, after"):
        wait_for(release.is_whole, 300, "pods that are available")
    yield release
    site.node.helm("-n", LARGE, "uninstall", "gantry")
    site.node.kubectl("delete", "nodes", "-l", "type=kwok")


def _placed(release: Large) -> int:
    return sum(bool(node) for _, node in release.places())


def test_zones_have_as_many_of_each_role(large: Large) -> None:
    skew = large.skew()
    print("more in one zone than in another:", skew)
    # `ScheduleAnyway` is a wish, which the scheduler weighs against others.
    assert max(skew.values()) <= 3, skew


def test_a_node_is_emptied_within_the_budget_of_each_role(large: Large) -> None:
    name, budget = "fake-b0", "10%"
    for role in DEPLOYMENTS:
        patch = json.dumps({"spec": {"maxUnavailable": budget}})
        large.kubectl("patch", "poddisruptionbudget", f"gantry-{role}", "--type=merge", "-p", patch)
    number = sum(place == name for _, place in large.places())
    with timed(f"{number} pods leave a node, by a budget of {budget}"):
        _while(large, ["drain", name, "--delete-emptydir-data", "--timeout=600s"], _within_budgets)
    assert not [place for _, place in large.places() if place == name]
    large.node.kubectl("uncordon", name)


def _within_budgets(large: Large) -> None:
    for role, (healthy, wanted) in large.budgets().items():
        assert healthy >= wanted, role


def _while(large: Large, command: list[str], check: Callable[[Large], None]) -> None:
    """Run kubectl, and look again and again meanwhile."""
    log = large.node.folder / "drain.log"  # a pipe that nobody reads would stop it: it says each refusal
    with log.open("w") as out:
        process = subprocess.Popen(
            [str(large.node.programs / "kubectl"), *command],
            env={"KUBECONFIG": str(large.node.kubeconfig), "HOME": str(large.node.folder), "PATH": "/usr/bin:/bin"},
            stdout=out,
            stderr=out,
        )
    while process.poll() is None:
        check(large)
        time.sleep(0.5)
    assert process.returncode == 0, log.read_text()[-500:]


def test_an_update_keeps_all_available_and_zones_even(large: Large) -> None:
    wait_for(large.is_whole, 300, "what was emptied")
    started = time.monotonic()
    large.kubectl("rollout", "restart", *(f"deployment/gantry-{role}" for role in DEPLOYMENTS))
    least = dict(REPLICAS)

    def done() -> bool:
        status = large.status()
        for role in DEPLOYMENTS:
            least[role] = min(least[role], status[role].get("availableReplicas", 0))
        return large.is_whole(*DEPLOYMENTS)

    wait_for(done, 900, "the new pods")
    seconds = time.monotonic() - started
    print(f"{sum(REPLICAS[role] for role in DEPLOYMENTS)} pods of Deployments are new after {seconds:.0f} s")
    assert least == REPLICAS, "fewer were available than before"
    skew = large.skew()
    print("more in one zone than in another:", skew)
    assert max(skew[role] for role in DEPLOYMENTS) <= 2, skew


def test_the_door_finds_every_address_of_a_large_role(large: Large, site: Site) -> None:
    for role in ("ingest", "retrieve", "indexer"):
        print(role, "slices, addresses, bytes:", large.slices(role))
    # The door is told names, not addresses: what it reads does not grow.
    assert len(large.kubectl("get", "configmap", "gantry", "-o", "jsonpath={.data.gantry\\.yaml}")) < 4096
    wanted = REPLICAS["retrieve"]
    wait_for(lambda: large.slices("retrieve")[1] == wanted, 120, "the addresses")
    script = (
        "import socket, time; begun = time.monotonic()\n"
        f"found = socket.getaddrinfo('gantry-retrieve.{LARGE}.svc.cluster.local', 11115, type=socket.SOCK_STREAM)\n"
        "print(len({one[4][0] for one in found}), round(time.monotonic() - begun, 3))"
    )
    command = ("exec", f"deployment/{RELEASE}-door", "--", "python", "-c", script)
    wait_for(lambda: site.kubectl(*command).split()[0] == str(wanted), 60, "names that lead to all")
    print("addresses and seconds of a look-up by a pod of the door:", site.kubectl(*command).strip())
