"""Redundant copies are deleted safely, and a person decides a conflict: in both topologies."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import generate_uid

from gantry.common.events import ObjectsCollected
from tests.crash.conftest import MakeArchive, embedded
from tests.crash.test_deletion import archive_of, done, objects_in
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, events, expect_exactly, find_matches, stores_of, until, wait_for
from tests.support.objects import data_set, study, write

SETTINGS = (
    "upkeep: {seal_every: 0.2, sweep_every: 0}\n"
    "lifecycle: {collect_every: 0.3}\n"
)  # fmt: skip


def told(archive: RunningArchive, *arguments: str) -> dict[str, Any]:
    result = gantry(archive, *arguments, "--json")
    assert result.returncode == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


async def sent_again(archive: RunningArchive, files: list[Any], times: int) -> None:
    for _ in range(times):
        await Modality(archive.peer, files).send_all()
    await wait_for(archive, len(files))
    await until(lambda: told(archive, "redundant")["receipts"] == (times - 1) * len(files))


async def test_redundant_objects_are_counted_given_up_brought_back_and_collected(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive, SETTINGS)
    files = study(tmp_path / "files", 3)
    await sent_again(archive, files, 3)
    counted = told(archive, "redundant")
    assert (counted["instances"], counted["receipts"], counted["deleted"]) == (3, 6, 0)
    assert counted["bytes"] >= 6 * 8192
    assert len(await objects_in(archive)) == 9
    given_up = told(archive, "redundant", "--delete", "sent three times")
    assert (given_up["deleted"], given_up["spared"], given_up["held"]) == (6, 0, [])
    assert told(archive, "redundant")["receipts"] == 0
    await expect_exactly(archive, files, tmp_path / "got")
    # Within the grace time nothing is gone, and a person can think again.
    uid = str(pydicom.dcmread(files[0].path, stop_before_pixels=True).StudyInstanceUID)
    done(archive, "undelete", uid, "--reason", "no")
    assert told(archive, "redundant")["receipts"] == 6
    assert told(archive, "redundant", uid, "--delete", "sent three times")["deleted"] == 6
    await expect_exactly(archive, files, tmp_path / "again")
    assert len(await objects_in(archive)) == 9
    assert archive.stop() == 0


@embedded
async def test_copies_of_an_instance_whose_object_is_lost_are_spared(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = archive_of(make_archive, SETTINGS)
    files = study(tmp_path / "files", 2)
    await sent_again(archive, files, 2)
    # The object that is read is gone, and nobody has noticed yet.
    async with stores_of(archive) as stores:
        keys = [stat.key async for stat in stores.objects.list("objects/")]
        await stores.objects.delete(sorted(keys)[0])
    given_up = told(archive, "redundant", "--delete", "sent twice")
    assert (given_up["deleted"], given_up["spared"]) == (1, 1)
    await expect_exactly(archive, files, tmp_path / "got")
    assert archive.stop() == 0


async def test_a_person_chooses_a_side_of_a_conflict_and_can_take_it_back(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = archive_of(make_archive, SETTINGS)
    uids = {"study": generate_uid(), "series": generate_uid(), "instance": generate_uid()}
    first = write(tmp_path / "first", data_set(**uids, name="First^Come", number=1))
    other = write(tmp_path / "other", data_set(**uids, name="Second^Come", number=2))
    for file in (first, other):
        await Modality(archive.peer, [file]).send_all()
        await wait_for(archive, 1)
    async with asyncio.timeout(20):
        while len(sides := listed(archive)) < 2:
            await asyncio.sleep(0.1)
    aside = next(side for side in sides if side["aside"])
    (compared,) = [line for line in listed(archive, "--compare") if "compared_with" in line]
    assert (compared["receipt"], compared["same_pixels"]) == (aside["receipt"], False)
    differing = {difference["path"]: (difference["one"], difference["other"]) for difference in compared["differences"]}
    assert differing == {"PatientName": ("First^Come", "Second^Come"), "InstanceNumber": ("1", "2")}
    assert gantry(archive, "conflicts", "--compare", "1.2.3").returncode == 1
    assert gantry(archive, "choose", uids["instance"], "0" * 32, "--reason", "x").returncode == 1
    assert (
        told(archive, "choose", uids["instance"], aside["receipt"], "--reason", "the second is right")["deleted"] == 1
    )
    await expect_exactly(archive, [other], tmp_path / "got")
    assert str((await find_matches(archive.peer, "STUDY", "PatientName"))[0].PatientName) == "Second^Come"
    assert listed(archive) == []
    done(archive, "undelete", uids["instance"], "--reason", "no, the first")
    await expect_exactly(archive, [first], tmp_path / "again")
    assert len(listed(archive)) == 2
    assert [event for event in await events(archive, "instances") if isinstance(event, ObjectsCollected)] == []
    assert archive.stop() == 0


def listed(archive: RunningArchive, *options: str) -> list[dict[str, Any]]:
    result = gantry(archive, "conflicts", "--json", *options)
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
