"""Kafka's volumes and OpenSearch's data are lost, and the chart's job fills both from the bucket."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest

from gantry.common.net.mllp_client import MllpClient
from tests.kubernetes.load import Load, found
from tests.kubernetes.scaling import wanted
from tests.kubernetes.site import NAMESPACE, RELEASE, ROLES, Site
from tests.support.answering import wait_for
from tests.support.messages import order

pytestmark = pytest.mark.timeout(1200)

_INGEST = f"deployment/{RELEASE}-ingest"


def test_log_and_index_that_are_lost_are_restored_by_the_job_from_the_bucket(site: Site, tmp_path: Path) -> None:
    with Load(site.peer, tmp_path / "before") as before:
        time.sleep(20)
    before.check()
    deleted = next(iter(before.senders[0].files))
    site.kubectl("exec", _INGEST, "--", "gantry", "delete", deleted, "--reason", "sent to the wrong archive")
    asyncio.run(_place_order(site))
    wait_for(lambda: _steps(site) == ["S900"], 60, "the order")
    _wait_sealed(site)
    replicas = {role: wanted(site, role) for role in ROLES}
    _scale(site, dict.fromkeys(ROLES, 0))
    _lose_log_and_index(site)

    started = time.monotonic()
    output = _restore(site)
    print(f"restored after {time.monotonic() - started:.0f} s, killed once on the way:", output, sep="\n")
    (restored,) = map(int, re.findall(r"^instances\W+(\d+)", output, re.MULTILINE))

    _scale(site, replicas)
    site.wait_rolled_out(*ROLES, seconds=300.0)
    before.forget(deleted)
    before.check(180.0)
    assert asyncio.run(found(site.peer, deleted)) == []
    assert restored >= len(before.acknowledged)
    assert _steps(site) == ["S900"]
    with Load(site.peer, tmp_path / "after") as after:
        time.sleep(10)
    print("after the restore:", after.in_words())
    after.check()
    after.check_polite()
    verified = site.run_job("verify")
    for outcome in ("missing", "damaged"):
        assert re.search(rf"{outcome}\W+0\W", verified), verified


async def _place_order(site: Site) -> None:
    with site.forwarded(f"service/{RELEASE}-hl7", 2575) as port:
        async with MllpClient("127.0.0.1", port, None, 60.0) as sender:
            placed = order(
                orc={2: "P900^RIS", 3: "F900^RIS"}, obr={18: "A900", 19: "RP900", 20: "S900"}, control_id="MSG900"
            )
            assert b"MSA|AA" in await sender.send(placed)


def _steps(site: Site) -> list[str]:
    """The scheduled steps of the order, by their IDs."""
    listed = site.kubectl("exec", _INGEST, "--", "gantry", "orders", "list", "-k", "AccessionNumber=A900")
    return re.findall(r"\bS\d+\b", listed)


def _wait_sealed(site: Site) -> None:
    """Return when the archivers have sealed what there is: nothing is added for a while."""
    seen: list[tuple[float, str]] = []

    def at_rest() -> bool:
        sealed = [
            line
            for pod in site.pods("indexer")
            for line in _metrics(site, pod["metadata"]["name"]).splitlines()
            if line.startswith("gantry_facts_sealed_total")
        ]
        now = time.monotonic()
        if not seen or seen[-1][1] != str(sealed):
            seen[:] = [(now, str(sealed))]
        return bool(sealed) and now - seen[0][0] > 12

    wait_for(at_rest, 180, "archivers that have nothing more to seal")


def _metrics(site: Site, pod: str) -> str:
    return site.kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8085/proxy/metrics")


def _scale(site: Site, replicas: dict[str, int]) -> None:
    before = site.uids(*ROLES)
    for role, number in replicas.items():
        site.kubectl("scale", site.workload(role), f"--replicas={number}")
    if not any(replicas.values()):
        site.wait_gone(before, 180.0)


def _lose_log_and_index(site: Site) -> None:
    """Their pods go, and what was on their disks with them; new ones are empty."""
    names, stores = ("kafka", "opensearch"), ("-n", "stores")
    for name in names:
        site.node.kubectl(*stores, "scale", f"deployment/{name}", "--replicas=0")
    for name in names:
        site.node.kubectl(*stores, "wait", "pod", "-l", f"app={name}", "--for=delete", "--timeout=120s", seconds=140)
    for name in names:
        site.node.kubectl(*stores, "scale", f"deployment/{name}", "--replicas=1")


def _restore(site: Site) -> str:
    """The job, begun while its stores come up, and killed when it has filled the log: another pod takes its place, and
    the log of the first is still there. What the second printed."""
    job = site.begin_job("restore")

    def pods() -> dict[str, str]:
        job_pods = site.node.get("pods", NAMESPACE, "-l", f"job-name={job}")
        return {pod["status"]["phase"]: pod["metadata"]["name"] for pod in job_pods}

    def logged() -> str:
        return site.node.try_kubectl("-n", NAMESPACE, "logs", f"job/{job}").stdout

    wait_for(lambda: "restore: objects" in logged(), 240, "a job that has filled the log")
    (pod,) = site.node.get("pods", NAMESPACE, "-l", f"job-name={job}")
    site.node.kill_container(pod["metadata"]["uid"])
    site.finish_job(job, 600.0)
    names = pods()
    assert set(names) == {"Failed", "Succeeded"}, "it was over before"
    assert "restore: objects" in site.logs(names["Failed"])
    return site.logs(names["Succeeded"])
