"""The short part: from nothing to every role, what the chart promises of a running release, and a rolling restart."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pydicom
import pytest

from gantry.common.net.mllp_client import MllpClient
from tests.kubernetes.chart import EXAMPLES, tool, try_render, write_schemas
from tests.kubernetes.load import Load
from tests.kubernetes.node import Node
from tests.kubernetes.site import NAMESPACE, RELEASE, ROLES, Site
from tests.support import waiting
from tests.support.answering import wait_for
from tests.support.archive import ROOT
from tests.support.dcmtk import content, find, ok
from tests.support.messages import order
from tests.support.objects import study

pytestmark = pytest.mark.timeout(720)


def test_helm_test_echoes_stores_finds_fetches_and_commits_a_phantom(site: Site) -> None:
    site.node.helm("-n", NAMESPACE, "test", RELEASE, "--timeout", "4m")
    lines = site.logs(f"{RELEASE}-test").splitlines()
    wanted = ["echoed", "stored", "found", "fetched, and the same", "committed"]
    assert [line.removeprefix("phantom: ") for line in lines if line.startswith("phantom: ")] == wanted


def test_dcmtk_stores_finds_and_moves_through_a_port_forward(site: Site, tmp_path: Path) -> None:
    files = study(tmp_path / "sent", 4, series=2, patient="FORWARD")
    uid = str(pydicom.dcmread(files[0].path, stop_before_pixels=True).StudyInstanceUID)
    with site.forwarded() as port:
        address = ("-aet", "MODALITY", "-aec", "GANTRY", "127.0.0.1", port)
        ok("echoscu", *address)
        ok("storescu", "+sd", *address, tmp_path / "sent")
        waiting.wait_searchable(site.peer, uid, 4)
        keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}")
        assert [ds.PatientID for ds in find(address, tmp_path / "found", *keys, "-k", "PatientID")] == ["FORWARD"]
        ok("movescu", *keys, "-aem", "DEST", *address)
    received = site.destination_received(tmp_path / "received")
    sent = {str(pydicom.dcmread(f.path, stop_before_pixels=True).SOPInstanceUID): f.path for f in files}
    assert {name: content(path) for name, path in received.items()} == {n: content(p) for n, p in sent.items()}


async def test_message_comes_in_by_the_door_and_is_applied_behind_it(site: Site) -> None:
    with site.forwarded(f"service/{RELEASE}-hl7", 2575) as port:
        async with MllpClient("127.0.0.1", port, None, 60.0) as sender:
            assert b"MSA|AA" in await sender.send(order())
    # Said when the connection has ended, which is a moment later.
    doors = [pod["metadata"]["name"] for pod in site.pods("door")]
    wait_for(lambda: any("HL7 connection passed on" in site.logs(door) for door in doors), 30.0, "the door's log")


def test_every_pod_runs_restricted_and_writes_nowhere_but_in_its_scratch_folders(site: Site) -> None:
    for role in ROLES:
        name = site.pods(role)[0]["metadata"]["name"]
        script = (
            "id -u; touch /opt/x 2>&1; touch /tmp/x && echo tmp; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/1/status"
        )
        out = site.node.try_kubectl("-n", NAMESPACE, "exec", name, "--", "sh", "-c", script).stdout.split("\n")
        assert out[0] == "10001", role
        assert "Read-only file system" in out[1], role
        assert out[2] == "tmp", role
        facts = dict(line.split(":\t") for line in out[3:] if line)
        assert (int(facts["CapEff"], 16), facts["NoNewPrivs"], facts["Seccomp"]) == (0, "1", "2"), role


def test_network_policies_let_each_pod_reach_what_it_needs_and_nothing_else(site: Site) -> None:
    places = {
        "the door": (f"{RELEASE}.{NAMESPACE}", 11112),
        "HTTP of the door": (f"{RELEASE}-web.{NAMESPACE}", 80),
        "ingest": (f"{RELEASE}-ingest.{NAMESPACE}", 11113),
        "HTTP of the indexer": (f"{RELEASE}-indexer.{NAMESPACE}", 8085),
        "Kafka": ("kafka.stores", 9092),
        "S3": ("s3.stores", 7070),
        "OpenSearch": ("opensearch.stores", 9200),
        "a destination": ("dest.peers", 11112),
    }
    stores = {"Kafka", "S3", "OpenSearch"}
    pods = {("peers", "dest"): {"the door", *stores, "a destination"}}
    for role, needs in {
        "door": {"ingest"},
        "ingest": {*stores, "a destination"},
        "indexer": stores,
        "query": stores,
        "orders": stores,
        "retrieve": {*stores, "a destination"},
        "commitment": {*stores, "a destination"},
        "mixed": {*stores, "a destination"},
    }.items():
        pods[NAMESPACE, site.pods(role)[0]["metadata"]["name"]] = needs
    for (namespace, pod), needs in pods.items():
        reached = set[str]()
        for _ in range(5):  # a busy machine answers late
            reached |= _reached(site, namespace, pod, places)
            if needs <= reached:
                break
        # A Service may lead a pod to itself, which no policy forbids.
        others = {place for place in reached - needs if place.removeprefix("the ").split()[-1] not in pod}
        assert not others, pod
        assert needs <= reached, pod


def _reached(site: Site, namespace: str, pod: str, places: dict[str, tuple[str, int]]) -> set[str]:
    """Whom a pod can connect to, of these hosts and ports."""
    tries = [
        f"(timeout 3 bash -c 'exec 3<>/dev/tcp/{host}.svc.cluster.local/{port}' 2>/dev/null && echo '{name}') &"
        for name, (host, port) in places.items()
    ]
    script = "\n".join([*tries, "wait"])
    out = site.node.try_kubectl("-n", namespace, "exec", pod, "--", "bash", "-c", script).stdout
    return set(out.splitlines())


@pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem)
def test_the_api_server_takes_every_manifest_of_the_examples(node: Node, values: Path) -> None:
    # Operators' own kinds, which this server does not know, are looked at in test_chart*.py.
    foreign = ("keda", "serviceMonitor", "prometheusRule")
    manifests = try_render(values, *(f"{kind}.enabled=false" for kind in foreign)).stdout
    node.kubectl("apply", "--dry-run=server", "-n", "default", "-f", "-", text=manifests.replace("namespace: ns", ""))


def test_kubeconform_finds_nothing_by_the_running_servers_own_schemas(node: Node, tmp_path: Path) -> None:
    write_schemas(json.loads(node.kubectl("get", "--raw", "/openapi/v2")), tmp_path)
    manifests = (ROOT / "deploy" / "kubernetes" / "gantry.yaml").read_text(encoding="utf-8")
    location = f"{tmp_path}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    command = [tool("kubeconform"), "-strict", "-summary", "-schema-location", location, "-"]
    done = subprocess.run(command, input=manifests, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Invalid: 0, Errors: 0, Skipped: 0" in done.stdout
    wrong = manifests.replace("terminationGracePeriodSeconds: 40", "terminationGracePeriodSecond: 40", 1)
    assert wrong != manifests
    done = subprocess.run(command, input=wrong, capture_output=True, text=True, check=False)
    assert "terminationGracePeriodSecond" in done.stdout


def test_rolling_restart_of_every_role_under_load_loses_and_doubles_nothing(site: Site, tmp_path: Path) -> None:
    before = site.uids(*ROLES)
    with Load(site.peer, tmp_path) as load:
        site.kubectl("rollout", "restart", *(site.workload(role) for role in ROLES))
        site.wait_rolled_out(*ROLES)
        site.wait_gone(before)
    print("rolling restart:", load.in_words())
    load.check()
    load.check_polite()
    verified = site.run_job("verify")
    for outcome in ("missing", "damaged"):
        assert re.search(rf"{outcome}\W+0\W", verified), verified
