"""Promise 6 on the whole archive: a dependency that is away is a status, costs nobody else, and needs no repair."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gantry.cli.files import DicomFile, FileSource
from gantry.cli.identifiers import BOTH
from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.net import Association, connect, scu
from tests.crash.conftest import MakeArchive, embedded
from tests.support.asking import Modality, expect_exactly, find_matches, get, until, wait_for
from tests.support.objects import CT, study

_CONTEXTS = [(CT, ("1.2.840.10008.1.2.1",)), (VERIFICATION, BOTH)]


async def store(association: Association, file: DicomFile) -> int:
    """The status of one C-STORE."""
    context = scu.need_context(association, CT)
    source = FileSource(file)
    try:
        response = await scu.store(association, context, file.sop_instance_uid, source, file.length, timeout=60)
    finally:
        await source.close()
    assert "Traceback" not in response.text(0x00000902)
    return response.status


async def test_what_goes_wrong_in_the_middle_is_a_status_and_the_association_goes_on(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    # Each at the second object that gets so far.
    points = ("after-blob-put=refuse@2", "before-publish=raise@2", "after-publish=refuse@2", "before-answer=raise@2")
    archive = make_archive().start(failpoints=",".join(points))
    files = study(tmp_path / "files", 6)
    async with connect(archive.peer, _CONTEXTS) as association:
        statuses = [await store(association, file) for file in files]
        assert statuses == [0x0000, 0xA700, 0x0110, 0xA700, 0x0110, 0x0000]
        assert [await store(association, file) for file in files] == [0] * 6
    await expect_exactly(archive, files, tmp_path / "got")


@embedded
async def test_an_object_store_that_is_full_refuses_objects_and_nothing_else(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive()
    files = study(tmp_path / "files", 3)
    archive.start()
    await Modality(archive.peer, files[:2]).send_all()
    await wait_for(archive, 2)
    assert archive.stop() == 0
    archive.start(ready=False, env={"GANTRY_STORAGE__LOW_WATER": str(1 << 60)})
    await until(lambda: archive.http("/healthz")[0] == 200)
    await until(lambda: archive.http("/readyz")[1].startswith("object store: object store unavailable"))
    async with connect(archive.peer, _CONTEXTS) as association:
        assert await store(association, files[2]) == 0xA700
        assert await scu.echo(association) == 0x0000
        assert await store(association, files[2]) == 0xA700
    await expect_exactly(archive, files[:2], tmp_path / "got")


@embedded
async def test_an_object_store_that_goes_away_comes_back_without_a_hand(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive().start()
    files = study(tmp_path / "files", 6)
    objects, elsewhere = archive.folder / "data" / "objects", archive.folder / "elsewhere"
    async with connect(archive.peer, _CONTEXTS) as association:
        assert [await store(association, file) for file in files[:2]] == [0, 0]
        await wait_for(archive, 2)
        objects.rename(elsewhere)
        assert [await store(association, file) for file in files[2:4]] == [0xA700, 0xA700]
        assert await scu.echo(association) == 0x0000
        # The index is there: searches are answered.
        assert len(await find_matches(archive.peer, "STUDY")) == 1
        assert archive.http("/readyz")[0] == 503
        objects.rmdir() if objects.exists() else None
        elsewhere.rename(objects)
        assert [await store(association, file) for file in files[2:]] == [0, 0, 0, 0]
    await expect_exactly(archive, files, tmp_path / "got")
    # The store is looked at every now and then.
    await until(lambda: archive.http("/readyz")[0] == 200)


@embedded
async def test_an_event_log_that_is_stuck_is_a700_within_its_deadline(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive().start(env={"GANTRY_STORAGE__DEADLINE": "1"})
    files = study(tmp_path / "files", 5)
    await Modality(archive.peer, files[:2]).send_all()
    await wait_for(archive, 2)
    async with connect(archive.peer, _CONTEXTS) as association:
        with locked(archive.folder / "data" / "log.db"):
            assert [await store(association, file) for file in files[2:4]] == [0xA700, 0xA700]
            assert await scu.echo(association) == 0x0000
            study_uid = (await find_matches(archive.peer, "STUDY"))[0].StudyInstanceUID
            assert len(await get(archive.peer, tmp_path / "meanwhile", "STUDY", f"StudyInstanceUID={study_uid}")) == 2
            assert (await asyncio.to_thread(archive.http, "/readyz"))[0] == 503
        await until(lambda: archive.http("/readyz")[0] == 200)
        assert [await store(association, file) for file in files[2:]] == [0, 0, 0]
    await expect_exactly(archive, files, tmp_path / "got")


@embedded
async def test_an_index_that_is_stuck_delays_searches_and_nothing_that_is_stored(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive().start()
    files = study(tmp_path / "files", 20, series=2)
    await Modality(archive.peer, files[:2]).send_all()
    await wait_for(archive, 2)
    with locked(archive.folder / "data" / "index.db"):
        await Modality(archive.peer, files[2:]).send_all()
        (match,) = await find_matches(archive.peer, "STUDY")
        assert match.NumberOfStudyRelatedInstances == 2
    await expect_exactly(archive, files, tmp_path / "got")


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Nobody else may write: as if another process hung in the middle of a transaction."""
    turn = os.open(f"{database}.lock", os.O_RDWR)
    fcntl.flock(turn, fcntl.LOCK_EX)
    connection = sqlite3.connect(database, isolation_level=None, timeout=30)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
    finally:
        connection.close()
        os.close(turn)
