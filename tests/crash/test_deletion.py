"""Deletion on the whole archive: hidden at once everywhere, undone exactly, collected for good, whatever is killed."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from gantry.cli.commit import ask
from gantry.cli.files import DicomFile
from gantry.cli.identifiers import BOTH, encode, identifier
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_MOVE
from gantry.common.events import InstancesDeleted, InstancesRestored, ObjectsCollected
from gantry.common.net import Peer, connect, scu
from tests.crash.conftest import MakeArchive
from tests.crash.test_upkeep import everything, gantry, index_of, lose_log_and_index, until_sealed
from tests.support.archive import IMPORTS, RunningArchive
from tests.support.asking import (
    Modality,
    events,
    expect_exactly,
    find_matches,
    get,
    stores_of,
    uids_of,
    until,
    wait_for,
)
from tests.support.objects import study
from tests.support.opensearch_documents import bytes_of_documents
from tests.support.preloaded import run_gantry

SETTINGS = (
    # Sealing the trail is a commit of a consumer, too; fail points there are to meet the indexer.
    "audit: {on: false}\n"
    "http: {may_delete: [loopback]}\n"
    "upkeep: {seal_every: 0.2, sweep_every: 0.5, sweep_grace: 0.001}\n"
    "lifecycle: {collect_every: 0.3, erase_after: 0}\n"
    "commitment: {retry_first: 0.2, in_flight_deadline: 2}\n"
)

DESTINATION = "{ae_title: DEST, host: 127.0.0.1, port: 1, may: [], move_destination: true}"
"""Nobody answers there: C-MOVE of something fails, of nothing it does not."""


def archive_of(make_archive: MakeArchive, settings: str = SETTINGS) -> RunningArchive:
    archive = make_archive()
    archive.write_policy([DESTINATION], settings)
    return archive.start()


def delete(archive: RunningArchive, path: str) -> tuple[int, str]:
    """DELETE below the studies; (0, …) where the archive died before it answered."""
    url = f"http://127.0.0.1:{archive.http_port}/dicom-web/studies/{path}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def dying(archive: RunningArchive, failpoints: str, *arguments: str) -> int:
    """The exit code of `gantry …` on the stores of an archive, with fail points."""
    environment = {**os.environ, **archive.environment, "PYTHONPATH": IMPORTS, "GANTRY_FAILPOINTS": failpoints}
    where = ("--config", str(archive.config), "--data", str(archive.folder / "data"))
    return run_gantry([*arguments, *where], environment, archive.folder, timeout=60).returncode


def done(archive: RunningArchive, *arguments: str) -> str:
    """What a command says that succeeds."""
    result = gantry(archive, *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


async def move(peer: Peer, key: str) -> int:
    """The final status of a C-MOVE of a study to `DESTINATION`."""
    async with connect(peer, [(STUDY_ROOT_MOVE, BOTH)]) as association:
        query = encode(identifier("STUDY", [key]), scu.need_context(association, STUDY_ROOT_MOVE))
        statuses = [r.status async for r, _ in scu.move(association, STUDY_ROOT_MOVE, query, "DEST", timeout=60.0)]
    return statuses[-1]


async def nothing_of(archive: RunningArchive, files: Sequence[DicomFile], folder: Path) -> None:
    """Nobody finds, fetches or commits any of the files."""
    uid, series = uids_of(files[0])
    assert uid not in [
        match.StudyInstanceUID for match in await find_matches(archive.peer, "STUDY", "StudyInstanceUID")
    ]
    assert await find_matches(archive.peer, "IMAGE", f"StudyInstanceUID={uid}", f"SeriesInstanceUID={series}") == []
    assert await get(archive.peer, folder, "STUDY", f"StudyInstanceUID={uid}") == {}
    assert await move(archive.peer, f"StudyInstanceUID={uid}") == 0x0000
    base = f"/dicom-web/studies/{uid}"
    for path in (base, f"{base}/metadata", f"{base}/series/{series}/instances/{files[0].sop_instance_uid}"):
        assert archive.http(path)[0] == 404, path
    assert archive.http(f"/dicom-web/studies?StudyInstanceUID={uid}") in ((200, "[]"), (204, ""))
    references = [(file.sop_class_uid, file.sop_instance_uid) for file in files]
    _, _, report = await ask(archive.peer, references, wait=30.0, timeout=30.0, transaction=generate_uid())
    assert report is not None
    failed = {item.ReferencedSOPInstanceUID: item.FailureReason for item in report.FailedSOPSequence}
    assert failed == {file.sop_instance_uid: 0x0112 for file in files}


async def until_hidden(archive: RunningArchive, files: Sequence[DicomFile]) -> None:
    """Return when indexers have followed a deletion that was on the log and not answered."""
    uid = uids_of(files[0])[0]
    async with asyncio.timeout(60):
        while uid in [
            match.StudyInstanceUID for match in await find_matches(archive.peer, "STUDY", "StudyInstanceUID")
        ]:
            await asyncio.sleep(0.1)


async def send(archive: RunningArchive, *studies: Sequence[DicomFile]) -> None:
    files = [file for batch in studies for file in batch]
    await Modality(archive.peer, files).send_all()
    await wait_for(archive, len(files))


@pytest.mark.timeout(240)  # the first that a worker runs: its servers come up
async def test_what_is_deleted_is_hidden_everywhere_at_once_and_undone_exactly(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    gone, stays = study(tmp_path / "gone", 4, series=2), study(tmp_path / "stays", 3)
    await send(archive, gone, stays)
    uid, series = uids_of(gone[0])
    async with index_of(archive) as index:
        before = await everything(index)
    assert await move(archive.peer, f"StudyInstanceUID={uid}") != 0x0000
    assert delete(archive, uid)[0] == 204
    await nothing_of(archive, gone, tmp_path / "got")
    await expect_exactly(archive, stays, tmp_path / "got1")
    assert delete(archive, uid)[0] == 404
    done(archive, "undelete", uid, "--reason", "a mistake")
    await expect_exactly(archive, [*gone, *stays], tmp_path / "got2")
    async with index_of(archive) as index:
        after = await everything(index)
    assert after == before
    # A series, and one instance.
    assert delete(archive, f"{uid}/series/{series}")[0] == 204
    file = stays[0]
    study_uid, series_uid = uids_of(file)
    assert delete(archive, f"{study_uid}/series/{series_uid}/instances/{file.sop_instance_uid}")[0] == 204
    await expect_exactly(archive, [*(f for f in gone if uids_of(f)[1] != series), *stays[1:]], tmp_path / "got3")
    assert archive.stop() == 0


async def test_who_may_not_delete_and_what_is_held_is_said_in_words(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive, "lifecycle: {collect_every: 0.3, erase_after: 0}\n")
    files = study(tmp_path / "files", 2)
    await send(archive, files)
    uid, _ = uids_of(files[0])
    assert delete(archive, uid) == (
        403,
        "this caller may not delete or restore; http.may_delete names those that may\n",
    )
    assert done(archive, "hold", "place", uid, "--reason", "trial").split() == ["placed", "holds", uid, "1"]
    result = gantry(archive, "delete", uid, "--reason", "no matter")
    assert result.returncode == 1
    assert "1 hold stands on this study or its patient; release first what holds it" in result.stderr
    unknown = gantry(archive, "delete", "1.2.3.4", "--reason", "no matter")
    words = "neither a study nor a series nor an instance that is there or was deleted"
    assert (unknown.returncode, unknown.stderr) == (1, f"Error: 1.2.3.4: {words}\n")
    assert archive.stop() == 0
    archive.write_policy([DESTINATION], SETTINGS)
    archive.start()
    assert delete(archive, uid) == (409, "1 hold stands on this study or its patient; release first what holds it\n")
    await expect_exactly(archive, files, tmp_path / "got")
    assert done(archive, "hold", "release", uid, "--reason", "trial ended").split() == ["released", "holds", uid, "1"]
    assert delete(archive, uid)[0] == 204
    assert delete(archive, "1.2.3.4.5")[0] == 404
    assert archive.stop() == 0


async def test_an_object_sent_again_after_its_deletion_is_there(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive)
    files = study(tmp_path / "files", 3)
    await send(archive, files)
    assert delete(archive, uids_of(files[0])[0])[0] == 204
    await Modality(archive.peer, files[:2]).send_all()
    await expect_exactly(archive, files[:2], tmp_path / "got")
    assert archive.stop() == 0


@pytest.mark.parametrize("point", ["before-publish", "after-publish", "before-answer"])
async def test_a_process_killed_while_it_deletes_has_deleted_all_or_nothing(
    make_archive: MakeArchive, tmp_path: Path, point: str
) -> None:
    archive = archive_of(make_archive)
    gone, stays = study(tmp_path / "gone", 5), study(tmp_path / "stays", 2)
    await send(archive, gone, stays)
    await until_sealed(archive)
    assert archive.stop() == 0
    archive.start(failpoints=f"{point}=kill@1")
    status, _ = await asyncio.to_thread(delete, archive, uids_of(gone[0])[0])
    archive.wait_dead()
    assert status == 0
    archive.start()
    deletions = [event for event in await events(archive, "instances") if isinstance(event, InstancesDeleted)]
    assert len(deletions) == (0 if point == "before-publish" else 1)
    if deletions:
        await until_hidden(archive, gone)
        await nothing_of(archive, gone, tmp_path / "got0")
    await expect_exactly(archive, stays if deletions else [*gone, *stays], tmp_path / "got")
    assert archive.stop() == 0


async def kill_when_its_indexer_died(archive: RunningArchive) -> None:
    """The process of the indexer role dies at its fail point, is started again, and dies again: then all are killed. In
    the cluster it has no process of its own."""
    if archive.environment:
        await asyncio.to_thread(archive.wait_dead)
        return
    message = "process ended, starting it again"
    await until(lambda: message in archive.log.read_text(), 30.0)
    archive.kill()


async def test_an_indexer_killed_before_it_commits_a_deletion_hides_it_and_again(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    gone, stays = study(tmp_path / "gone", 5), study(tmp_path / "stays", 2)
    await send(archive, gone, stays)
    await until_sealed(archive)
    assert archive.stop() == 0
    archive.start(failpoints="before-commit=kill@1")
    deleting = asyncio.create_task(asyncio.to_thread(delete, archive, uids_of(gone[0])[0]))
    await kill_when_its_indexer_died(archive)
    assert (await deleting)[0] == 0
    archive.start()
    await until_hidden(archive, gone)
    await nothing_of(archive, gone, tmp_path / "got0")
    await expect_exactly(archive, stays, tmp_path / "got")
    assert archive.stop() == 0


@pytest.mark.parametrize("point", ["before-publish", "after-publish"])
async def test_a_command_killed_while_it_restores_has_restored_all_or_nothing(
    make_archive: MakeArchive, tmp_path: Path, point: str
) -> None:
    archive = archive_of(make_archive)
    files = study(tmp_path / "files", 4)
    await send(archive, files)
    uid = uids_of(files[0])[0]
    assert delete(archive, uid)[0] == 204
    code = await asyncio.to_thread(dying, archive, f"{point}=kill@1", "undelete", uid, "--reason", "x")
    assert code == -9
    restorations = [event for event in await events(archive, "instances") if isinstance(event, InstancesRestored)]
    assert len(restorations) == (point == "after-publish")
    if not restorations:
        await nothing_of(archive, files, tmp_path / "got0")
        done(archive, "undelete", uid, "--reason", "x")
    await expect_exactly(archive, files, tmp_path / "got")
    assert archive.stop() == 0


async def objects_in(archive: RunningArchive) -> list[str]:
    async with stores_of(archive) as stores:
        return [stat.key async for stat in stores.objects.list("objects/")]


def bytes_of_index(archive: RunningArchive) -> bytes:
    """All that the index holds: its files, or the documents that it has on a server."""
    if archive.environment:
        return bytes_of_documents(archive.environment["GANTRY_STORAGE__INDEX"].rpartition("/")[2])
    files = (archive.folder / "data").glob("index.db*")
    return b"".join(path.read_bytes() for path in files if path.is_file())


@pytest.mark.parametrize("point", ["after-collect", "after-publish", "before-commit", ""])
async def test_a_collector_killed_anywhere_collects_whole_and_a_restored_bucket_knows(
    make_archive: MakeArchive, tmp_path: Path, point: str
) -> None:
    archive = archive_of(make_archive)
    gone, stays = study(tmp_path / "gone", 5, patient="P-GONE"), study(tmp_path / "stays", 2)
    await send(archive, gone, stays)
    await until_sealed(archive)
    assert archive.stop() == 0
    uid = uids_of(gone[0])[0]
    # Said while nothing runs: it is on the log, and followed at the next start.
    done(archive, "purge", uid, "--reason", "the law", "--yes")
    assert len(await objects_in(archive)) == 7
    if point:
        # It may die before it was ready once: the deletion is on the log already.
        archive.start(ready=False, failpoints=f"{point}=kill@1")
        await kill_when_its_indexer_died(archive)
    archive.start()
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)
    certified: set[str] = set()
    async with asyncio.timeout(60):
        while len(certified) < 5:
            certificates = [
                event for event in await events(archive, "instances") if isinstance(event, ObjectsCollected)
            ]
            certified = {receipt.receipt for certificate in certificates for receipt in certificate.receipts}
            await asyncio.sleep(0.2)
    assert len(await objects_in(archive)) == 2
    await nothing_of(archive, gone, tmp_path / "got0")
    await expect_exactly(archive, stays, tmp_path / "got")
    assert gantry(archive, "undelete", uid, "--reason", "too late").returncode == 1
    await until_sealed(archive)
    assert archive.stop() == 0
    async with index_of(archive) as index:
        before = await everything(index)
        decided = [page async for page in index.find_decided("default")]
    assert b"P-GONE" not in bytes_of_index(archive)
    # The bucket is enough, for what is gone, too.
    lose_log_and_index(archive)
    result = await asyncio.to_thread(gantry, archive, "restore", "--json")
    assert result.returncode == 0, result.stderr
    assert (json.loads(result.stdout)["instances"], json.loads(result.stdout)["told"]) == (2, 0)
    async with index_of(archive) as index:
        assert await everything(index) == before
        assert [page async for page in index.find_decided("default")] == decided
    assert await events(archive, "dead-letters") == []
    result = await asyncio.to_thread(gantry, archive, "reindex", "--json")
    assert (json.loads(result.stdout)["instances"], json.loads(result.stdout)["refused"]) == (2, 0)


def delete_where(archive: RunningArchive, *arguments: str) -> tuple[int, str]:
    result = gantry(archive, "delete", "--reason", "ten years", *arguments)
    return result.returncode, result.stdout + result.stderr


async def test_studies_are_deleted_by_a_rule_after_a_dry_run(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive)
    old = [study(tmp_path / f"old{n}", 2, StudyDate=f"2010010{n}") for n in (1, 2)]
    young = study(tmp_path / "young", 2, StudyDate="20240101")
    await send(archive, *old, young)
    uids = [uids_of(files[0])[0] for files in old]
    rule = "--where", "StudyDate=-20141231"
    code, output = delete_where(archive, *rule, "--dry-run")
    assert (code, "2 studies, 4 instances" in output) == (0, True), output
    assert all(uid in output for uid in uids)
    assert len(await find_matches(archive.peer, "STUDY", "StudyInstanceUID")) == 3
    # Without a yes nothing is deleted, nor where a key would be ignored.
    assert delete_where(archive, *rule)[0] == 1
    assert delete_where(archive, *rule, "--where", "Foo=1", "--yes")[0] == 2
    assert len(await find_matches(archive.peer, "STUDY", "StudyInstanceUID")) == 3
    done(archive, "hold", "place", uids[0], "--reason", "trial")
    code, output = delete_where(archive, *rule, "--yes", "--json")
    assert (code, json.loads(output)["held"], json.loads(output)["studies"]) == (1, [uids[0]], 1)
    await nothing_of(archive, old[1], tmp_path / "got")
    assert len(await find_matches(archive.peer, "STUDY", "StudyInstanceUID")) == 2
    assert archive.stop() == 0


def over_http(archive: RunningArchive, method: str, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{archive.http_port}/dicom-web/{path}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def test_what_is_deleted_over_http_is_restored_over_http_with_its_reason(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    files = study(tmp_path / "files", 4, series=2)
    await send(archive, files)
    uid, series = uids_of(files[0])
    status, may = over_http(archive, "GET", "permissions")
    assert (status, [name for name, permission in json.loads(may).items() if permission]) == (
        200,
        ["delete", "worklist", "reject"],
    )
    assert over_http(archive, "POST", f"studies/{uid}/restore")[0] == 404
    assert over_http(archive, "DELETE", f"studies/{uid}?reason=one%0Atwo")[0] == 400
    assert over_http(archive, "DELETE", f"studies/{uid}?reason={'x' * 201}")[0] == 400
    assert over_http(archive, "DELETE", f"studies/{uid}?reason=sent+twice")[0] == 204
    await nothing_of(archive, files, tmp_path / "got")
    assert over_http(archive, "POST", f"studies/{uid}/series/{series}/restore?reason=half")[0] == 204
    await expect_exactly(archive, [f for f in files if uids_of(f)[1] == series], tmp_path / "got1")
    assert over_http(archive, "POST", f"studies/{uid}/restore")[0] == 204
    await expect_exactly(archive, files, tmp_path / "got2")
    (deleted,) = [event for event in await events(archive, "instances") if isinstance(event, InstancesDeleted)]
    restored = [event for event in await events(archive, "instances") if isinstance(event, InstancesRestored)]
    assert (deleted.reason, deleted.by) == ("sent twice", "loopback")
    assert [event.reason for event in restored] == ["half", "restore over HTTP"]
    assert archive.stop() == 0
