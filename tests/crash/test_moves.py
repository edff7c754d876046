"""Series and instances that are moved to another study, on the whole archive: seen there at once in every way, moved
back exactly, whatever is killed, lost or deleted in between; no object is copied, and none goes too early."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pydicom
import pytest

from gantry.cli.files import DicomFile
from gantry.common.events import InstancesMoved, ObjectsCollected
from tests.crash.conftest import MakeArchive
from tests.crash.test_corrections import archive_of, ask, merge, part10, shown
from tests.crash.test_deletion import done, dying, send
from tests.crash.test_upkeep import everything, gantry, index_of, lose_log_and_index, until_sealed
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, find_matches, get, stores_of, uids_of, until
from tests.support.dicom import from_bytes
from tests.support.objects import bytes_of, study

EXPLICIT = "1.2.840.10008.1.2.1"


def move(archive: RunningArchive, path: str, into: str, **body: Any) -> dict[str, Any]:
    status, moved = ask(archive, "POST", f"{path}/moves?reason=x", {"into": into, **body})
    assert (status, moved["settled"]) == (200, True), moved
    return dict(moved)


async def objects_in(archive: RunningArchive) -> set[str]:
    async with stores_of(archive) as stores:
        return {stat.key async for stat in stores.objects.list("objects/")}


async def series_of(archive: RunningArchive, uid: str) -> dict[str, int]:
    matches = await find_matches(
        archive.peer, "SERIES", f"StudyInstanceUID={uid}", "SeriesInstanceUID", "NumberOfSeriesRelatedInstances"
    )
    return {match.SeriesInstanceUID: int(match.NumberOfSeriesRelatedInstances) for match in matches}


def two_studies(tmp_path: Path) -> tuple[list[DicomFile], list[DicomFile]]:
    return (
        study(tmp_path / "one", 4, series=2, patient="P1", name="Doe^Jane"),
        study(tmp_path / "other", 1, patient="P2", name="Roe^Richard"),
    )


async def test_a_series_of_another_patient_goes_to_his_study_and_comes_back_exactly(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    first, other = two_studies(tmp_path)
    await send(archive, first, other)
    uid, into = uids_of(first[0])[0], uids_of(other[0])[0]
    series = uids_of(first[0])[1]
    files = [file for file in first if uids_of(file)[1] == series]
    objects = await objects_in(archive)
    async with index_of(archive) as index:
        before = await everything(index)
    moved = move(archive, f"studies/{uid}/series/{series}", into)
    assert [(m["series"], m["intoSeries"], m["receipts"]) for m in moved["moves"]] == [(series, series, len(files))]
    assert await series_of(archive, uid) == {uids_of(f)[1]: 2 for f in first if uids_of(f)[1] != series}
    assert (await series_of(archive, into))[series] == len(files)
    assert await find_matches(archive.peer, "IMAGE", f"StudyInstanceUID={uid}", f"SeriesInstanceUID={series}") == []
    assert (await shown(archive, into))[:2] == ("P2", "Roe^Richard")
    # What is retrieved is of the other study and its patient, in every way; the pixels are what they were.
    got = await get(archive.peer, tmp_path / "got", "STUDY", f"StudyInstanceUID={into}")
    for file in files:
        original = pydicom.dcmread(file.path)
        path = f"studies/{into}/series/{series}/instances/{file.sop_instance_uid}"
        status, (document,) = ask(archive, "GET", f"{path}/metadata")
        assert (status, document["0020000D"]["Value"], document["00100020"]["Value"]) == (200, [into], ["P2"])
        for data_set in (from_bytes(got[file.sop_instance_uid], EXPLICIT), part10(archive, file, uids=(into, series))):
            assert (data_set.StudyInstanceUID, data_set.PatientName) == (into, "Roe^Richard")
            (item,) = data_set.OriginalAttributesSequence
            assert item.ModifiedAttributesSequence[0].StudyInstanceUID == uid
            assert data_set.PixelData == original.PixelData
        assert part10(archive, file, "?original=true", uids=(into, series)) == original
    assert set(await get(archive.peer, tmp_path / "rest", "STUDY", f"StudyInstanceUID={uid}")) == {
        file.sop_instance_uid for file in first if file not in files
    }
    # What is corrected in the other study holds for what was moved there, whichever came first.
    assert ask(archive, "POST", f"studies/{into}/corrections?reason=x", {"00080050": {"vr": "SH", "Value": ["A7"]}})[0]
    assert part10(archive, files[0], uids=(into, series)).AccessionNumber == "A7"
    status, history = ask(archive, "GET", f"studies/{into}/history")
    assert [entry["of"] for entry in history["corrections"]] == ["move", "study"]
    done(archive, "uncorrect", into, history["corrections"][1]["correction"], "--reason", "x")
    assert await objects_in(archive) == objects
    done(archive, "regroup", uid, "--undo", "--reason", "a mistake")
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)
    async with index_of(archive) as index:
        assert await everything(index) == before
    assert (
        bytes_of(files[0])
        == (await get(archive.peer, tmp_path / "back", "STUDY", f"StudyInstanceUID={uid}"))[files[0].sop_instance_uid]
    )
    assert archive.stop() == 0


async def test_a_study_is_split_merged_again_and_comes_back_from_the_bucket_alone(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    first, other = two_studies(tmp_path)
    await send(archive, first, other)
    await Modality(archive.peer, first).send_all()  # redundant copies
    uid, into = uids_of(first[0])[0], uids_of(other[0])[0]
    # Two instances become a series of a study of their own, under another accession number.
    series = uids_of(first[0])[1]
    files = [file for file in first if uids_of(file)[1] == series]
    values = {"00080050": {"vr": "SH", "Value": ["SPLIT"]}}
    instances = [file.sop_instance_uid for file in files[:1]]
    moved = move(archive, f"studies/{uid}/series/{series}", "new", instances=instances, values=values)
    new = moved["into"]
    assert (await shown(archive, new)) == ("P1", "Doe^Jane", "SPLIT")
    # A merge of patients holds for the new study, too, and a further move of what was moved.
    assert merge(archive, "P1", "P2") == 200
    assert (await shown(archive, new))[:2] == ("P2", "Roe^Richard")
    done(archive, "regroup", new, "--into", into, "--reason", "one examination")
    done(archive, "regroup", uid, "--into", into, "--reason", "one examination")
    matches = await find_matches(archive.peer, "STUDY", "StudyInstanceUID", "NumberOfStudyRelatedInstances")
    assert [(m.StudyInstanceUID, int(m.NumberOfStudyRelatedInstances)) for m in matches] == [(into, 5)]
    got = await get(archive.peer, tmp_path / "got", "STUDY", f"StudyInstanceUID={into}")
    assert {from_bytes(body, EXPLICIT).PatientID for body in got.values()} == {"P2"}
    assert len(got) == 5
    # Storage commitment and a second sending know them.
    async with index_of(archive) as index:
        before = await everything(index)
    result = await asyncio.to_thread(gantry, archive, "reindex")
    assert result.returncode == 0, result.stderr
    async with index_of(archive) as index:
        assert await everything(index) == before
    await until(lambda: archive.metric("gantry_consumer_lag") == 0)
    await until_sealed(archive)
    assert archive.stop() == 0
    lose_log_and_index(archive)
    result = await asyncio.to_thread(gantry, archive, "restore")
    assert result.returncode == 0, result.stderr
    async with index_of(archive) as index:
        assert await everything(index) == before


async def test_an_object_that_was_moved_goes_with_the_last_that_needs_it(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive)
    first, other = two_studies(tmp_path)
    await send(archive, first, other)
    uid, into = uids_of(first[0])[0], uids_of(other[0])[0]
    series = uids_of(first[0])[1]
    files = [file for file in first if uids_of(file)[1] == series]
    objects = await objects_in(archive)
    move(archive, f"studies/{uid}/series/{series}", into)
    # For good in the study that it came from: what was moved away is not that study's.
    done(archive, "purge", uid, "--reason", "x", "--yes")
    await collected(archive, uid)
    assert len(await get(archive.peer, tmp_path / "got", "STUDY", f"StudyInstanceUID={into}")) == 3
    # Deleted in the other study it cannot be moved back; undeleted it can.
    done(archive, "delete", into, "--reason", "x")
    refused = gantry(archive, "regroup", uid, "--undo", "--reason", "x")
    assert (refused.returncode, "undelete it first" in refused.stderr) == (1, True), refused.stderr
    assert ask(archive, "DELETE", f"studies/{uid}/moves?reason=x")[0] == 409
    done(archive, "undelete", into, "--reason", "x")
    done(archive, "regroup", uid, "--undo", "--reason", "x")
    got = await get(archive.peer, tmp_path / "back", "STUDY", f"StudyInstanceUID={uid}")
    assert got == {file.sop_instance_uid: bytes_of(file) for file in files}
    # The receipts that it had there are forgotten, and the objects stay.
    await collected(archive, into)
    assert len(await objects_in(archive)) == len(objects) - 2
    move(archive, f"studies/{uid}", into)
    done(archive, "purge", into, "--reason", "x", "--yes")
    async with asyncio.timeout(60):
        while await objects_in(archive):
            await asyncio.sleep(0.1)
    # A certificate for the study that they came with, too: all receipts of it are collected.
    async with index_of(archive) as index, asyncio.timeout(60):
        while not all(
            [receipt.deletion_state.collected async for page in index.find_decided("default") for receipt in page]
        ):
            await asyncio.sleep(0.1)
    assert gantry(archive, "regroup", uid, "--undo", "--reason", "x").returncode == 1
    assert archive.stop() == 0


async def collected(archive: RunningArchive, study_uid: str) -> None:
    """Return when something of a study was collected."""
    async with asyncio.timeout(60):
        while not any(
            isinstance(event, ObjectsCollected) and event.study_instance_uid == study_uid
            for event in await events(archive, "instances")
        ):
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("failpoint", ["before-publish=kill@1", "after-publish=kill@1"])
async def test_a_move_that_is_cut_off_stands_whole_or_not_at_all(
    make_archive: MakeArchive, tmp_path: Path, failpoint: str
) -> None:
    archive = archive_of(make_archive)
    first, other = two_studies(tmp_path)
    await send(archive, first, other)
    uid, into = uids_of(first[0])[0], uids_of(other[0])[0]
    assert dying(archive, failpoint, "regroup", uid, "--into", into, "--reason", "same") != 0
    moves = [event for event in await events(archive, "instances") if isinstance(event, InstancesMoved)]
    assert bool(moves) == (failpoint == "after-publish=kill@1")
    await counts(archive, {into: 5} if moves else {uid: 4, into: 1})
    archive.kill()
    archive.start()
    if not moves:
        done(archive, "regroup", uid, "--into", into, "--reason", "same")
    await counts(archive, {into: 5})
    assert dying(archive, failpoint, "regroup", uid, "--undo", "--reason", "two") != 0
    if not moves:
        done(archive, "regroup", uid, "--undo", "--reason", "two")
    await counts(archive, {uid: 4, into: 1})
    assert archive.stop() == 0


async def counts(archive: RunningArchive, expected: dict[str, int]) -> None:
    """Return when so many instances are in each study, and nothing else is there."""
    async with asyncio.timeout(60):
        while True:
            matches = await find_matches(archive.peer, "STUDY", "StudyInstanceUID", "NumberOfStudyRelatedInstances")
            if {m.StudyInstanceUID: int(m.NumberOfStudyRelatedInstances) for m in matches} == expected:
                return
            await asyncio.sleep(0.1)


async def test_what_cannot_be_moved_is_refused_in_words(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive)
    first, other = two_studies(tmp_path)
    await send(archive, first, other)
    uid, into = uids_of(first[0])[0], uids_of(other[0])[0]
    for path, body, status in (
        (f"studies/{uid}", {"into": uid}, 409),
        (f"studies/{uid}", {"into": "somewhere"}, 400),
        (f"studies/{uid}", {}, 400),
        (f"studies/{uid}", {"into": into, "values": {"00080050": {"vr": "SH", "Value": ["A"]}}}, 400),
        (f"studies/{uid}", {"into": "new", "values": {"00280010": {"vr": "US", "Value": [1]}}}, 400),
        (f"studies/{uid}", {"into": into, "series": ["1.2.3"]}, 404),
        (f"studies/{uid}", {"into": into, "series": "1.2.3"}, 400),
        (f"studies/{uid}/series/1.2.3", {"into": into}, 404),
        ("studies/1.2.3", {"into": into}, 404),
    ):
        assert ask(archive, "POST", f"{path}/moves?reason=x", body)[0] == status, (path, body)
    assert ask(archive, "POST", f"studies/{uid}/moves", {"into": into})[0] == 400  # no reason
    assert ask(archive, "DELETE", f"studies/{uid}/moves?reason=x")[0] == 404
    assert ask(archive, "DELETE", f"studies/{uid}/moves/{'0' * 32}?reason=x")[0] == 404
    # A hold on the study, and a study that is deleted.
    done(archive, "hold", "place", uid, "--reason", "trial")
    assert ask(archive, "POST", f"studies/{uid}/moves?reason=x", {"into": into})[0] == 409
    done(archive, "hold", "release", uid, "--reason", "over")
    done(archive, "delete", into, "--reason", "x")
    status, words = ask(archive, "POST", f"studies/{uid}/moves?reason=x", {"into": into})
    assert (status, "undelete it first" in words) == (409, True)
    assert not [event for event in await events(archive, "instances") if isinstance(event, InstancesMoved)]
    archive.write_policy([], "lifecycle: {collect_every: 0}\n")
    assert archive.stop() == 0
    archive.start()
    assert ask(archive, "POST", f"studies/{uid}/moves?reason=x", {"into": into})[0] == 403
    assert archive.stop() == 0
