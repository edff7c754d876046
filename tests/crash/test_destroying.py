"""An archive that ends for good, in both topologies: whatever is killed, nothing of it can be read in the end, nothing
starts on half of it, and its neighbour in the same bucket, brokers and nodes has lost nothing."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from gantry.common.clock import SystemClock
from gantry.common.config.load import load_settings
from gantry.common.ports.blobs import read_whole
from gantry.services.process.key_services import add_key
from gantry.services.process.stores import DESTROYED, open_blobs
from tests.crash.test_upkeep import gantry, until_sealed
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, expect_exactly, uids_of, wait_for
from tests.support.objects import study
from tests.support.preloaded import IMPORTS, run_gantry
from tests.support.topology import TOPOLOGIES, environment, own_stores, remove_stores

pytestmark = pytest.mark.timeout(240)
MARKED = "MARKED^PATIENT"
Pair = tuple[RunningArchive, RunningArchive]


@pytest.fixture(params=TOPOLOGIES)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """Two archives beside each other, each with keys of its own. They are not started."""
    shared = environment(request.param, tmp_path)
    made = []
    for name in ("north", "south"):
        (folder := tmp_path / name).mkdir()
        add_key(folder / "keys", name)
        archive = RunningArchive(folder, environment=own_stores(shared, name))
        archive.write_policy([], f"encryption: {{key_file: {folder / 'keys'}}}\nupkeep: {{seal_every: 0.2}}\n")
        made.append(archive)
    yield made[0], made[1]
    for archive in made:
        archive.kill()
        remove_stores(archive.environment)


def destroyed(archive: RunningArchive, *arguments: str, failpoints: str = "") -> subprocess.CompletedProcess[str]:
    line = ("destroy", "--reason", "contract ended", *arguments)
    where = ("--config", str(archive.config), "--data", str(archive.folder / "data"))
    variables = {**os.environ, **archive.environment, "PYTHONPATH": IMPORTS, "GANTRY_FAILPOINTS": failpoints}
    return run_gantry([*line, *where], variables, archive.folder, timeout=110)


async def lying(archive: RunningArchive) -> dict[str, bytes]:
    """Everything in its object store, as it lies there."""
    settings = load_settings(archive.config, archive.environment, {"data": archive.folder / "data"})
    blobs = await open_blobs(settings, SystemClock())
    try:
        return {stat.key: await read_whole(blobs["hot"], stat.key) async for stat in blobs["hot"].list()}
    finally:
        for store in blobs.values():
            await store.close()


async def names_left(archive: RunningArchive) -> list[str]:
    """Topics, indices, templates and files that are still the archive's."""
    log, index = (urlsplit(archive.environment.get(f"GANTRY_STORAGE__{name}", "")) for name in ("LOG", "INDEX"))
    if not log.netloc:
        return [str(path) for path in (archive.folder / "data").rglob("*") if path.is_file()]
    admin = AIOKafkaAdminClient(bootstrap_servers=log.netloc)
    await admin.start()
    try:
        topics = [name for name in await admin.list_topics() if name.startswith(f"{log.path.strip('/')}.")]
    finally:
        await admin.close()
    prefix, server = index.path.strip("/"), f"http://{index.netloc}"
    with urlopen(f"{server}/_cat/indices/{prefix}-*?h=index&expand_wildcards=all") as answer:
        indices = answer.read().decode().split()
    with urlopen(f"{server}/_cat/templates/{prefix}-*?h=name") as answer:
        return [*topics, *indices, *answer.read().decode().split()]


async def test_an_archive_is_gone_whatever_is_killed_and_its_neighbour_lost_nothing(pair: Pair, tmp_path: Path) -> None:
    north, south = pair
    files = study(tmp_path / "files", 3, patient="P1", PatientName=MARKED)
    theirs = study(tmp_path / "theirs", 3, patient="P1", PatientName=MARKED)
    for archive, its in ((north, files), (south, theirs)):
        archive.start()
        await Modality(archive.peer, its).send_all()
        await wait_for(archive, 3)
    await until_sealed(north)
    refused = await asyncio.to_thread(destroyed, north, "--yes", "GANTRY")
    assert (refused.returncode, "processes of this archive run" in refused.stderr) == (1, True), refused.stderr
    await expect_exactly(north, files, tmp_path / "still")
    assert north.stop() == 0
    stolen = await lying(north)
    assert [key for key in stolen if key.startswith("objects/")]
    (left_behind := north.folder / "data" / "audit" / "left-behind").parent.mkdir(parents=True, exist_ok=True)
    left_behind.write_text(MARKED)
    refused = await asyncio.to_thread(destroyed, north, "--yes", "SOUTH")
    assert "not the AE title of this archive; nothing was destroyed" in refused.stderr
    tried = await asyncio.to_thread(destroyed, north, "--dry-run")
    assert (tried.returncode, "1 study of 1 patient" in tried.stderr) == (0, True), tried.stderr
    assert "not reached, remove it yourself: images that wait at doors" in tried.stderr
    assert await lying(north) == stolen
    killed = await asyncio.to_thread(destroyed, north, "--yes", "GANTRY", failpoints="after-keys=kill")
    assert killed.returncode != 0
    # The keys are gone, here and in what somebody took before: nothing of an object can be read.
    assert not (north.folder / "keys").exists()
    left = await lying(north)
    assert DESTROYED in left
    assert not [key for key in left if key.startswith("state/keys/")]
    for content in (*stolen.values(), *left.values()):
        assert b"MARKED" not in content
    north.start(ready=False)
    assert await asyncio.to_thread(north.wait_dead) == 1
    add_key(north.folder / "keys", "another")
    north.start(ready=False)
    assert await asyncio.to_thread(north.wait_dead) == 1
    assert "this archive is being destroyed" in north.log.read_text()
    ended = await asyncio.to_thread(destroyed, north, "--yes", "GANTRY", "--json")
    assert ended.returncode == 0, ended.stderr
    assert "it was begun before, and continues" in ended.stderr
    report = json.loads(ended.stdout)
    assert report["reason"] == "contract ended"
    assert report["objects"]["hot"] >= 3
    assert min(report["log"], report["index"]) >= 1
    assert await lying(north) == {}
    assert await names_left(north) == []
    assert not left_behind.exists()
    assert "MARKED" not in "".join(
        path.read_bytes().decode("latin-1") for path in (north.folder / "data").rglob("*") if path.is_file()
    )
    await expect_exactly(south, theirs, tmp_path / "south")
    verified = await asyncio.to_thread(gantry, south, "verify", "--json")
    assert (verified.returncode, json.loads(verified.stdout)["objects"]) == (0, 3), verified.stdout
    assert south.stop() == 0


async def test_what_a_hold_keeps_is_not_destroyed(pair: Pair, tmp_path: Path) -> None:
    north, _ = pair
    files = study(tmp_path / "files", 1, patient="P1")
    north.start()
    await Modality(north.peer, files).send_all()
    await wait_for(north, 1)
    uid = uids_of(files[0])[0]
    held = await asyncio.to_thread(gantry, north, "hold", "place", uid, "--reason", "a court")
    assert held.returncode == 0, held.stderr
    assert north.stop() == 0
    refused = await asyncio.to_thread(destroyed, north, "--yes", "GANTRY")
    assert (refused.returncode, "holds are in force on 1 study or patient" in refused.stderr) == (1, True), (
        refused.stderr
    )
    north.start()
    await expect_exactly(north, files, tmp_path / "got")
    assert north.stop() == 0
