"""The two topologies: the same archive on embedded stores, and on real S3, Kafka and OpenSearch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from gantry.common.adapters.s3 import S3Bucket
from tests.support.buckets import make_bucket
from tests.support.servers import remove_templates, required

TOPOLOGIES = ("embedded", "cluster")


def environment(topology: str, folder: Path) -> dict[str, str]:
    """The environment for `gantry serve`; in the cluster with its own bucket, topics and indices. Skips the test if a
    server is not available."""
    if topology == "embedded":
        return {}
    return cluster_environment(
        folder, required("s3").address, required("kafka").address, required("opensearch").address
    )


def cluster_environment(folder: Path, s3: str, kafka: str, opensearch: str) -> dict[str, str]:
    """The same for servers at these addresses (`tests.support.servers.Server.address`)."""
    endpoint, access_key, secret_key = s3.split()
    name = f"t{uuid4().hex[:12]}"
    bucket = S3Bucket(name, endpoint=endpoint, access_key=access_key, secret_key=secret_key)
    with ThreadPoolExecutor(1) as elsewhere:  # the test may be in an event loop
        elsewhere.submit(lambda: asyncio.run(make_bucket(bucket))).result()
    secret = folder / "s3-secret"
    secret.write_text(secret_key)
    return {
        "GANTRY_STORAGE__OBJECTS": f"s3://{name}",
        "GANTRY_STORAGE__LOG": f"kafka://{kafka}/{name}",
        "GANTRY_STORAGE__INDEX": f"opensearch://{urlsplit(opensearch).netloc}/{name}",
        "GANTRY_OPENSEARCH__REPLICAS": "0",
        "GANTRY_OPENSEARCH__KEEP_REPLACED": "1",
        "GANTRY_S3__ENDPOINT": endpoint,
        "GANTRY_S3__ACCESS_KEY": access_key,
        "GANTRY_S3__SECRET_KEY_FILE": str(secret),
        "GANTRY_KAFKA__REPLICATION": "1",
        "GANTRY_KAFKA__MIN_INSYNC": "1",
        "GANTRY_KAFKA__SESSION_TIMEOUT": "6",
        # As in Kubernetes, where a restarted pod keeps its name.
        "GANTRY_KAFKA__INSTANCE_ID": name,
    }


def own_stores(stores: Mapping[str, str], name: str) -> dict[str, str]:
    """The stores of one of several archives: its own prefix in the same bucket, brokers and nodes. Embedded ones have
    their own folders."""
    prefixed = {}
    for variable, value in stores.items():
        if variable == "GANTRY_STORAGE__OBJECTS":
            value = f"{value}/{name}"
        elif variable in ("GANTRY_STORAGE__LOG", "GANTRY_STORAGE__INDEX", "GANTRY_KAFKA__INSTANCE_ID"):
            value = f"{value}-{name}"
        prefixed[variable] = value
    return prefixed


def remove_stores(environment: Mapping[str, str]) -> None:
    """Remove the data of a finished archive from the session's servers. Hundreds of indices make OpenSearch slow, and
    Kafka dies of too many open files after about two hundred archives: each has nearly ninety partitions. If a server
    is away or busy, its data stays."""
    index, log = (urlsplit(environment.get(f"GANTRY_STORAGE__{name}", "")) for name in ("INDEX", "LOG"))
    if index.scheme == "opensearch":
        with suppress(OSError):
            _remove_indices(f"http://{index.netloc}", index.path.strip("/"))
    if log.scheme == "kafka":
        with ThreadPoolExecutor(1) as elsewhere:  # the test may be in an event loop
            elsewhere.submit(lambda: asyncio.run(remove_topics(log.netloc, log.path.strip("/")))).result()


def _remove_indices(server: str, prefix: str) -> None:
    with urlopen(f"{server}/_cat/indices/{prefix}-*?h=index&expand_wildcards=all") as answer:
        names = answer.read().decode().split()
    if names:
        urlopen(Request(f"{server}/{','.join(names)}", method="DELETE")).close()
    remove_templates(server, prefix)


async def remove_topics(bootstrap: str, prefix: str) -> None:
    """Remove the topics with a prefix; if the broker is away, they stay."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=10_000)
    try:
        with suppress(KafkaError):
            await admin.start()
            names = [name for name in await admin.list_topics() if name.startswith(f"{prefix}.")]
            if names:
                await admin.delete_topics(names)
    finally:
        await admin.close()
