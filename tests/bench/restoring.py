"""What it takes to have everything back from the bucket alone (`gantry restore`): log and index are lost, on the
embedded stores and on real S3, Kafka and OpenSearch."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pydicom

from tests.bench import contestants as field
from tests.bench import corpus
from tests.bench.contestants import Contestant
from tests.bench.rows import Figure
from tests.support import servers
from tests.support.topology import environment, remove_stores

_INSTANCES, _QUICK = 100_000, 4_000
_PER_STUDY = 100
_SENDERS = 4
_LONGEST = 2 * 3600.0
_TOPOLOGIES = {"embedded": "gantry (files, SQLite)", "cluster": "gantry (S3, Kafka, OpenSearch)"}
_UID = "1.2.826.0.1.3680043.10.1.{kind}.{number:09}"
_STUDY, _SERIES, _INSTANCE = 1, 2, 3


def restore(folder: Path, quick: bool) -> list[Figure]:
    """Small objects are sent, the archive ends, log and index go; then the restore, and until all is found again."""
    count = _QUICK if quick else _INSTANCES
    sets = [
        _made(folder / f"set{n}", range(n * count // _SENDERS, (n + 1) * count // _SENDERS)) for n in range(_SENDERS)
    ]
    servers.begin()
    try:
        return [figure for topology in _TOPOLOGIES for figure in _restored(folder / topology, topology, sets, count)]
    finally:
        servers.end()


def _restored(folder: Path, topology: str, sets: list[Path], count: int) -> Iterator[Figure]:
    topology_name = _TOPOLOGIES[topology]
    folder.mkdir(parents=True)
    stores = environment(topology, folder)
    try:
        begun = time.perf_counter()
        archive = _archive(folder, stores)
        try:
            _send(archive, sets)
            _until_found(archive, count)
        finally:
            archive.end()
        yield Figure("taken in and found", topology_name, count / (time.perf_counter() - begun), "objects/s")
        lost = _lost(folder, stores)
        begun = time.perf_counter()
        _run("restore", "--config", str(folder / "gantry.yaml"), "--data", str(folder / "data"), environment=lost)
        yield Figure("gantry restore", topology_name, count / (time.perf_counter() - begun), "objects/s")
        archive = _archive(folder, lost)
        try:
            _until_found(archive, count)
        finally:
            archive.end()
        yield Figure(
            f"{count:,} objects lost, restored and found again", topology_name, time.perf_counter() - begun, "s"
        )
        remove_stores(lost)
    finally:
        remove_stores(stores)


def _made(folder: Path, numbers: range) -> Path:
    """Small objects that differ in their UIDs, which are equally long: each is the first one with others."""
    first = pydicom.dcmread(next(corpus.make(folder / "first", 1, corpus.SMALL).iterdir()))
    for name, kind in (("StudyInstanceUID", _STUDY), ("SeriesInstanceUID", _SERIES), ("SOPInstanceUID", _INSTANCE)):
        setattr(first, name, _uid(kind, 0))
    first.file_meta.MediaStorageSOPInstanceUID = first.SOPInstanceUID
    first.PatientID = f"BENCH{0:09}"
    buffer = io.BytesIO()
    first.save_as(buffer)
    objects = folder / "objects"
    objects.mkdir()
    for number in numbers:
        study = number // _PER_STUDY
        whole = buffer.getvalue().replace(_uid(_INSTANCE, 0).encode(), _uid(_INSTANCE, number).encode())
        for kind in (_STUDY, _SERIES):
            whole = whole.replace(_uid(kind, 0).encode(), _uid(kind, study).encode())
        (objects / f"{number}.dcm").write_bytes(whole.replace(f"BENCH{0:09}".encode(), f"BENCH{study:09}".encode()))
    return objects


def _uid(kind: int, number: int) -> str:
    return _UID.format(kind=kind, number=100_000_000 + number)


def _archive(folder: Path, stores: Mapping[str, str]) -> Contestant:
    return field.gantry(folder, name="gantry", environment=stores)


def _send(archive: Contestant, sets: list[Path]) -> None:
    command = [sys.executable, "-m", "gantry", "store", f"GANTRY@127.0.0.1:{archive.port}"]
    senders = [subprocess.Popen([*command, str(folder)], stdout=subprocess.DEVNULL) for folder in sets]
    if sum([sender.wait() for sender in senders]):
        raise RuntimeError("not all objects were taken")


def _until_found(archive: Contestant, count: int) -> None:
    """Return when all are found by their studies."""
    deadline = time.monotonic() + _LONGEST
    while time.monotonic() < deadline:
        studies = json.loads(archive.told(f"/dicom-web/studies?limit={count // _PER_STUDY}") or "[]")
        if sum(study["00201208"]["Value"][0] for study in studies) == count:
            return
        time.sleep(0.5)
    raise RuntimeError("not all objects are found")


def _lost(folder: Path, stores: Mapping[str, str]) -> dict[str, str]:
    """The stores when those of log and index are empty."""
    for name in ("log.db", "index.db"):
        for path in (folder / "data").glob(f"{name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    lost = dict(stores)
    for name in ("GANTRY_STORAGE__LOG", "GANTRY_STORAGE__INDEX"):
        if name in lost:
            lost[name] += "-again"
    return lost


def _run(*arguments: str, environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "gantry", *arguments]
    subprocess.run(command, check=True, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
