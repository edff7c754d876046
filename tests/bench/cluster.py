"""Rows on real S3 and Kafka servers (`tests.support.servers`): what the cluster costs, and what latency does."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench import contestants as field
from tests.bench import corpus
from tests.bench.contestants import Contestant
from tests.bench.rows import Figure, dicom_files, filled, retrieve, running
from tests.bench.senders import storescu
from tests.support import servers
from tests.support.topology import environment

_EVENT_BYTES = 4700
"""An `InstanceStored` of a CT slice, with its header."""
_LATER = 0.02
_INGEST = ("--role", "ingest")


@contextmanager
def _real_servers() -> Iterator[None]:
    servers.begin()
    try:
        yield
    finally:
        servers.end()


def cluster(folder: Path, quick: bool) -> list[Figure]:
    """The ingest role alone, on S3 and Kafka and on the embedded stores; and the bare generator on the same servers."""
    figures = []
    counts = {1: 40, 4: 20, 16: 10} if quick else {1: 150, 4: 75, 16: 25}
    sets = {n: [corpus.make(folder / f"{n}set{i}", count, corpus.CT) for i in range(n)] for n, count in counts.items()}
    with _real_servers():
        for n, count in counts.items():
            words = f"{n} sender{'s' * (n > 1)}"
            total = n * count
            for name, topology in (("S3, Kafka", "cluster"), ("files, SQLite", "embedded")):
                with running(_ingest(folder / f"{topology}{n}", f"gantry ingest ({name})", topology)) as server:
                    before = server.usage()
                    seconds = storescu(server.port, sets[n])
                    after = server.usage()
                cpu = (after.cpu - before.cpu) * 1000 / total
                figures.append(Figure(words, server.name, total / seconds, "objects/s", cpu, after.peak))
            seconds = _bare(folder / f"bare{n}", n, total)
            figures.append(Figure(words, "bare generator (S3, Kafka)", total / seconds, "objects/s"))
    return figures


def _stores(folder: Path, topology: str) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    return environment(topology, folder)


def _ingest(folder: Path, name: str, topology: str) -> Contestant:
    return field.gantry(folder, *_INGEST, name=name, environment=_stores(folder, topology), offset=1)


def _bare(folder: Path, workers: int, count: int) -> float:
    """Seconds that the bare generator takes, in a bucket and a topic of its own."""
    stores = _stores(folder, "cluster")
    endpoint, key, secret = servers.server("s3").address.split()
    bucket = stores["GANTRY_STORAGE__OBJECTS"].removeprefix("s3://")
    numbers = [str(number) for number in (workers, count, corpus.CT * corpus.CT * 2 + 5000, _EVENT_BYTES)]
    command = [endpoint, key, secret, bucket, servers.server("kafka").address, bucket, *numbers]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.bare", *command], capture_output=True, check=True, text=True, cwd=field.ROOT
    )
    return float(done.stdout)


def far_move(folder: Path, quick: bool) -> list[Figure]:
    """C-MOVE from S3 compared with files, and with 20 ms added to every S3 call."""
    return _far(folder, 100 if quick else 400, "C-MOVE", "movescu", "-aem", "DEST")


def far_get(folder: Path, quick: bool) -> list[Figure]:
    """The same for C-GET, to DCMTK's getscu."""
    out = folder / "got"
    out.mkdir(parents=True, exist_ok=True)
    return _far(folder, 60 if quick else 200, "C-GET", "getscu", "-od", str(out))


def _far(folder: Path, count: int, words: str, tool: str, *arguments: str) -> list[Figure]:
    files = dicom_files(corpus.make(folder / "set", count, corpus.CT))
    megabytes = sum(file.length for file in files) / 1e6
    figures = []
    with _real_servers(), ExitStack() as stack:
        endpoint = servers.server("s3").endpoint
        near, far = (stack.enter_context(_proxy(endpoint, seconds)) for seconds in (0.0, _LATER))
        on_s3 = _stores(folder / "stores", "cluster")
        for key in [key for key in on_s3 if "KAFKA" in key or key.endswith("__LOG")]:
            del on_s3[key]
        contestants: tuple[tuple[str, dict[str, str]], ...] = (
            ("files", {}),
            ("S3", on_s3),
            ("S3 through a proxy", {**on_s3, "GANTRY_S3__ENDPOINT": near}),
            ("S3, 20 ms later", {**on_s3, "GANTRY_S3__ENDPOINT": far}),
            (
                "S3, 20 ms later, no read-ahead",
                {**on_s3, "GANTRY_S3__ENDPOINT": far, "GANTRY_RETRIEVE__READ_AHEAD": "0"},
            ),
        )
        for number, (name, stores) in enumerate(contestants):
            with (
                running(field.gantry_engine(folder / f"to{number}")) as destination,
                running(_archive(folder / f"of{number}", f"gantry, {name}", destination.port, stores)) as server,
            ):
                filled(server, files)
                before = server.usage()
                seconds = retrieve(server.port, tool, *arguments)
                after = server.usage()
            cpu = (after.cpu - before.cpu) * 1000 / count
            figures.append(Figure(f"{words} of CT", server.name, megabytes / seconds, "MB/s", cpu, after.peak))
    return figures


def _archive(folder: Path, name: str, destination: int, stores: dict[str, str]) -> Contestant:
    return field.gantry(folder, name=name, destination_port=destination, environment=stores)


@contextmanager
def _proxy(endpoint: str, seconds: float) -> Iterator[str]:
    """A proxy in front of the S3 server; its URL."""
    host = endpoint.removeprefix("http://")
    with tempfile.TemporaryDirectory() as folder:
        command = lambda port: [sys.executable, "-m", "tests.support.delay", str(port), host, str(seconds)]  # noqa: E731
        with running(field._launch("delay", Path(folder) / "delay", command)) as proxy:
            yield f"http://127.0.0.1:{proxy.port}"


def searchable(folder: Path, quick: bool) -> list[Figure]:
    """From the first byte of an object to its being searchable, with four senders at work (all roles)."""
    figures = []
    count = 40 if quick else 150
    sets = [corpus.make(folder / f"set{n}", count, corpus.CT) for n in range(4)]
    with _real_servers():
        for name, topology in (("files, SQLite", "embedded"), ("S3, Kafka, OpenSearch", "cluster")):
            stores = _stores(folder / f"stores-{topology}", topology)
            with running(field.gantry(folder / topology, name=f"gantry ({name})", environment=stores)) as server:
                storescu(server.port, sets)
                buckets = asyncio.run(_indexed(server, 4 * count))
            figures += [
                Figure(f"{words} of received to searchable", server.name, _quantile(buckets, share) * 1000, "ms")
                for words, share in (("p50", 0.5), ("p95", 0.95))
            ]
    return figures


async def _indexed(server: Contestant, count: int) -> list[tuple[float, float]]:
    """The histogram (upper bound in seconds, how many) once so many objects are searchable."""
    for _ in range(600):
        metrics = server.told("/metrics")
        lines = re.findall(r'^gantry_searchable_seconds_bucket\{le="([^"]+)"\} (\S+)', metrics, re.MULTILINE)
        buckets = [(float(bound), float(number)) for bound, number in lines]
        if buckets and buckets[-1][1] >= count:
            return buckets
        await asyncio.sleep(0.1)
    raise RuntimeError("not all objects became searchable")


def _quantile(buckets: list[tuple[float, float]], share: float) -> float:
    """Interpolated within its bucket, as Prometheus does."""
    wanted = share * buckets[-1][1]
    below, count_below = 0.0, 0.0
    for bound, count in buckets:
        if count >= wanted:
            return (
                below
                if bound == float("inf")
                else below + (bound - below) * (wanted - count_below) / (count - count_below)
            )
        below, count_below = bound, count
    return below
