"""The two topologies: the same archive on embedded stores, and on real S3, Kafka and OpenSearch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

from gantry.common.adapters.s3 import S3Bucket
from tests.support.buckets import make_bucket
from tests.support.servers import required

TOPOLOGIES = ("embedded", "cluster")


def environment(topology: str, folder: Path) -> dict[str, str]:
    """What `gantry serve` is told; in the cluster a bucket, topics and indices of its own. Skips the test where a
    server cannot be had."""
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
        # As in Kubernetes, where a pod that starts again has its name again.
        "GANTRY_KAFKA__INSTANCE_ID": name,
    }


def remove_indices(environment: Mapping[str, str]) -> None:
    """Give the indices of an archive that is over back to the server: hundreds of them make it slow. A server that is
    away, or in the middle of something, keeps them."""
    address = environment.get("GANTRY_STORAGE__INDEX", "")
    if not address.startswith("opensearch://"):
        return
    parts = urlsplit(address)
    server = f"http://{parts.netloc}"
    try:
        with urlopen(f"{server}/_cat/indices/{parts.path.strip('/')}-*?h=index&expand_wildcards=all") as answer:
            names = answer.read().decode().split()
        if names:
            with urlopen(Request(f"{server}/{','.join(names)}", method="DELETE")) as answer:
                answer.read()
    except OSError:
        return
