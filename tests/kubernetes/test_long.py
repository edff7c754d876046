"""The long part: what happens to a cluster over the years, under load: upgrades and back, pods killed, nodes emptied.

Run before an issue ends, and whenever chart or lifecycle change; the figures are in docs/kubernetes.md.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from tests.kubernetes.load import Load
from tests.kubernetes.site import CHART, NAMESPACE, RELEASE, ROLES, Site
from tests.support.answering import wait_for
from tests.support.dcmtk import run

pytestmark = pytest.mark.timeout(900)


def _image(site: Site) -> str:
    """The image of the release; pods of the one before may still be ending."""
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    return site.kubectl("get", site.workload("ingest"), "-o", path).strip()


def _ready(site: Site, role: str) -> list[str]:
    """The names of a role's pods that are ready and not ending."""
    return [
        pod["metadata"]["name"]
        for pod in site.pods(role)
        if "deletionTimestamp" not in pod["metadata"]
        and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
    ]


def test_upgrade_to_another_version_and_rollback_under_load_lose_and_double_nothing(site: Site, tmp_path: Path) -> None:
    before = _image(site)
    repository, _, _ = before.partition(":")
    site.node.tag(before, f"{repository}:next")
    with Load(site.peer, tmp_path) as load:
        pods = site.uids(*ROLES)
        site.upgrade("--set", "image.tag=next", "--set", "settings.logs.level=warning")
        assert _image(site) == f"{repository}:next"
        site.wait_gone(pods)
        pods = site.uids(*ROLES)
        site.node.helm("-n", NAMESPACE, "rollback", RELEASE, "--wait", "--timeout", "5m")
        assert _image(site) == before
        site.wait_gone(pods)
    print("upgrade and rollback:", load.in_words())
    load.check()
    load.check_polite()


def test_version_that_is_killed_for_want_of_memory_never_takes_the_place_of_the_one_that_runs(
    site: Site, tmp_path: Path
) -> None:
    running = set(_ready(site, "ingest"))
    little = {"requests": {"memory": "40Mi"}, "limits": {"memory": "40Mi"}}
    command = ("-n", NAMESPACE, "upgrade", RELEASE, str(CHART), "--reuse-values", "--wait", "--timeout", "45s")
    with Load(site.peer, tmp_path) as load:
        try:
            done = site.node.try_helm(*command, "--set-json", f"roles.ingest.resources={json.dumps(little)}")
            assert done.returncode != 0
            assert "OOMKilled" in _reasons(site, "ingest"), done.stderr
            assert set(_ready(site, "ingest")) == running
        finally:
            site.node.helm("-n", NAMESPACE, "rollback", RELEASE, "--wait", "--timeout", "5m")
    print("killed for want of memory:", load.in_words())
    load.check()
    load.check_polite()


def _reasons(site: Site, role: str) -> set[str]:
    """Why containers of a role have ended."""
    return {
        ended["reason"]
        for pod in site.pods(role)
        for status in pod["status"].get("containerStatuses", [])
        for state in (status.get("state", {}), status.get("lastState", {}))
        if (ended := state.get("terminated")) is not None
    }


def test_processes_killed_one_after_the_other_lose_and_double_nothing(site: Site, tmp_path: Path) -> None:
    with Load(site.peer, tmp_path) as load:
        for role in ("ingest", "indexer", "door", "mixed", "ingest"):
            time.sleep(5)
            pod = next(
                candidate for candidate in site.pods(role) if candidate["metadata"]["name"] in _ready(site, role)
            )
            restarts = _restarts(site, pod["metadata"]["name"])
            site.node.kill_container(pod["metadata"]["uid"])
            wait_for(lambda: _restarts(site, pod["metadata"]["name"]) > restarts, 60, "the kubelet")
        site.wait_rolled_out(*ROLES)
    print("killed one after the other:", load.in_words())
    load.check()


def _restarts(site: Site, name: str) -> int:
    pod = json.loads(site.kubectl("get", "pod", name, "-o", "json"))
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


def test_node_that_is_emptied_waits_for_the_budget_of_each_role(site: Site, tmp_path: Path) -> None:
    with Load(site.peer, tmp_path) as load:
        first, second = _ready(site, "ingest")
        assert _evict(site, first) == ""
        refused = _evict(site, second)
        assert "disruption budget" in refused, refused
        site.wait_rolled_out("ingest")
        wait_for(lambda: _evict(site, second) == "", 60, "the budget")
        site.wait_rolled_out("ingest")
    print("evicted:", load.in_words())
    load.check()
    load.check_polite()


def _evict(site: Site, pod: str) -> str:
    """What the API server says against it; "" where the pod is evicted."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NAMESPACE}}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
    done = site.node.try_kubectl("create", "--raw", path, "-f", "-", text=json.dumps(eviction))
    return "" if done.returncode == 0 else done.stderr


def test_pod_whose_scratch_disk_is_full_is_taken_away_and_nothing_is_lost(site: Site, tmp_path: Path) -> None:
    site.upgrade("--set", "roles.ingest.tmp=64Mi")
    with Load(site.peer, tmp_path) as load:
        full = _ready(site, "ingest")[0]
        site.kubectl("exec", full, "--", "dd", "if=/dev/zero", "of=/tmp/full", "bs=1M", "count=90")
        wait_for(lambda: full not in _ready(site, "ingest"), 120, "the kubelet's look at the disk")
        site.wait_rolled_out("ingest")
        phase = site.kubectl("get", "pod", full, "--ignore-not-found", "-o", "jsonpath={.status.reason}")
        assert phase in ("Evicted", ""), phase
    print("a full scratch disk:", load.in_words())
    load.check()
    site.node.helm("-n", NAMESPACE, "rollback", RELEASE, "--wait", "--timeout", "5m")


def test_indexer_that_is_restarted_keeps_its_partitions_and_the_others_theirs(site: Site, tmp_path: Path) -> None:
    def assigned(pod: str) -> int:
        return site.logs(pod).count('"partitions assigned"')

    before = assigned(f"{RELEASE}-indexer-0")
    with Load(site.peer, tmp_path, senders=1) as load:
        started = time.monotonic()
        site.kubectl("delete", "pod", f"{RELEASE}-indexer-1", seconds=90)
        wait_for(lambda: f"{RELEASE}-indexer-1" in _ready(site, "indexer"), 90, "the indexer")
        print(f"indexer ready again after {time.monotonic() - started:.1f} s")
        time.sleep(10)
    load.check()
    assert before > 0
    assert assigned(f"{RELEASE}-indexer-0") == before, "the other member was given other partitions"


def test_peer_that_is_added_gets_in_without_a_restart(site: Site) -> None:
    before = site.uids(*ROLES)
    address = ("-aet", "NEWCOMER", "-aec", "GANTRY", "127.0.0.1", site.node_port)
    assert run("echoscu", *address).returncode != 0
    peers = json.loads(site.node.helm("-n", NAMESPACE, "get", "values", RELEASE, "-o", "json"))["peers"]
    peers.append({"ae_title": "NEWCOMER", "from": ["127.0.0.0/8", "10.187.0.0/16"], "may": ["echo"]})
    started = time.monotonic()
    site.upgrade("--set-json", f"peers={json.dumps(peers)}")
    wait_for(lambda: all(run("echoscu", *address).returncode == 0 for _ in range(8)), 120, "every pod to admit it")
    print(f"a new peer is admitted by every pod after {time.monotonic() - started:.1f} s")
    assert site.uids(*ROLES) == before
    site.node.helm("-n", NAMESPACE, "rollback", RELEASE, "--wait", "--timeout", "5m")


def test_jobs_that_stand_ready_run_and_say_what_they_did(site: Site) -> None:
    assert re.search(r"objects examined\W+\d+\W", site.run_job("sweep"))
    assert re.search(r"instances now\W+\d+\W", site.run_job("reindex"))


def test_pod_that_is_not_restricted_is_not_admitted_beside_gantry(site: Site) -> None:
    done = site.node.try_kubectl("-n", NAMESPACE, "run", "root", f"--image={_image(site)}")
    assert 'violates PodSecurity "restricted' in done.stderr
