"""STOW-RS against Orthanc's DICOMweb plugin: one request of many objects, each contestant fsync'd."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import contestants as field
from tests.bench import corpus
from tests.bench.contestants import Contestant
from tests.bench.rows import Figure, running

_BOUNDARY = "bench-boundary"
PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


def stow(folder: Path, quick: bool) -> list[Figure]:
    """CT slices of 525 KB, in MB/s and objects/s; small objects of 10 KB, in objects/s."""
    figures = []
    for title, count, side in (("CT", 200, corpus.CT), ("small", 1000, corpus.SMALL)):
        files = sorted(corpus.make(folder / title, count // (5 if quick else 1), side).iterdir())
        for start in _who(folder):
            with running(start()) as server:
                figures += _stored(server, title, files)
    return figures


def _who(folder: Path) -> list[Callable[[], Contestant]]:
    return [lambda: field.gantry(folder / "gantry"), lambda: field.orthanc(folder / "orthanc", sync=True, web=PLUGIN)]


def _stored(server: Contestant, title: str, files: list[Path]) -> list[Figure]:
    before = server.usage()
    seconds = post(server.http_port, [file.read_bytes() for file in files])
    after = server.usage()
    size = sum(file.stat().st_size for file in files)
    cpu = (after.cpu - before.cpu) * 1000 / len(files)
    return [
        Figure(f"{title}, bytes", server.name, size / seconds / 1e6, "MB/s", cpu, after.peak),
        Figure(f"{title}, objects", server.name, len(files) / seconds, "objects/s", cpu, after.peak),
    ]


def post(port: int, objects: list[bytes]) -> float:
    """Seconds that one request of these Part 10 objects takes."""
    head = f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    parts = [part for content in objects for part in (head, content, b"\r\n")] + [f"--{_BOUNDARY}--\r\n".encode()]

    def body() -> Iterator[bytes]:
        yield from parts

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}',
        "Content-Length": str(sum(map(len, parts))),
        "Accept": "application/dicom+json",
    }
    started = time.perf_counter()
    connection.request("POST", "/dicom-web/studies", body(), headers)
    response = connection.getresponse()
    answer = response.read()
    seconds = time.perf_counter() - started
    connection.close()
    if response.status != 200 or answer.count(b"00081155") != len(objects):
        raise RuntimeError(f"STOW-RS failed: {response.status} {answer[:300]!r}")
    return seconds
