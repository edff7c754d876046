"""Promise 3 on the whole archive: the bucket is enough."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pydicom
import pytest
from pydicom.uid import generate_uid

from gantry.cli.commit import ask
from gantry.cli.files import DicomFile
from gantry.common.clock import SystemClock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query
from gantry.common.errors import NotFound
from gantry.common.ports.index import SearchIndex
from gantry.common.runtime.restored_log import RestoredLog
from tests.crash.conftest import MakeArchive, cluster
from tests.support.archive import IMPORTS, RunningArchive
from tests.support.asking import Modality, events, expect_exactly, expect_kept, stores_of, until, wait_for
from tests.support.link import Link
from tests.support.objects import data_set, study, write
from tests.support.ports import free_port
from tests.support.preloaded import run_gantry

PROMPT = (
    "upkeep: {seal_every: 0.2, sweep_every: 0.5, sweep_grace: 0.001}\n"
    "commitment: {retry_first: 0.2, in_flight_deadline: 2}\n"
)
SEALING = "upkeep: {seal_every: 0.2, sweep_every: 0}\n"


def gantry(archive: RunningArchive, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`gantry …` on the stores of an archive."""
    environment = {**os.environ, **archive.environment, "PYTHONPATH": IMPORTS}
    where = ("--config", str(archive.config), "--data", str(archive.folder / "data"))
    return run_gantry([*arguments, *where], environment, archive.folder, timeout=110)


async def done(archive: RunningArchive, *arguments: str) -> dict[str, Any]:
    """What a command says that succeeds."""
    result = await asyncio.to_thread(gantry, archive, *arguments, "--json")
    assert result.returncode == 0, result.stderr
    report: dict[str, Any] = json.loads(result.stdout)
    return report


async def everything(index: SearchIndex) -> dict[str, list[str]]:
    """Every document of every level, and where every object is."""
    rows: dict[str, list[str]] = {}
    for level in Level:
        pages = [page async for page in index.find(Query("default", level))]
        rows[level.value] = sorted(json.dumps(sorted(d.attributes.items())) for page in pages for d in page)
    places = [repr(place) async for page in index.locate(Query("default", Level.STUDY)) for place in page]
    return {**rows, "places": sorted(places), "count": [json.dumps(await index.count("default"))]}


@asynccontextmanager
async def index_of(archive: RunningArchive) -> AsyncIterator[SearchIndex]:
    async with stores_of(archive) as stores:
        yield stores.index


def lose_log_and_index(archive: RunningArchive) -> None:
    """As when Kafka's volumes and OpenSearch's data are gone: the bucket is all there is."""
    if archive.environment:
        for name in ("GANTRY_STORAGE__LOG", "GANTRY_STORAGE__INDEX"):
            archive.environment[name] = archive.environment[name].rpartition("/")[0] + f"/r{uuid4().hex[:10]}"
        return
    for name in ("log.db", "index.db"):
        remove_database(archive, name)


def places(file: DicomFile) -> dict[str, Any]:
    """The UIDs of an object, for another one of the same instance."""
    dataset = pydicom.dcmread(file.path, stop_before_pixels=True)
    return {"study": dataset.StudyInstanceUID, "series": dataset.SeriesInstanceUID, "instance": dataset.SOPInstanceUID}


def remove_database(archive: RunningArchive, name: str) -> None:
    for path in (archive.folder / "data").glob(f"{name}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


async def store(archive: RunningArchive, files: Sequence[Any]) -> None:
    await Modality(archive.peer, files).send_all()


async def commit(archive: RunningArchive, uid: str, files: Sequence[Any]) -> int:
    """The status of a storage commitment request under a Transaction UID."""
    references = [(file.sop_class_uid, file.sop_instance_uid) for file in files]
    status, _, _ = await ask(archive.peer, references, wait=30.0, timeout=30.0, transaction=uid)
    return status


async def test_what_is_lost_with_log_and_index_comes_back_from_the_bucket_alone(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([], SEALING)
    archive.start()
    files = [f for n in range(3) for f in study(tmp_path / "files", 12, series=2, patient=f"P{n % 2}")]
    await store(archive, files)
    twice = data_set(**places(files[0]), name="Other^Bytes")
    await store(archive, [write(tmp_path / "other", twice)])
    transaction = generate_uid()
    assert await commit(archive, transaction, files[:3]) == 0x0000
    await wait_for(archive, len(files))
    await until(
        lambda: archive.metric("gantry_consumer_lag") == 0 and archive.metric("gantry_facts_sealed_total") >= 39
    )
    await until_sealed(archive)
    assert archive.stop() == 0
    async with index_of(archive) as index:
        before = await everything(index)
    told_before = sorted(map(repr, await events(archive, "conflicts")))
    lose_log_and_index(archive)
    report = await done(archive, "restore")
    assert (report["instances"], report["unknown"], report["told"]) == (len(files), 0, 0)
    assert report["facts_seconds"] + report["sweep_seconds"] + report["index_seconds"] > 0
    async with index_of(archive) as index:
        assert await everything(index) == before
    assert set(told_before) <= set(map(repr, await events(archive, "conflicts")))
    archive.start()
    await expect_exactly(archive, files, tmp_path / "got")
    # The transaction is remembered, too.
    assert await commit(archive, transaction, files[:3]) == 0x0131
    assert archive.stop() == 0


async def until_sealed(archive: RunningArchive) -> None:
    """The archiver has nothing left to seal."""
    async with stores_of(archive) as stores:
        async with asyncio.timeout(60):
            while any((await stores.log.lag("archiver")).values()):
                await asyncio.sleep(0.2)


async def test_a_log_that_is_not_empty_is_not_restored_into(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive().start()
    await store(archive, study(tmp_path / "files", 2))
    assert archive.stop() == 0
    result = await asyncio.to_thread(gantry, archive, "restore")
    assert result.returncode == 1
    assert "the log is not empty" in result.stderr


async def test_a_restore_that_was_broken_off_is_run_again_and_then_is_over(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([], SEALING)
    archive.start()
    await store(archive, study(tmp_path / "files", 2))
    await wait_for(archive, 2)
    await until_sealed(archive)
    assert archive.stop() == 0
    async with stores_of(archive) as stores:
        await RestoredLog(stores.objects, SystemClock()).note(begun=True)
    report = await done(archive, "restore")
    assert (report["facts"], report["instances"]) == (2, 2)
    result = await asyncio.to_thread(gantry, archive, "restore")
    assert "the log is not empty" in result.stderr


async def test_a_restore_beside_running_services_ends_and_changes_nothing(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([], SEALING)
    archive.start()
    files = study(tmp_path / "files", 4)
    await store(archive, files)
    await wait_for(archive, 4)
    await until_sealed(archive)
    report = await done(archive, "restore", "--again")
    assert (report["facts"], report["instances"]) == (4, 4)
    await expect_exactly(archive, files, tmp_path / "got")
    assert archive.stop() == 0


@cluster
async def test_a_restore_waits_for_servers_that_are_coming_up_and_says_for_what(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([], SEALING)
    archive.start()
    files = study(tmp_path / "files", 4)
    await store(archive, files)
    await wait_for(archive, 4)
    await until_sealed(archive)
    assert archive.stop() == 0
    lose_log_and_index(archive)
    address = urlsplit(archive.environment["GANTRY_STORAGE__INDEX"])
    port = free_port()
    archive.environment["GANTRY_STORAGE__INDEX"] = f"opensearch://127.0.0.1:{port}{address.path}"
    restoring = asyncio.create_task(asyncio.to_thread(gantry, archive, "restore", "--json"))
    await asyncio.sleep(10)  # on a busy machine it takes some seconds to come to the index
    assert not restoring.done()
    link = Link(int(address.netloc.rpartition(":")[2]))
    await link.start(port)
    result = await restoring
    await link.close()
    assert result.returncode == 0, result.stderr
    assert "waiting: index unavailable" in result.stderr
    assert json.loads(result.stdout)["instances"] == 4


async def test_an_object_whose_event_was_never_published_is_found_and_told(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([], PROMPT)
    archive.start(failpoints="before-publish=kill@6")
    modality = Modality(archive.peer, study(tmp_path / "files", 10))
    await modality.send()
    archive.wait_dead()
    assert len(modality.acknowledged) == 5
    archive.start()
    # The sixth was stored, its event was not: nobody sends it again.
    await wait_for(archive, 6)
    await until(lambda: archive.metric("gantry_facts_rescued_total") >= 1)
    assert "object had no event; published now" in archive.log.read_text()
    await expect_exactly(archive, modality.files[:6], tmp_path / "got")
    assert archive.stop() == 0


async def test_an_index_is_built_anew_while_objects_arrive_and_is_the_same(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    archive.write_policy([], SEALING)
    archive.start()
    files = [f for n in range(3) for f in study(tmp_path / "files", 20, series=2, patient=f"P{n}")]
    await store(archive, files[:30])
    await wait_for(archive, 30)
    modality = Modality(archive.peer, files[30:])
    sending = asyncio.create_task(modality.send_all())
    report = await done(archive, "reindex")
    assert (report["unknown"], report["refused"]) == (0, 0)
    assert report["instances"] >= report["before"] >= 30
    await sending
    await expect_kept(archive, [modality])
    await expect_exactly(archive, files, tmp_path / "got")
    assert archive.stop() == 0
    async with index_of(archive) as index:
        before = await everything(index)
    assert (await done(archive, "reindex"))["instances"] == len(files)
    async with index_of(archive) as index:
        assert await everything(index) == before


async def test_an_index_that_would_know_less_does_not_take_over(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive()
    archive.write_policy([], SEALING)
    archive.start()
    files = study(tmp_path / "files", 4)
    await store(archive, files)
    await wait_for(archive, 4)
    await until_sealed(archive)
    assert archive.stop() == 0
    # The index outlives its log, and the facts in the bucket are damaged by a hand.
    index_url = archive.environment.get("GANTRY_STORAGE__INDEX")
    if archive.environment:
        lose_log_and_index(archive)
        archive.environment["GANTRY_STORAGE__INDEX"] = str(index_url)
    else:
        remove_database(archive, "log.db")
    async with stores_of(archive) as stores:
        for key in [stat.key async for stat in stores.objects.list("facts/")]:
            await stores.objects.delete(key)
            with pytest.raises(NotFound):
                await stores.objects.stat(key)
    result = await asyncio.to_thread(gantry, archive, "reindex")
    assert result.returncode == 1
    assert "would have 0 instances, the present one has 4; nothing was changed" in result.stderr
    async with index_of(archive) as index:
        assert (await index.count("default"))["instances"] == 4
