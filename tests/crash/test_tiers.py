"""Studies that rules move to another object store, on the whole archive, in both topologies: the same bytes for
everybody before, meanwhile and afterwards, whatever is killed; found where it says; gone from everywhere once it is
purged."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from gantry.cli.commit import ask as ask_commitment
from gantry.cli.files import DicomFile
from gantry.common.adapters.s3 import S3Bucket
from gantry.common.clock import SystemClock
from gantry.common.config.load import load_settings
from gantry.common.events import ObjectsRelocated
from gantry.common.lifecycle import HOT
from gantry.common.runtime.tiered import TieredStore
from gantry.services.process.stores import open_stores
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_corrections import ask
from tests.crash.test_deletion import done, dying, send
from tests.crash.test_upkeep import everything, gantry, index_of, lose_log_and_index, until_sealed
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, expect_exactly, find_matches, get, uids_of, until, wait_for
from tests.support.buckets import make_bucket
from tests.support.objects import bytes_of, data_set, study, write

pytestmark = pytest.mark.timeout(240)
"""In a cluster each process joins its groups first."""
TODAY = datetime.now(UTC).strftime("%Y%m%d")
OLD = "{name: old, after: 1y, to: cold}"
REST = (
    "http: {may_delete: [loopback], may_correct: [loopback]}\n"
    "upkeep: {seal_every: 0.2, sweep_every: 0, verify_every: 0}\n"
    "lifecycle: {collect_every: 0.3, erase_after: 0}\n"
    "commitment: {retry_first: 0.2, in_flight_deadline: 2}\n"
)


def cold_of(archive: RunningArchive) -> str:
    """The URL of a second store of the same kind, which is there."""
    hot = archive.environment.get("GANTRY_STORAGE__OBJECTS")
    if hot is None:
        return f"file://{archive.folder}/cold"
    bucket = S3Bucket(
        f"{hot.removeprefix('s3://')}-cold",
        endpoint=archive.environment["GANTRY_S3__ENDPOINT"],
        access_key=archive.environment["GANTRY_S3__ACCESS_KEY"],
        secret_key=Path(archive.environment["GANTRY_S3__SECRET_KEY_FILE"]).read_text(),
    )
    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(lambda: asyncio.run(make_bucket(bucket))).result()
    return f"s3://{bucket.name}"


def configure(
    archive: RunningArchive, rules: str = OLD, *, every: float = 0, grace: float = 0, compress: bool = False
) -> None:
    stores = f"[{{name: cold, url: '{cold_of(archive)}', compress: {str(compress).lower()}}}]"
    archive.write_policy(
        [], f"{REST}tiers: {{stores: {stores}, rules: [{rules}], every: {every}, grace: {grace}, rate: 0}}\n"
    )


def tiered(make_archive: MakeArchive, rules: str = OLD, *, compress: bool = False, **schedule: float) -> RunningArchive:
    archive = make_archive()
    configure(archive, rules, compress=compress, **schedule)
    return archive.start()


@asynccontextmanager
async def tiers_of(archive: RunningArchive) -> AsyncIterator[TieredStore]:
    """The object stores of an archive, opened beside it; without log and index, which take their time in a cluster."""
    environment = {**archive.environment, "GANTRY_DATA": str(archive.folder / "data")}
    beside = {
        "GANTRY_STORAGE__LOG": f"sqlite://{archive.folder}/no.log",
        "GANTRY_STORAGE__INDEX": f"sqlite://{archive.folder}/no.index",
    }
    stores = await open_stores(load_settings(archive.config, {**environment, **beside}), SystemClock())
    assert stores.tiers is not None
    try:
        yield stores.tiers
    finally:
        await stores.close()


async def objects_in(archive: RunningArchive) -> dict[str, set[str]]:
    """The keys in each store."""
    async with tiers_of(archive) as tiers:
        return {name: {stat.key async for stat in store.list("objects/")} for name, store in tiers.stores.items()}


async def availability(archive: RunningArchive, files: Sequence[DicomFile]) -> set[str]:
    """What everybody is told of a study, at each level, over DIMSE and HTTP."""
    uid, series = uids_of(files[0])
    keys = f"StudyInstanceUID={uid}", f"SeriesInstanceUID={series}"
    states = {
        str(match.InstanceAvailability)
        for level, named in (("STUDY", keys[:1]), ("SERIES", keys[:1]), ("IMAGE", keys))
        for match in await find_matches(archive.peer, level, "InstanceAvailability", *named)
    }
    for path in ("", f"/{uid}/series", f"/{uid}/series/{series}/instances"):
        status, answer = archive.http(f"/dicom-web/studies{path}?StudyInstanceUID={uid}")
        assert status == 200, answer
        states |= {match["00080056"]["Value"][0] for match in json.loads(answer)}
    return states


def two_ages(folder: Path) -> tuple[list[DicomFile], list[DicomFile]]:
    old = study(folder / "old", 3, series=2, patient="P1", StudyDate="20190105")
    return old, study(folder / "new", 2, patient="P2", StudyDate=TODAY)


def told(archive: RunningArchive, *arguments: str) -> list[dict[str, Any]]:
    result = gantry(archive, "tiers", "--json", *arguments)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


async def until_moved(archive: RunningArchive, cold: int, hot: int) -> dict[str, set[str]]:
    """Return when so many objects lie in each store, and none in both."""
    async with asyncio.timeout(60):
        while True:
            keys = await objects_in(archive)
            if (len(keys["cold"]), len(keys[HOT])) == (cold, hot) and not keys["cold"] & keys[HOT]:
                return keys
            await asyncio.sleep(0.2)


async def the_same(archive: RunningArchive, files: Sequence[DicomFile], folder: Path) -> None:
    """Every way of retrieval gives what was sent."""
    uid, series = uids_of(files[0])
    assert await get(archive.peer, folder, "STUDY", f"StudyInstanceUID={uid}") == {
        file.sop_instance_uid: bytes_of(file) for file in files
    }
    first = files[0]
    path = f"/dicom-web/studies/{uid}/series/{series}/instances/{first.sop_instance_uid}"
    status, part10 = raw(archive, f"{path}?accept=application/dicom")
    assert status == 200
    assert bytes_of(first) in part10
    pixels = bytes_of(first)[-8192:]
    for below in ("/frames/1?accept=application/octet-stream", "/bulkdata/7FE00010?accept=application/octet-stream"):
        status, body = raw(archive, path + below)
        assert (status, pixels in body) == (200, True), below
    for below in ("/rendered", "/thumbnail", "/metadata"):
        assert raw(archive, path + below)[0] == 200, below
    references = [(file.sop_class_uid, file.sop_instance_uid) for file in files]
    _, _, report = await ask_commitment(archive.peer, references, wait=30.0, timeout=30.0, transaction=generate_uid())
    assert report is not None
    assert (len(report.ReferencedSOPSequence), "FailedSOPSequence" in report) == (len(files), False)


def raw(archive: RunningArchive, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{archive.http_port}{path}", timeout=20) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


async def test_old_studies_move_by_themselves_and_everybody_gets_the_same_and_is_told_where(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = tiered(make_archive, every=0.5, grace=1)
    old, new = two_ages(tmp_path)
    await send(archive, old, new)
    await until_moved(archive, cold=3, hot=2)
    await the_same(archive, old, tmp_path / "got")
    await the_same(archive, new, tmp_path / "got-new")
    await expect_exactly(archive, [*old, *new], tmp_path / "exactly")
    assert (await availability(archive, old), await availability(archive, new)) == ({"NEARLINE"}, {"ONLINE"})
    moves = [event for event in await events(archive, "instances") if isinstance(event, ObjectsRelocated)]
    assert {(move.study_instance_uid, move.store) for move in moves} == {(uids_of(old[0])[0], "cold")}
    assert archive.metric("gantry_objects_relocated_total") == 3
    await until(lambda: archive.metric("gantry_tier_bytes") > 0)
    assert archive.stop() == 0


async def test_what_comes_late_follows_and_nothing_is_in_the_way_of_those_who_look_after_objects(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = tiered(make_archive, every=0.5)
    old, new = two_ages(tmp_path)
    await send(archive, old, new)
    await until_moved(archive, cold=3, hot=2)
    uid, series = uids_of(old[0])
    late = write(tmp_path / "late", data_set(study=uid, series=series, number=9, patient="P1", StudyDate="20190105"))
    await send_more(archive, [late], 6)
    keys = await until_moved(archive, cold=4, hot=2)
    await the_same(archive, [*old, late], tmp_path / "again")
    for command in (["verify"], ["sweep", "--all"], ["reconcile"]):
        result = await asyncio.to_thread(gantry, archive, *command, "--json")
        assert result.returncode == 0, (command, result.stdout, result.stderr)
    assert keys == await objects_in(archive)
    assert archive.stop() == 0


async def send_more(archive: RunningArchive, files: list[DicomFile], count: int) -> None:
    await Modality(archive.peer, files).send_all()
    await wait_for(archive, count)


async def test_it_is_the_same_after_a_reindex_and_from_the_buckets_alone(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = tiered(make_archive)
    old, new = two_ages(tmp_path)
    await send(archive, old, new)
    (state,) = told(archive)
    assert (state["moved"], state["failed"], state["left"]) == (3, 0, 3)
    assert state["objects_in"] == {HOT: 2, "cold": 3}
    async with index_of(archive) as index:
        before = await everything(index)
    result = await asyncio.to_thread(gantry, archive, "reindex")
    assert result.returncode == 0, result.stderr
    async with index_of(archive) as index:
        assert await everything(index) == before
    assert await availability(archive, old) == {"NEARLINE"}
    await until_sealed(archive)
    assert archive.stop() == 0
    lose_log_and_index(archive)
    result = await asyncio.to_thread(gantry, archive, "restore")
    assert result.returncode == 0, result.stderr
    async with index_of(archive) as index:
        assert await everything(index) == before
    archive.start()
    assert (await availability(archive, old), await availability(archive, new)) == ({"NEARLINE"}, {"ONLINE"})
    await the_same(archive, old, tmp_path / "got")
    assert archive.stop() == 0


async def test_a_dry_run_says_what_would_move_and_why_and_moves_nothing(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = tiered(make_archive)
    old, new = two_ages(tmp_path)
    await send(archive, old, new)
    uid = uids_of(old[0])[0]
    (planned,) = told(archive, "--dry-run")
    assert (planned["study"], planned["rule"], planned["to"], planned["objects"]) == (uid, "old", "cold", 3)
    assert planned["bytes"] >= 3 * 8192
    result = gantry(archive, "tiers", "--dry-run")
    assert uid in result.stdout
    assert "1 study to move, 3 objects" in result.stdout
    assert {name: len(keys) for name, keys in (await objects_in(archive)).items()} == {HOT: 5, "cold": 0}
    assert archive.stop() == 0


@pytest.mark.parametrize(
    "failpoint",
    [
        "after-copy=kill@2",
        "before-publish=kill@1",
        "after-publish=kill@1",
        "before-leave=kill@2",
        "after-leave=kill@2",
    ],
)
async def test_a_move_that_is_killed_anywhere_loses_nothing_and_ends_the_same(
    make_archive: MakeArchive, tmp_path: Path, failpoint: str
) -> None:
    archive = tiered(make_archive)
    old, new = two_ages(tmp_path)
    await send(archive, old, new)
    assert dying(archive, failpoint, "tiers") != 0
    await expect_exactly(archive, [*old, *new], tmp_path / "got")
    keys = await objects_in(archive)
    assert len(keys[HOT] | keys["cold"]) == 5
    # And the archive itself, at the same place, while it serves.
    configure(archive, every=0.2)
    archive.kill()
    archive.start(failpoints=failpoint, ready=False)
    if archive.process is not None and failpoint not in ("after-publish=kill@1", "before-publish=kill@1"):
        archive.wait_ready()
    await asyncio.sleep(3)
    archive.kill()
    archive.start()
    await until_moved(archive, cold=3, hot=2)
    await the_same(archive, old, tmp_path / "after")
    await expect_exactly(archive, [*old, *new], tmp_path / "again")
    assert await availability(archive, old) == {"NEARLINE"}
    assert archive.stop() == 0


async def test_what_a_changed_rule_keeps_near_comes_back(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = tiered(make_archive)
    old, new = two_ages(tmp_path)
    await send(archive, old, new)
    told(archive)
    await until_moved(archive, cold=3, hot=2)
    # An exception is a longer rule. Without any rule that matches, what is there stays there.
    configure(archive, "{name: other, where: ['PatientID=P7'], after: 1d, to: cold}")
    assert told(archive, "--dry-run") == []
    configure(archive, f"{OLD}, {{name: kept, where: ['PatientID=P1'], after: never, to: cold}}")
    (planned,) = told(archive, "--dry-run")
    assert (planned["rule"], planned["to"], planned["objects"]) == ("kept", HOT, 3)
    settings = archive.config.read_text()
    archive.write_policy([], REST)
    refused = gantry(archive, "verify")
    assert (refused.returncode, "objects are in cold" in refused.stderr) == (1, True), refused.stderr
    archive.config.write_text(settings)
    told(archive)
    await until_moved(archive, cold=0, hot=5)
    await the_same(archive, old, tmp_path / "got")
    assert await availability(archive, old) == {"ONLINE"}
    assert told(archive, "--dry-run") == []
    # Now the store may go; before, nothing would have started.
    archive.write_policy([], REST)
    assert archive.stop() == 0
    archive.start()
    await the_same(archive, old, tmp_path / "alone")
    assert archive.stop() == 0


async def test_the_copy_that_an_object_leaves_stays_for_the_grace_time(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = tiered(make_archive, grace=3600)
    old, new = two_ages(tmp_path)
    await send(archive, old, new)
    (state,) = told(archive)
    assert (state["moved"], state["left"]) == (3, 0)
    keys = await objects_in(archive)
    assert (len(keys[HOT]), len(keys["cold"])) == (5, 3)
    assert await availability(archive, old) == {"NEARLINE"}
    assert told(archive, "--dry-run") == []
    # A copy that is not the same is not removed, and nor is the other one.
    async with tiers_of(archive) as tiers:
        key = sorted(keys["cold"])[0]
        await tiers.stores["cold"].put(key, [b"\0" * 10])
    configure(archive, grace=0)
    result = gantry(archive, "tiers", "--json")
    assert result.returncode == 1
    state = json.loads(result.stdout)
    assert (state["left"], state["unequal"]) == (2, 1)
    await the_same(archive, old, tmp_path / "got")
    assert archive.stop() == 0


@embedded
async def test_a_damaged_object_is_not_moved_and_is_reported(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = tiered(make_archive)
    old, new = two_ages(tmp_path)
    await send(archive, old, new)
    async with tiers_of(archive) as tiers:
        key = sorted([stat.key async for stat in tiers.hot.list("objects/")])[0]
        path = archive.folder / "data" / "objects" / key
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    result = gantry(archive, "tiers", "--json")
    assert result.returncode == 1
    state = json.loads(result.stdout)
    assert (state["moved"], state["failed"]) == (2, 1)
    keys = await objects_in(archive)
    assert key in keys[HOT]
    assert key not in keys["cold"]
    # It is known to be lost now, and is not tried again.
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)
    assert [report["failed"] for report in told(archive)] == [0]
    assert archive.stop() == 0


async def test_what_is_regrouped_stays_where_it_is_and_what_is_purged_is_gone_from_everywhere(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = tiered(make_archive, grace=3600)
    old, new = two_ages(tmp_path)
    await send(archive, old, new)
    uid, series = uids_of(old[0])
    into = uids_of(new[0])[0]
    told(archive)
    # Both copies are there yet. What is of the other study now is told to be where it is.
    status, moved = ask(archive, "POST", f"studies/{uid}/series/{series}/moves?reason=x", {"into": into})
    assert (status, moved["settled"]) == (200, True), moved
    (match,) = await find_matches(archive.peer, "STUDY", "InstanceAvailability", f"StudyInstanceUID={into}")
    assert match.InstanceAvailability == "NEARLINE"
    series_told = {
        match.SeriesInstanceUID: match.InstanceAvailability
        for match in await find_matches(archive.peer, "SERIES", "InstanceAvailability", f"StudyInstanceUID={into}")
    }
    assert series_told == {series: "NEARLINE", uids_of(new[0])[1]: "ONLINE"}
    # That study is new: what is cold of it comes back, also for the study that it came from.
    (planned,) = told(archive, "--dry-run")
    assert (planned["study"], planned["to"], planned["objects"]) == (into, HOT, 2)
    told(archive)
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)
    done(archive, "regroup", uid, "--undo", "--reason", "a mistake")
    series_told = {
        match.SeriesInstanceUID: match.InstanceAvailability
        for match in await find_matches(archive.peer, "SERIES", "InstanceAvailability", f"StudyInstanceUID={uid}")
    }
    assert sorted(series_told.values()) == ["NEARLINE", "ONLINE"]
    done(archive, "purge", uid, "--reason", "the law", "--yes")
    async with asyncio.timeout(60):
        while True:
            keys = await objects_in(archive)
            if (len(keys[HOT]), len(keys["cold"])) == (2, 0):
                break
            await asyncio.sleep(0.2)
    await the_same(archive, new, tmp_path / "got")
    assert archive.stop() == 0


async def test_what_is_purged_while_it_is_copied_is_gone_from_everywhere(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = tiered(make_archive)
    old, new = two_ages(tmp_path)
    await send(archive, old, new)
    # One object is copied, and its mover waits before it looks for the original again.
    mover = asyncio.create_task(asyncio.to_thread(dying, archive, "after-copy=sleep:10@1", "tiers"))
    async with asyncio.timeout(40):
        while not (await objects_in(archive))["cold"]:
            await asyncio.sleep(0.1)
    done(archive, "purge", uids_of(old[0])[0], "--reason", "the law", "--yes")
    async with asyncio.timeout(40):
        while len((await objects_in(archive))[HOT]) > 2:
            await asyncio.sleep(0.2)
    await mover
    keys = await objects_in(archive)
    assert (len(keys[HOT]), keys["cold"]) == (2, set())
    await the_same(archive, new, tmp_path / "got")
    assert archive.stop() == 0


async def test_what_is_deleted_and_brought_back_is_found_where_it_is(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = tiered(make_archive)
    old, new = two_ages(tmp_path)
    await send(archive, old, new)
    await Modality(archive.peer, old[:1]).send_all()  # a redundant copy goes along
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)
    assert told(archive)[0]["moved"] == 4
    uid = uids_of(old[0])[0]
    done(archive, "delete", old[0].sop_instance_uid, old[1].sop_instance_uid, old[2].sop_instance_uid, "--reason", "x")
    assert uid not in [
        match.StudyInstanceUID for match in await find_matches(archive.peer, "STUDY", "StudyInstanceUID")
    ]
    done(archive, "undelete", uid, "--reason", "x")
    await the_same(archive, old, tmp_path / "got")
    assert await availability(archive, old) == {"NEARLINE"}
    assert archive.stop() == 0
