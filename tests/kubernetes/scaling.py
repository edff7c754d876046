"""What autoscalers want of a release, and what they have got."""

from __future__ import annotations

from tests.kubernetes.site import NAMESPACE, Site
from tests.support.answering import wait_for


def wanted(site: Site, role: str) -> int:
    """How many pods a role's workload is told to have."""
    return int(site.kubectl("get", site.workload(role), "-o", "jsonpath={.spec.replicas}"))


def ready(site: Site, role: str) -> list[str]:
    """The uids of pods that are ready and not ending."""
    return [
        pod["metadata"]["uid"]
        for pod in site.pods(role)
        if "deletionTimestamp" not in pod["metadata"]
        and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
    ]


def wait_wanted(site: Site, role: str, number: int, seconds: float, *programs: str) -> None:
    """Return when so many pods of a role are wanted. Where it does not come to that it prints what the autoscaler says,
    and the last lines of programs beside the node."""
    try:
        wait_for(lambda: wanted(site, role) == number, seconds, f"an autoscaler that wants {number} of {role}")
    except AssertionError:
        print(site.node.try_kubectl("-n", NAMESPACE, "describe", "hpa").stdout)
        print(site.node.try_kubectl("-n", NAMESPACE, "describe", "scaledobject").stdout)
        for program in programs:
            print(program, *(site.node.folder / f"{program}.log").read_text().splitlines()[-30:], sep="\n")
        raise
